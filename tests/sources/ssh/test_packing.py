"""What a host sends is packed where that pays; half of it is never taken for the whole."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from repository.entries import Problem, SourceUnavailable
from sources.ssh.dialects import GNU
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.packing import Compression, Packing, best_packer
from sources.ssh.rows import Malformed
from sources.ssh.source import SshSource
from sources.ssh.unpacked import BadlyPacked, Packer, unpacked
from sources.ssh.worker import Workers
from tests.conftest import need_program
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.servers.tcp_wire import wire_to
from tests.sources.trees import read_chunks, walk

PACK = {"gzip": lambda plain: gzip.compress(plain, 1), "zstd": zstandard.compress}
LINE = b"what people write is rarely as long as this, and never so often the same\n"


def read_files(source: SshSource) -> dict[str, bytes]:
    """Return the content of each file by name."""
    files = [path for path, entry in walk(source).items() if entry.kind == "file"]
    found = {}
    for file in source.open_files(files):
        assert not isinstance(file, Problem), file
        found[Path(os.fsdecode(file.path)).name] = b"".join(read_chunks(file))
        file.entry_now()
        file.close()
    source.close()
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A file that is large, and small ones."""
    (tmp_path / "large").write_bytes(LINE * 70_000)
    for number in range(20):
        (tmp_path / f"small {number}").write_bytes(LINE * 1000)
    return tmp_path


@pytest.mark.parametrize(
    ("compression", "least", "most"), [("auto", 0, 4_500_000), ("never", 6_500_000, 1 << 30)]
)
def test_files_are_packed_where_the_link_is_slow(
    sshd: Sshd, tree: Path, compression: Compression, least: int, most: int
) -> None:
    with wire_to(sshd.port) as wire:
        wire.most_bytes_a_second = 3_000_000 if compression == "auto" else 1 << 62
        settings = SshHostSettings(sshd.server(port=wire.port), compression=compression)
        found = read_files(SshSource(settings, [str(tree)]))
        assert least < wire.down_bytes < most
    assert found == {path.name: path.read_bytes() for path in tree.iterdir()}


def test_a_link_is_measured_once_and_only_for_much() -> None:
    asked = []

    def is_fast(bytes_a_second: int) -> bool:
        asked.append(bytes_a_second)
        return True

    packing = Packing("gzip")
    assert packing.of_files(1000, is_fast) == "gzip"
    assert asked == []
    assert packing.of_files(10_000_000, is_fast) == ""
    assert packing.of_files(10_000_000, is_fast) == ""
    assert len(asked) == 1
    assert Packing("zstd").of_files(10_000_000, lambda _: False) == "zstd"
    assert Packing("zstd", "zstd").of_files(10_000_000, is_fast) == "zstd"
    assert Packing().of_files(10_000_000, is_fast) == ""


def test_the_better_program_is_taken_if_there_is_one() -> None:
    assert best_packer("auto", {"gzip", "zstd"}) == "zstd"
    assert best_packer("always", {"gzip"}) == "gzip"
    assert best_packer("auto", set()) == ""
    assert best_packer("never", {"gzip", "zstd"}) == ""


@pytest.mark.parametrize("packer", ["", "gzip", "zstd"])
def test_the_code_of_what_is_packed_comes_through(sshd: Sshd, packer: Packer) -> None:
    host = SshHost(SshHostSettings(sshd.server()))
    workers = Workers(host, GNU)
    failed = workers.run([b"sh", b"-c", b"echo half; exit 3"], packer)
    assert (failed.stdout, failed.code) == (b"half\n", 123)  # what xargs makes of it
    done = workers.run([b"echo", b"whole"], packer)
    assert (done.stdout, done.code) == (b"whole\n", 0)
    workers.close()
    host.close()


@pytest.fixture
def cutting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A host whose zstd leaves something out at the end, and says that all went well."""
    folder = tmp_path_factory.mktemp("cutting")
    (folder / "tools").mkdir()
    tool = folder / "tools" / "zstd"
    tool.write_text(f'#!/bin/sh\n{need_program("zstd")} "$@" | head -c -9\n')
    tool.chmod(0o755)
    server = start_sshd(folder, environment=f"PATH={folder}/tools:{os.environ['PATH']}")
    yield server
    stop_sshd(server)


def test_half_a_listing_is_none(cutting: Sshd, tree: Path) -> None:
    source = SshSource(SshHostSettings(cutting.server()), [str(tree)])
    with pytest.raises(SourceUnavailable, match="no proper listing: it ends in the middle"):
        walk(source)
    source.close()


def test_half_a_stream_is_no_file(cutting: Sshd, tree: Path) -> None:
    host = SshHost(SshHostSettings(cutting.server()))
    workers = Workers(host, GNU)
    with workers.lend() as worker:
        worker.ask("tar", os.fsencode(tree / "small 1") + b"\0", packer="zstd")
        with pytest.raises(BadlyPacked):
            worker.finish()
    host.close()


@pytest.mark.parametrize("packer", PACK)
@pytest.mark.parametrize("size", [0, 1, 100_000, 20_000_000])
def test_what_unpacks_to_very_much_comes_in_pieces(packer: Packer, size: int) -> None:
    packed = PACK[packer](bytes(size))
    given = iter([packed[start : start + 999] for start in range(0, len(packed), 999)])
    read, total = unpacked(lambda: next(given, b""), packer), 0
    while piece := read():
        assert piece.count(0) == len(piece) <= 80 * 1024 * 1024
        total += len(piece)
    assert total == size


def test_a_host_may_not_ask_for_much_memory() -> None:
    plain = bytes(20_000_000)
    wide = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, compression_level=1)
    ).compress(plain)
    read = unpacked(lambda: wide, "zstd")
    with pytest.raises(BadlyPacked):
        read()


@pytest.mark.parametrize("packer", PACK)
@pytest.mark.parametrize("size", [0, 10, 1_500_000])
def test_what_comes_after_the_end_is_not_dropped(packer: Packer, size: int) -> None:
    """In the same piece, so that nobody is asked for it any more."""
    given = iter([PACK[packer](os.urandom(size)) + b"more"])
    read = unpacked(lambda: next(given, b""), packer)
    with pytest.raises(BadlyPacked, match="more comes"):
        list(iter(read, b""))


@pytest.mark.parametrize("packer", PACK)
@pytest.mark.parametrize("damage", ["empty", "noise", "cut"])
def test_what_cannot_be_unpacked_is_refused(packer: Packer, damage: str) -> None:
    packed = PACK[packer](os.urandom(10_000))
    given = iter([{"empty": b"", "noise": b"noise" * 10, "cut": packed[:-5]}[damage]])
    read = unpacked(lambda: next(given, b""), packer)
    with pytest.raises(Malformed):
        list(iter(read, b""))
