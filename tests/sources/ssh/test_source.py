"""A tree over SSH is what the same tree is when it is read here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from repository.entries import Entry, Problem, ScannableSource, SourceUnavailable
from sources.local import LocalSource
from sources.rules import Rules
from sources.ssh.host import SshHostSettings
from sources.ssh.source import SshSource
from tests.servers.sshd import Sshd
from tests.sources.nasty import make_nasty_tree
from tests.sources.trees import read_chunks, walk


def over_ssh(sshd: Sshd, *paths: Path | str, rules: Rules = Rules(), **more: object) -> SshSource:
    return SshSource(SshHostSettings(sshd.server()), [str(path) for path in paths], rules=rules, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = make_nasty_tree(tmp_path_factory.mktemp("ssh") / "nasty")
    os.link(tree / "sizes" / "sparse", tree / "sizes" / "another name")
    (tree / "large").write_bytes(os.urandom(9_000_001))
    return tree


def plain(entry: Entry) -> Entry:
    """Return the entry but for the order of its attributes, which getfattr does not keep."""
    return replace(entry, xattrs=tuple(sorted(entry.xattrs)))


def test_the_nasty_tree_is_the_same_as_read_here(sshd: Sshd, nasty: Path) -> None:
    source = over_ssh(sshd, nasty)
    source.check()
    here = walk(LocalSource([str(nasty)]), may_complain=True)
    there = walk(source, may_complain=True)
    assert there.keys() == here.keys()
    below = [path for path in here if path.startswith(os.fsencode(nasty))]
    assert [plain(there[path]) for path in below] == [plain(here[path]) for path in below]
    assert isinstance(source, ScannableSource)
    source.close()


def test_the_content_of_every_file_is_the_same(sshd: Sshd, nasty: Path) -> None:
    source = over_ssh(sshd, nasty)
    files = [path for path, entry in walk(source).items() if entry.kind == "file"]
    for file in source.open_files(files):
        assert not isinstance(file, Problem), file
        assert b"".join(read_chunks(file)) == Path(os.fsdecode(file.path)).read_bytes()
        assert file.entry_now() is file.entry
        file.close()
        files.remove(file.path)
    assert files == []
    source.close()
