"""Archives of the real tar programs, held against Python's own reader; and archives of nobody honest."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.tar_stream import Member, TarError, TarStream
from tests.sources.nasty import make_nasty_tree

GNU = ["tar", "--create", "--file=-", "--sparse"]
WRITERS = {
    "gnu": [*GNU, "--format=gnu"],
    "oldgnu": [*GNU, "--format=oldgnu"],
    "ustar": ["tar", "--create", "--file=-", "--format=ustar"],
    "pax": [*GNU, "--format=pax", "--xattrs", "--acls"],
    "sparse 0.0": [*GNU, "--format=pax", "--sparse-version=0.0"],
    "sparse 0.1": [*GNU, "--format=pax", "--sparse-version=0.1"],
    "busybox": ["busybox", "tar", "-c", "-f", "-"],
}


def read(data: bytes, slice_bytes: int = 1 << 30) -> list[tuple[Member, bytes]]:
    stream = TarStream(io.BytesIO(data).read)
    found = []
    for member in stream:
        buffer = bytearray(member.size)
        filled = 0
        while count := stream.readinto(memoryview(buffer)[filled : filled + slice_bytes]):
            filled += count
        assert filled == member.size
        found.append((member, bytes(buffer)))
    return found


def archive(writer: str, folder: Path, *names: str) -> bytes:
    command = [*WRITERS[writer], "-C", str(folder), *(names or ["."])]
    return subprocess.run(command, check=False, capture_output=True).stdout


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = make_nasty_tree(tmp_path_factory.mktemp("tar") / "tree")
    with open(tree / "many holes", "wb") as file:
        for place in range(60):
            file.seek(place * 100_000)
            file.write(b"data")
        file.truncate(10_000_000)
    (tree / ("long" * 30) / ("name" * 40)).mkdir(parents=True)
    (tree / ("long" * 30) / ("name" * 40) / "file").write_text("deep")
    (tree / "long link").symlink_to("x" * 300)
    os.link(tree / "many holes", tree / "another name")
    return tree


@pytest.mark.parametrize("writer", WRITERS)
def test_every_archive_reads_as_pythons_tarfile_reads_it(nasty: Path, writer: str) -> None:
    data = archive(writer, nasty)
    ours = read(data)
    with tarfile.open(fileobj=io.BytesIO(data), encoding="utf-8", errors="surrogateescape") as theirs:
        members = theirs.getmembers()
        assert [os.fsdecode(member.name).rstrip("/") for member, _ in ours] == [each.name for each in members]
        for (member, content), each in zip(ours, members, strict=True):
            if each.isfile():
                file = theirs.extractfile(each)
                assert file
                assert content == file.read(), each.name
            assert (member.mode, member.uid, member.gid) == (each.mode & 0o7777, each.uid, each.gid)
            assert abs(member.mtime_ns / 1e9 - each.mtime) < 0.001
            assert os.fsdecode(member.linkname) == each.linkname
            if each.isdev() and not each.isfifo():
                assert member.device == (each.devmajor, each.devminor)


def test_pax_keeps_times_and_attributes_whole(nasty: Path) -> None:
    found = {member.name: member for member, _ in read(archive("pax", nasty))}
    file = nasty / "attributes" / "file"
    kept = found[b"./attributes/file"]
    assert kept.mtime_ns == file.stat().st_mtime_ns
    assert kept.xattrs[b"user.zebra"] == b"\0\xff binary"
    early = nasty / "times" / "year 1901"
    assert found[b"./times/year 1901"].mtime_ns == early.stat().st_mtime_ns


@pytest.mark.parametrize("writer", ["gnu", "pax", "sparse 0.0"])
def test_it_reads_in_slices_of_any_size(nasty: Path, writer: str) -> None:
    data = archive(writer, nasty, "sizes")
    whole = [content for _, content in read(data)]
    assert [content for _, content in read(data, 777)] == whole


def test_files_beyond_8_gib(tmp_path: Path) -> None:
    """The size does not fit in octal digits; the data need not be read to see that."""
    with open(tmp_path / "large", "wb") as file:
        file.truncate(20 << 30)
        file.write(b"x")
    for writer in ("gnu", "pax"):
        stream = TarStream(io.BytesIO(archive(writer, tmp_path, "large")).read)
        assert next(iter(stream)).size == 20 << 30


def test_what_is_not_read_is_skipped(nasty: Path) -> None:
    stream = TarStream(io.BytesIO(archive("gnu", nasty)).read)
    names = [member.name for member in stream]
    assert names == [member.name for member, _ in read(archive("gnu", nasty))]


def header(name: bytes = b"x", size: bytes = b"0", kind: bytes = b"0", rest: bytes = b"") -> bytes:
    block = bytearray(512)
    block[:100] = name.ljust(100, b"\0")
    block[100:108] = b"0000644\0"
    block[124:136] = size.rjust(11, b"0") + b"\0"
    block[156:157] = kind
    block[257:265] = b"ustar  \0"
    block[386 : 386 + len(rest)] = rest
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def pax(*records: bytes, kind: bytes = b"x") -> bytes:
    body = b"".join(records)
    return header(b"pax", b"%o" % len(body), kind) + body.ljust(-(-len(body) // 512) * 512, b"\0")


END = bytes(1024)
HOSTILE = {
    "nothing": b"",
    "noise": b"\x01" * 10240,
    "cut in a header": header()[:100],
    "cut in data": header(size=b"100000") + bytes(512),
    "no end": header(),
    "huge name": header(size=b"77777777777", kind=b"L") + END,
    "huge pax": header(size=b"77777777777", kind=b"x") + END,
    "only pax": pax(b"10 path=a\n") + END,
    "pax length 0": pax(b"0 path=a\n") + header() + END,
    "pax no newline": pax(b"10 path=ab") + header() + END,
    "pax number": pax(b"12 size=abc\n") + header() + END,
    "pax long number": pax(b"70 size=" + b"9" * 61 + b"\n") + header() + END,
    "negative size": pax(b"11 size=-5\n") + header() + END,
    "headers without end": pax(b"8 a=bcd\n") * 100 + header() + END,
    "much for all members": pax(b"600000 a=" + b"b" * 599_990 + b"\n", kind=b"g") * 2 + header() + END,
    "sparse count": pax(b"22 GNU.sparse.major=1\n")
    + header(size=b"1000")
    + b"999999999999\n".ljust(512, b"\0")
    + END,
    "sparse map past data": pax(b"22 GNU.sparse.major=1\n") + header(size=b"1000") + b"9" * 512 + END,
    "sparse backwards": pax(
        b"30 GNU.sparse.map=9,1,5,1\n".replace(b"30", b"26"),
        b"27 GNU.sparse.realsize=20\n".replace(b"27", b"27"),
    )
    + header(size=b"2")
    + bytes(512)
    + END,
    "sparse beyond its size": pax(b"22 GNU.sparse.map=9,5\n", b"25 GNU.sparse.realsize=3\n")
    + header(size=b"5")
    + bytes(512)
    + END,
    "old sparse more than data": header(size=b"1", kind=b"S", rest=b"00000000000\0" + b"00000077777\0")
    + bytes(512)
    + END,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_no_tar_program_writes_is_refused(name: str) -> None:
    with pytest.raises(TarError):
        read(HOSTILE[name])


@given(st.binary(max_size=2048), st.integers(0, 1500))
def test_damage_anywhere_is_an_error_or_other_content_but_nothing_else(noise: bytes, place: int) -> None:
    good = pax(b"12 path=abc\n") + header(size=b"12") + b"hello".ljust(512, b"\0") + END
    stream = TarStream(io.BytesIO(good[:place] + noise + good[place:]).read)
    try:
        for _ in stream:
            stream.readinto(memoryview(bytearray(4096)))
    except TarError:
        return
