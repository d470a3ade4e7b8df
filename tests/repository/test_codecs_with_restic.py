"""The codecs against the real restic: it reads what they write, and they write what it writes."""

from __future__ import annotations

import json
import os
import random
import socket
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from repository.compression import compress_blob, encode_unpacked
from repository.config import new_config
from repository.crypto import new_master_key, seal
from repository.entries import Entry, Kind
from repository.gotext import LocalZone, format_time
from repository.ids import hash_bytes
from repository.indexfile import encode_index
from repository.keyfile import KdfParams, make_key_file
from repository.packfile import PackedBlob, encode_header, encode_trailer
from repository.snapshot import Snapshot
from repository.tree import Node, encode_tree, go_mode, node_from_entry
from repository.tree_decode import decode_tree
from tests.repository.reading import Folder

PASSWORD = "pässwörd"
ZONE = "America/St_Johns"
KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
}


def run(restic: str, repository: Path, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    environment = os.environ | {"RESTIC_PASSWORD": PASSWORD, "TZ": ZONE}
    command = [restic, "--no-cache", "-r", str(repository), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, check=True, timeout=240)


def odd_names() -> list[bytes]:
    """Every byte, also in noise; broken UTF-8; letters of several planes; nothing newer than Unicode 13."""
    chance = random.Random(7)
    names = {b"n" + bytes([byte]) for byte in range(1, 256) if byte != 0x2F}
    names |= {bytes(chance.choices([*range(1, 0x2F), *range(0x30, 256)], k=12)) for _ in range(100)}
    names |= {
        text.encode() for text in ("é", "\U0001f600", "\u2028", "\ufffd", "\u00ad", "\u3000", "a\u0301")
    }
    return sorted(names | {b"\xed\xa0\x80", b"\\x41", b"\\", b'"', b"&<>", b"'`"})


class Writer:
    """The least that makes a repository of codecs."""

    def __init__(self, path: Path) -> None:
        self.path, self.key = path, new_master_key()
        params = KdfParams(n=1024, r=8, p=1)
        created = format_time(0, LocalZone(ZoneInfo(ZONE)))
        self.store(
            "keys", make_key_file(self.key, PASSWORD, params, username="u", hostname="h", created=created)
        )
        (path / "config").write_bytes(seal(self.key, new_config().encode()))
        for folder in ("data", "index", "locks", "snapshots"):
            (path / folder).mkdir()

    def store(self, folder: str, data: bytes) -> bytes:
        file_id = hash_bytes(data)
        target = self.path / folder / (file_id.hex()[:2] if folder == "data" else "") / file_id.hex()
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return file_id

    def unpacked(self, folder: str, text: bytes) -> None:
        self.store(folder, seal(self.key, encode_unpacked(text, 2)))

    def pack(self, kind: str, contents: Sequence[bytes]) -> tuple[bytes, list[PackedBlob]]:
        blobs, body = [], b""
        for content in contents:
            frame = compress_blob(content, "auto", always=kind == "tree")
            sealed = seal(self.key, content if frame is None else frame)
            length = None if frame is None else len(content)
            blobs.append(PackedBlob(kind, hash_bytes(content), len(body), len(sealed), length))  # type: ignore[arg-type]
            body += sealed
        header = seal(self.key, encode_header(blobs))
        return self.store("data", body + header + encode_trailer(header)), blobs


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A repository of one snapshot with files of odd names, written with the codecs alone."""
    writer = Writer(tmp_path / "repository")
    contents = [b"", b"short", b"line\n" * 1000, os.urandom(70_000)]
    nodes = [
        Node(
            name,
            "file",
            go_mode("file", 0o640),
            *["2026-11-23T01:02:03.000000004-03:30"] * 3,
            size=len(contents[number % 4]),
            links=1,
            content=[hash_bytes(contents[number % 4])] if number % 4 else [],
        )
        for number, name in enumerate(odd_names())
    ]
    tree = encode_tree(nodes)
    packs = dict([writer.pack("data", contents[1:]), writer.pack("tree", [tree])])
    writer.unpacked("index", encode_index(packs))
    snapshot = Snapshot("2026-11-23T01:02:03.000000004-03:30", hash_bytes(tree), ["/odd"], hostname="h")
    writer.unpacked("snapshots", snapshot.encode())
    return writer.path


def test_restic_accepts_what_the_codecs_write(restic: str, written: Path, tmp_path: Path) -> None:
    assert b"no errors were found" in run(restic, written, "check", "--read-data").stdout
    run(restic, written, "restore", "latest", "--target", tmp_path / "out")
    found = sorted(os.listdir(os.fsencode(tmp_path / "out")))
    assert found == odd_names()
    status = os.lstat(os.fsencode(tmp_path / "out") + b"/" + found[0])
    assert status.st_mtime_ns % 1_000_000_000 == 4
    assert stat.S_IMODE(status.st_mode) == 0o640


@pytest.fixture
def source(tmp_path: Path) -> bytes:
    """A folder of files with odd names, modes, times and link targets."""
    folder = os.fsencode(tmp_path / "source")
    os.mkdir(folder)
    chance = random.Random(11)
    for number, name in enumerate(odd_names()):
        path = folder + b"/" + name
        with open(path, "wb") as file:
            file.write(b"x" * (number % 3))
        os.chmod(path, chance.randrange(0o10000))
        # From 1938 on: before, this zone had an offset with seconds, by which restic shifts a time.
        os.utime(path, ns=(0, chance.randrange(-(10**18), 2**63)))
    os.symlink("../ü<&>", folder + b"/zlink")
    os.link(folder + b"/" + odd_names()[5], folder + b"/zhard")
    os.mkfifo(folder + b"/zfifo", 0o600)
    os.mkdir(folder + b"/zdir", 0o700)
    os.chmod(folder + b"/zdir", 0o3751)
    return folder


def entry_of(folder: bytes, name: bytes) -> Entry:
    path = folder + b"/" + name
    status = os.lstat(path)
    kind = KINDS[stat.S_IFMT(status.st_mode)]
    return Entry(
        name,
        kind,
        stat.S_IMODE(status.st_mode),
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_uid,
        status.st_gid,
        "root",
        "root",
        status.st_ino,
        status.st_dev,
        status.st_nlink,
        status.st_size,
        os.readlink(path) if kind == "symlink" else b"",
    )


@pytest.mark.skipif(os.getuid() != 0, reason="reads files of any mode, and names owner and group root")
def test_a_tree_from_lstat_is_the_one_that_restic_writes(restic: str, source: bytes, tmp_path: Path) -> None:
    repository = Writer(tmp_path / "repository").path
    run(restic, repository, "backup", os.fsdecode(source))
    folder = Folder.open(repository, PASSWORD)
    trees = [plain for blob, _, plain in folder.blobs() if blob.type == "tree"]
    theirs = next(tree for tree in trees if b'"name":"zfifo"' in tree)
    nodes = []
    zone = LocalZone(ZoneInfo(ZONE))
    for name, their in zip(sorted(os.listdir(source)), decode_tree(theirs), strict=True):
        node = node_from_entry(entry_of(source, name), zone)
        node.content, node.subtree = their.content, their.subtree
        assert encode_tree([node]) == encode_tree([their])
        nodes.append(node)
    assert encode_tree(nodes) == theirs
    (snapshot,) = folder.unpacked("snapshots")
    assert Snapshot.decode(snapshot).hostname == socket.gethostname()
    assert json.loads(snapshot)["paths"] == [os.fsdecode(source)]
