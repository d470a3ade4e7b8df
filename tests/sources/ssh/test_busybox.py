"""A host without GNU's tools gives the same tree, but for what it says it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from repository.entries import Entry, Problem
from sources.local import LocalSource
from sources.ssh.host import SshHostSettings
from sources.ssh.source import SshSource
from tests.servers.sshd import Sshd, stop_sshd
from tests.sources.nasty import make_nasty_tree
from tests.sources.ssh.busybox import start_busybox
from tests.sources.trees import read_chunks, walk


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = start_busybox(tmp_path_factory.mktemp("busybox"))
    yield server
    stop_sshd(server)


def plain(entry: Entry) -> Entry:
    """Return the entry without what a host without getfattr and getent cannot tell."""
    return replace(entry, xattrs=())


def test_the_nasty_tree_and_its_files(busybox: Sshd, tmp_path: Path) -> None:
    tree = make_nasty_tree(tmp_path / "tree")
    os.link(tree / "sizes" / "random 4096", tree / "sizes" / "another name")
    source = SshSource(SshHostSettings(busybox.server(), compression="always"), [str(tree)])
    source.check()
    assert ["getfattr" in limit for limit in source.limits] == [True]
    here = walk(LocalSource([str(tree)]))
    there = walk(source, may_complain=True)
    assert there.keys() == here.keys()
    below = [path for path in here if path.startswith(os.fsencode(tree))]
    assert [plain(there[path]) for path in below] == [plain(here[path]) for path in below]
    files = [path for path, entry in there.items() if entry.kind == "file"]
    for file in source.open_files(list(files)):
        assert not isinstance(file, Problem), file
        assert b"".join(read_chunks(file)) == Path(os.fsdecode(file.path)).read_bytes()
        assert file.entry_now() is file.entry
        file.close()
        files.remove(file.path)
    assert files == []
    source.close()


def test_files_that_vanished_take_no_other_with_them(busybox: Sshd, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    source = SshSource(SshHostSettings(busybox.server()), [str(tmp_path)])
    files = [path for path, entry in walk(source, may_complain=True).items() if entry.kind == "file"]
    (tmp_path / "b").unlink()
    seen = {}
    for file in source.open_files(files):
        name = Path(os.fsdecode(file.path)).name
        seen[name] = file.kind if isinstance(file, Problem) else b"".join(read_chunks(file)).decode()
    assert seen == {"a": "a", "b": "vanished", "c": "c"}
    source.close()
