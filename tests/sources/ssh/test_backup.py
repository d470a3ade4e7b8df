"""Backups of a host: the same trees as from here, and over the wire only what changed."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import crew, locks, tree_cache
from repository.backup import BackupOptions, BackupResult, backup
from repository.entries import Problem, Source, SourceUnavailable
from repository.locks import lock_repository
from repository.lookup import find_node
from repository.repository import Repository
from repository.tree_cache import NO_TREE_CACHE, TreeCache
from sources.local import LocalSource
from sources.ssh import patience
from sources.ssh.host import SshHostSettings
from sources.ssh.packing import Compression
from sources.ssh.source import SshSource
from tests.repository.engine import differences, latest, new_repo, restore_to
from tests.servers.sshd import Sshd
from tests.servers.tcp_wire import TcpWire, wire_to
from tests.sources.nasty import make_nasty_tree

TICK_S = 0.03  # above the clock tick of a file system, and so of a ctime


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0)
    monkeypatch.setattr(tree_cache, "RACY_NS", 10_000_000)
    monkeypatch.setattr(patience, "WAITS_S", (0.0, 0.0))


@pytest.fixture
def wire(sshd: Sshd) -> Iterator[TcpWire]:
    with wire_to(sshd.port) as wire:
        yield wire


def back_up(
    repo: Repository,
    source: Source,
    cache: Path | None = None,
    problems: list[Problem] | None = None,
    workers: int = 0,
) -> BackupResult:
    time.sleep(TICK_S)
    found: list[Problem] = []
    with (
        TreeCache(cache, source) if cache else NO_TREE_CACHE as known,
        lock_repository(repo) as lock,
    ):
        result = backup(repo, source, BackupOptions(workers=workers), lock, report=found.append, cache=known)
    if problems is None:
        assert found == []
    else:
        problems += found
    return result


def over_ssh(sshd: Sshd, tree: Path, port: int | None = None, compression: Compression = "auto") -> SshSource:
    return SshSource(SshHostSettings(sshd.server(port=port), compression=compression), [str(tree)])


def tree_of(repo: Repository, path: Path) -> bytes | None:
    return find_node(repo, latest(repo), os.fsencode(path)).subtree


def test_the_same_tree_has_the_same_id_over_ssh(sshd: Sshd, tmp_path: Path) -> None:
    """All but the order of attributes, where there are several: getfattr sorts them, the kernel does not."""
    tree = make_nasty_tree(tmp_path / "tree")
    for path in (tree / "attributes").iterdir():
        for name in os.listxattr(path)[1:]:
            os.removexattr(path, name)
    if (tree / "root").exists():
        os.removexattr(tree / "root" / "file", "trusted.secret")
    os.link(tree / "sizes" / "sparse", tree / "sizes" / "another name")
    repo = new_repo()
    back_up(repo, LocalSource([str(tree)]))
    first = tree_of(repo, tree)
    again = back_up(repo, over_ssh(sshd, tree))
    assert tree_of(repo, tree) == first
    assert again.data_blobs == 0


def test_worker_processes_read_the_same(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "START_FILES", 5)
    tree = make_nasty_tree(tmp_path / "tree")
    for path in (tree / "attributes").iterdir():
        for name in os.listxattr(path)[1:]:
            os.removexattr(path, name)
    if (tree / "root").exists():
        os.removexattr(tree / "root" / "file", "trusted.secret")
    for number in range(20):
        (tree / f"folder {number}" / "below").mkdir(parents=True)
        for size in (0, 10, 100_000, 600_000, 5_000_000 if number == 7 else 1):
            (tree / f"folder {number}" / "below" / f"{size}").write_bytes(os.urandom(size))
    os.link(tree / "folder 0" / "below" / "10", tree / "folder 1" / "another name")
    repo = new_repo()
    back_up(repo, LocalSource([str(tree)]))
    first = tree_of(repo, tree)
    source, cache = over_ssh(sshd, tree, compression="always"), tmp_path / "cache"
    again = back_up(repo, source, cache, workers=2)
    assert tree_of(repo, tree) == first
    assert again.data_blobs == 0
    (tree / "folder 3" / "below" / "10").write_bytes(b"changed")
    third = back_up(repo, over_ssh(sshd, tree), cache, workers=2)
    assert third.files_changed == 1
    assert tree_of(repo, tree) != first


def test_it_restores_to_the_same_tree(sshd: Sshd, tmp_path: Path) -> None:
    tree = make_nasty_tree(tmp_path / "tree")
    (tree / "kinds" / "socket").unlink()  # those are left out
    repo = new_repo()
    back_up(repo, over_ssh(sshd, tree))
    restore_to(repo, tmp_path / "out")
    assert differences(tree, Path(f"{tmp_path}/out{tree}")) == ""


def test_only_what_changed_crosses_the_wire(sshd: Sshd, tmp_path: Path, wire: TcpWire) -> None:
    tree = tmp_path / "tree"
    for number in range(2000):
        folder = tree / f"{number % 20}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(os.urandom(5_000))
    repo, cache = new_repo(), tmp_path / "cache"
    first = back_up(repo, over_ssh(sshd, tree, wire.port), cache)
    assert first.files_new == 2000
    assert wire.down_bytes > 10_000_000
    before = wire.down_bytes
    again = back_up(repo, over_ssh(sshd, tree, wire.port), cache)
    assert again.files_unmodified == 2000
    assert wire.down_bytes - before < 400_000, "the listing alone: some 150 bytes a file"
    (tree / "7" / "7").write_bytes(b"changed")
    before = wire.down_bytes
    third = back_up(repo, over_ssh(sshd, tree, wire.port), cache)
    assert (third.files_changed, third.files_unmodified) == (1, 1999)
    assert wire.down_bytes - before < 400_000
    assert tree_of(repo, tree) != first.tree


def test_a_backup_that_lost_its_host_has_no_snapshot_and_goes_on_later(
    sshd: Sshd, tmp_path: Path, wire: TcpWire
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(4):
        (tree / f"large {number}").write_bytes(os.urandom(20_000_000))
    repo = new_repo()
    source = over_ssh(sshd, tree, wire.port)
    wire.cut_after(down=50_000_000, for_good=True)
    with pytest.raises(SourceUnavailable, match="goes on"):
        back_up(repo, source)
    assert list(repo.list_snapshots(lambda key, error: None)) == []
    second = back_up(repo, over_ssh(sshd, tree))
    assert second.files_new == 4
