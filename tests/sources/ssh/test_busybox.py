"""A host without GNU's tools gives the same tree, but for what it says it cannot."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from repository.backup import BackupOptions, BackupResult, backup
from repository.entries import Entry, Problem
from repository.locks import lock_repository
from repository.repository import Repository
from repository.restore import RestoreOptions, restore
from sources.local import LocalSource
from sources.ssh.host import SshHostSettings
from sources.ssh.source import SshSource
from sources.ssh.targets import open_target
from tests.repository.engine import latest, new_repo
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


def test_backup_unchanged_change_and_restore(busybox: Sshd, tmp_path: Path) -> None:
    """All of a tree that its tools and SFTP can tell and set comes back to it."""
    settings, tree = SshHostSettings(busybox.server()), tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "odd\nname\xe9").write_bytes(os.urandom(300_000))
    (tree / "-rf").write_text("dash")
    (tree / "link").symlink_to("nowhere")
    repo = new_repo()
    first = _back_up(repo, settings, tree)
    again = _back_up(repo, settings, tree)
    assert (first.files_new, again.files_new, again.files_changed) == (2, 0, 0)
    assert again.files_unmodified == 2
    (tree / "-rf").write_text("another dash")
    assert _back_up(repo, settings, tree).files_changed == 1
    repo.load_index()
    target = open_target(settings, str(tmp_path / "there"))
    problems: list[Problem] = []
    restore(repo, latest(repo), target, RestoreOptions(strip=os.fsencode(tree)), report=problems.append)
    target.close()
    assert [each for each in problems if each.loses_data] == []
    there = tmp_path / "there"
    names = sorted(each.relative_to(tree) for each in tree.rglob("*"))
    assert sorted(each.relative_to(there) for each in there.rglob("*")) == names
    assert os.readlink(there / "link") == "nowhere"
    for name in (name for name in names if (tree / name).is_file()):
        assert (there / name).read_bytes() == (tree / name).read_bytes()
        assert int((there / name).stat().st_mtime) == int((tree / name).stat().st_mtime)


def _back_up(repo: Repository, settings: SshHostSettings, tree: Path) -> BackupResult:
    source = SshSource(settings, [str(tree)])
    try:
        with lock_repository(repo) as lock:
            return backup(repo, source, BackupOptions(workers=0), lock)
    finally:
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
