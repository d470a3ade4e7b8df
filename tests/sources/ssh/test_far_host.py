"""Backups and restores between two networks, as between two machines: links go down, are slow, come back."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from repository import locks
from repository.backup import BackupOptions, BackupResult, backup
from repository.entries import OpenFile, Problem, SourceUnavailable, TargetError
from repository.locks import lock_repository
from repository.lookup import find_node
from repository.progress import Progress
from repository.repository import Repository
from repository.restore import RestoreOptions, restore
from sources.ssh import patience
from sources.ssh.host import SshHostSettings
from sources.ssh.in_place import SshInPlaceTarget
from sources.ssh.source import SshSource
from sources.ssh.target import SshTarget
from ssh.connection import TimeLimits
from tests.repository.engine import latest, new_repo
from tests.servers.far_host import FarHost, far_host
from tests.servers.tcp_wire import wire_to
from tests.sources.nasty import make_nasty_tree
from tests.sources.trees import differences, needs_root

pytestmark = needs_root

SHORT = TimeLimits(connect_s=2, handshake_s=20, login_s=20, idle_s=20, keepalive_s=0.3, dead_s=4)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0)
    monkeypatch.setattr(patience, "WAITS_S", (0.0, 0.1))


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHost]:
    with far_host(tmp_path_factory.mktemp("far")) as host:
        yield host


@pytest.fixture
def settings(far: FarHost) -> Iterator[SshHostSettings]:
    """How to get there; the link is up again after the test."""
    yield SshHostSettings(far.sshd.server(), limits=SHORT)
    far.bring_link_up()


class WatchedSource(SshSource):
    """Calls `at_file` with the number of each file before it hands it out."""

    at_file: Callable[[int], None] = staticmethod(lambda number: None)

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        for number, file in enumerate(super().open_files(paths)):
            self.at_file(number)
            yield file


def back_up(
    repo: Repository,
    settings: SshHostSettings,
    tree: Path,
    at_file: Callable[[int], None] = lambda number: None,
) -> BackupResult:
    source, problems = WatchedSource(settings, [str(tree)]), list[Problem]()
    source.at_file = at_file
    try:
        with lock_repository(repo) as lock:
            result = backup(repo, source, BackupOptions(workers=0), lock, report=problems.append)
    finally:
        source.close()
    assert problems == []
    return result


def large_tree(tree: Path) -> Path:
    tree.mkdir()
    for number in range(5):
        (tree / f"{number}").write_bytes(os.urandom(6_000_000))
    return tree


def test_backup_unchanged_change_and_restore(settings: SshHostSettings, tmp_path: Path) -> None:
    tree = make_nasty_tree(tmp_path / "tree")
    (tree / "kinds" / "socket").unlink()
    repo = new_repo()
    first = back_up(repo, settings, tree)
    before = find_node(repo, latest(repo), os.fsencode(tree)).subtree
    again = back_up(repo, settings, tree)
    assert again.files_unmodified == first.files_new
    assert find_node(repo, latest(repo), os.fsencode(tree)).subtree == before
    (tree / "deep" / "new").write_text("new")
    third = back_up(repo, settings, tree)
    assert (third.files_new, third.files_changed) == (1, 0)
    repo.load_index()
    there = SshTarget(settings, str(tmp_path / "there"))
    restore(repo, latest(repo), there, RestoreOptions(strip=os.fsencode(tree)))
    there.close()
    assert differences(tree, tmp_path / "there").replace(".d..t...... ./\n", "") == ""
    (tree / "deep" / "new").write_text("spoiled")
    in_place = SshInPlaceTarget(settings, str(tree))
    restore(repo, latest(repo), in_place, RestoreOptions(strip=os.fsencode(tree)))
    in_place.close()
    assert (tree / "deep" / "new").read_text() == "new"


def test_a_link_that_is_down_for_a_moment_costs_nothing(
    settings: SshHostSettings, far: FarHost, tmp_path: Path
) -> None:
    tree, repo = large_tree(tmp_path / "tree"), new_repo()
    timers: list[threading.Timer] = []

    def pull(number: int) -> None:
        if number == 1:
            far.take_link_down()
            timers.append(threading.Timer(0.5, far.bring_link_up))
            timers[0].start()

    result = back_up(repo, settings, tree, pull)
    timers[0].join()
    assert result.files_new == 5


def test_a_link_that_stays_down_ends_the_backup_in_time_and_the_next_goes_on(
    settings: SshHostSettings, far: FarHost, tmp_path: Path
) -> None:
    tree, repo, pulled = large_tree(tmp_path / "tree"), new_repo(), []

    def pull(number: int) -> None:
        if number == 1:
            far.take_link_down()
            pulled.append(time.monotonic())

    with pytest.raises(SourceUnavailable, match="goes on from there"):
        back_up(repo, settings, tree, pull)
    assert time.monotonic() - pulled[0] < 30
    assert list(repo.list_snapshots(lambda key, error: None)) == []
    with pytest.raises(SourceUnavailable, match="no connection"):
        SshSource(settings, [str(tree)]).check()
    far.bring_link_up()
    assert back_up(repo, settings, tree).files_new == 5


def test_a_link_that_goes_down_in_a_restore_leaves_nothing_half(
    settings: SshHostSettings, far: FarHost, tmp_path: Path
) -> None:
    tree, repo = large_tree(tmp_path / "tree"), new_repo()
    back_up(repo, settings, tree)
    repo.load_index()
    before = {each.name: each.read_bytes() for each in tree.iterdir()}
    for each in tree.iterdir():
        each.write_bytes(b"of today")
    there = SshInPlaceTarget(settings, str(tree))
    pulled: list[bool] = []

    def pull(progress: Progress) -> None:
        if not pulled and progress.bytes_done > 8_000_000:
            pulled.append(True)
            far.take_link_down()

    with pytest.raises(TargetError):
        restore(repo, latest(repo), there, RestoreOptions(strip=os.fsencode(tree)), pull)
    assert {each.read_bytes() for each in tree.iterdir() if each.is_file()} == {b"of today"}
    far.bring_link_up()
    there.close()
    again = SshInPlaceTarget(settings, str(tree))
    restore(repo, latest(repo), again, RestoreOptions(strip=os.fsencode(tree)))
    again.close()
    assert {each.name: each.read_bytes() for each in tree.iterdir() if each.is_file()} == before


def test_a_slow_link_is_no_dead_one(settings: SshHostSettings, far: FarHost, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(20):
        (tree / f"{number}").write_bytes(os.urandom(50_000))
    with wire_to(far.sshd.port, far.sshd.address) as wire:
        wire.most_bytes_a_second = 1_000_000
        server = replace(settings.server, host="127.0.0.1", port=wire.port)
        started = time.monotonic()
        result = back_up(new_repo(), replace(settings, server=server), tree)
        assert time.monotonic() - started > 1
    assert result.files_new == 20


def test_another_host_key_is_refused_before_anything_is_sent(
    settings: SshHostSettings, far: FarHost, tmp_path: Path
) -> None:
    (tmp_path / "key").parent.mkdir(exist_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    other = " ".join((tmp_path / "key.pub").read_text().split()[:2])
    wrong = replace(settings, server=replace(settings.server, known_host_keys=(other,)))
    with pytest.raises(SourceUnavailable, match="another host key than the one that was confirmed"):
        SshSource(wrong, [str(tmp_path)]).check()
