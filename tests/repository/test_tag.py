"""Tags: a snapshot gets a new id and keeps all else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from repository.errors import RepositoryError, SnapshotNotFound
from repository.locks import lock_repository
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tag import TagChange, TagResult, tag
from tests.repository.engine import Restic, make_backup, new_local_repo, new_repo


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)


def run_tag(repo: Repository, snapshot_id: bytes, change: TagChange) -> TagResult:
    with lock_repository(repo, exclusive=True) as lock:
        return tag(repo, [snapshot_id], change, lock)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (TagChange(add=["c", "a"]), ["a", "b", "c"]),
        (TagChange(remove=["a", "x"]), ["b"]),
        (TagChange(replace=["x", "y", "x"]), ["x", "y"]),
        (TagChange(replace=[""]), []),
        (TagChange(remove=["a", "b"]), []),
        (TagChange(add=[""]), ["a", "b"]),
        (TagChange(add=["a"], remove=["a"]), ["b", "a"]),
    ],
)
def test_tags_change_so(change: TagChange, expected: list[str]) -> None:
    assert change.apply(["a", "b"]) == expected


def test_all_but_the_tags_stays() -> None:
    repo = new_repo()
    snapshot = Snapshot(
        "2024-01-01T00:00:00Z", b"t" * 32, ["/x"], "h", tags=["a"], parent=b"p" * 32,
        program_version="restic 0.18.1", summary={"files_new": 3}, extra={"label": "rustic's"},
    )  # fmt: skip
    first = repo.save_snapshot(snapshot)
    ((_, second),) = run_tag(repo, first, TagChange(add=["b"])).changed
    assert [each[0] for each in repo.list_snapshots()] == [second]
    assert repo.load_snapshot(second) == replace(snapshot, tags=["a", "b"], original=first)
    ((_, third),) = run_tag(repo, second, TagChange(replace=[])).changed
    assert repo.load_snapshot(third) == replace(snapshot, tags=[], original=first)


def test_nothing_is_written_if_nothing_changes() -> None:
    repo = new_repo()
    first = repo.save_snapshot(Snapshot("2024-01-01T00:00:00Z", b"t" * 32, ["/x"], tags=["a"]))
    assert run_tag(repo, first, TagChange(add=["a"], remove=["b"])).unchanged == [first]
    assert [each[0] for each in repo.list_snapshots()] == [first]


def test_a_shared_lock_and_an_unknown_snapshot_are_refused() -> None:
    repo = new_repo()
    with lock_repository(repo) as lock, pytest.raises(RepositoryError, match="exclusive"):
        tag(repo, [], TagChange(), lock)
    with pytest.raises(SnapshotNotFound):
        run_tag(repo, bytes(32), TagChange(add=["a"]))


def test_restic_sees_them_and_goes_on(tmp_path: Path, restic: str) -> None:
    repo, real = new_local_repo(tmp_path / "repo"), Restic(restic, tmp_path / "repo")
    (tmp_path / "file").write_bytes(b"x")
    first = make_backup(repo, tmp_path / "file").result.snapshot_id
    run_tag(repo, first, TagChange(add=["a", "ü<"]))
    (seen,) = json.loads(real.run("snapshots", "--json").stdout)
    assert (seen["tags"], seen["original"]) == (["a", "ü<"], first.hex())
    real.run("tag", "--remove", "a")
    ((_, snapshot),) = repo.list_snapshots()
    assert (snapshot.tags, snapshot.original) == (["ü<"], first)
