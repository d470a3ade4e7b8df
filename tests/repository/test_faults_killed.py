"""kill -9 in the middle of a real run on a real disk: also between a file's content and its name."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import pytest

from repository.check import check
from repository.locks import remove_stale_locks
from tests.repository import driven
from tests.repository.engine import PASSWORD, Restic, new_local_repo, open_local
from tests.repository.upkeep import Contents, back_up, contents, fill, make_odd

ARGUMENTS = {
    "backup": ["backup", "source"],
    "copy": ["copy", "--from-repo", "other", "--from-password-file", "password"],
    "forget": ["forget", "--keep-last", "1", "--group-by", ""],
    "prune": ["prune", "--max-unused", "0"],
}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository that has much to prune, another to copy from, and what was backed up."""
    top = tmp_path_factory.mktemp("original")
    repo, other = new_local_repo(top / "repo"), new_local_repo(top / "other")
    (top / "password").write_text(PASSWORD)
    make_folders(top / "repo")
    fill(top / "source", 1, files=8)
    back_up(repo, top / "source")
    fill(top / "source", 2, files=4)
    back_up(other, top / "source")
    back_up(repo, top / "source")
    make_odd(repo, 3)
    fill(top / "source", 4, files=3)
    back_up(other, top / "source")
    return top


def make_folders(repo: Path) -> None:
    """Make all folders that a repository can have: how many are missing depends on the ids of packs."""
    for name in ("index", "keys", "locks", "snapshots", *(f"data/{number:02x}" for number in range(256))):
        (repo / name).mkdir(parents=True, exist_ok=True)


@pytest.fixture(scope="module")
def moments(original: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """How many moments each command has: the ids of what it writes differ each time, not their number."""
    found = {}
    for name, arguments in ARGUMENTS.items():
        top = shutil.copytree(original, tmp_path_factory.mktemp(name) / "top", symlinks=True)
        code, found[name], errors = driven.run(top, *arguments)
        assert code == 0, errors
    return found


def held(path: Path) -> dict[bytes, Contents]:
    repo = open_local(path)
    return {snapshot.tree: contents(repo, snapshot) for _, snapshot in repo.list_snapshots()}


def kept(path: Path, name: str) -> dict[bytes, Contents]:
    """Return what must be there afterwards: all, but for what a forget may have removed."""
    found, repo = held(path), open_local(path)
    newest = repo.list_snapshots()[-1][1].tree
    return {newest: found[newest]} if name == "forget" else found


def assert_survives_a_kill(original: Path, top: Path, restic: str, name: str, k: int) -> None:
    before = kept(original / "repo", name)
    shutil.copytree(original, top, symlinks=True)
    assert driven.run(top, *ARGUMENTS[name], k=k)[0] == -signal.SIGKILL
    repo = open_local(top / "repo")
    remove_stale_locks(repo)  # of a process of this host that is gone
    assert list(repo.storage.list("locks/")) == []
    assert check(repo, read_data=True).errors == []
    Restic(restic, top / "repo").check()
    after = held(top / "repo")
    assert {tree: after.get(tree) for tree in before} == before


def assert_goes_on(top: Path, name: str) -> None:
    remove_stale_locks(open_local(top / "other"))
    assert driven.run(top, *ARGUMENTS[name])[0] == 0
    assert driven.run(top, *ARGUMENTS["prune"])[0] == 0
    final = check(open_local(top / "repo"), read_data=True)
    assert (final.errors, final.hints) == ([], [])


@pytest.mark.parametrize("share", [0.2, 0.5, 0.75, 0.95])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_snapshot_survives(
    original: Path, moments: dict[str, int], tmp_path: Path, restic: str, name: str, share: float
) -> None:
    k = max(1, int(moments[name] * share))
    assert_survives_a_kill(original, tmp_path / "top", restic, name, k)
    if share in (0.5, 0.95):
        assert_goes_on(tmp_path / "top", name)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_snapshot_survives_a_kill_at_any_moment(
    original: Path, moments: dict[str, int], tmp_path: Path, restic: str, name: str
) -> None:
    assert moments[name] >= 4
    for k in range(1, moments[name] + 1):
        top = tmp_path / f"{k}"
        assert_survives_a_kill(original, top, restic, name, k)
        assert_goes_on(top, name)
        shutil.rmtree(top)
