"""Prunes as jobs: begun when points have left and it pays, at no bad moment, true about what they freed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core import clock, words
from core.alerting import alerts
from core.db import utc_now, write
from core.errors import Conflict, NotFound
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Copy, Job, RepositoryRecord, Storage
from core.points import points
from core.retention import pruning, retention
from core.storages import storage_usage, storages
from repository import locks
from repository.locks import lock_repository
from repository.prune_plan import PruneOptions
from storage_adapters.errors import StorageFull
from tests.core.making import back_up, make_config, make_storage, make_tree, restic, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return the folder of a new storage's repository."""
    return make_storage(tmp_path)


@pytest.fixture
def config(repository: Path, tmp_path: Path) -> Config:
    """Return a config with a small point, kept, and one of 300 kB that lay in the trash for a week."""
    tree = make_tree(tmp_path / "tree")
    made = make_config(tree, retention={"max_backups": 1})
    (tree / "large").write_bytes(os.urandom(300_000))
    assert back_up(made.id).status == "completed"
    (tree / "large").unlink()
    assert back_up(made.id).status == "completed"
    clean_up(made.id)
    with write() as session:
        for copy in session.query(Copy).where(Copy.trashed_at.is_not(None)):
            copy.trashed_at = utc_now() - retention.TRASH_FOR
    return made


def clean_up(config_id: str) -> Job:
    """Run the retention of a config in this process."""
    return run(jobs.create_retention("manual", config_id, confirmed=True))


def record() -> RepositoryRecord:
    """Return the only repository."""
    (found,) = storages.list_repositories()
    return found


def prunes() -> list[Job]:
    """Return all prunes, newest first."""
    return list(jobs.list_jobs(kind="prune").items)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def count_of(folder: Path) -> int:
    return sum(path.is_file() for path in folder.rglob("*"))


def perform(job: Job) -> Job:
    """Let a job that may wait be tried once more, now."""
    jobs.hasten(job.id)
    return run(job)


def test_what_left_the_trash_is_freed_by_a_prune_that_begins_by_itself(
    config: Config, repository: Path
) -> None:
    assert prunes() == []
    before = size_of(repository / "data")
    assert clean_up(config.id).counts["removed"] == 1
    (job,) = prunes()
    assert (job.status, job.trigger) == ("queued", pruning.AUTOMATIC)
    job = run(job)
    freed = before - size_of(repository / "data")
    assert (job.status, job.counts["bytes_freed"]) == ("completed", freed), job.summary
    assert freed > 300_000
    assert job.summary == f"Freed {words.size(freed)} in 2 packs on Local disk."
    assert "no errors" in restic(repository, "check", "--read-data")
    assert not list((repository / "locks").iterdir())
    used = storages.list_all()[0].used_bytes or 0
    assert 0 < used < 300_000, "how full the storage is was not looked at again"


def test_copies_for_which_there_was_no_room_are_not_told_as_freed(
    config: Config, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first try leaves what it had copied, and the second, which copies nothing, removes that."""
    clean_up(config.id)
    packs, real = repository / "data", pruning.prune

    def full_at_first(repo: Any, options: PruneOptions, *rest: Any, is_worth: Callable[[Any], bool]) -> Any:
        if not options.max_repack_bytes:
            return real(repo, options, *rest, is_worth=is_worth)
        real(repo, options, *rest, is_worth=lambda expected: is_worth(expected) and False)
        copied = os.urandom(700_000)
        name = hashlib.sha256(copied).hexdigest()
        (packs / name[:2]).mkdir(exist_ok=True)
        (packs / name[:2] / name).write_bytes(copied)
        raise StorageFull("no space is left")

    monkeypatch.setattr(pruning, "prune", full_at_first)
    before, count = size_of(packs), count_of(packs)
    job = run(prunes()[0])
    assert job.status == "completed"
    assert job.counts["bytes_before"] == before
    assert job.counts["bytes_freed"] == before - size_of(packs)
    assert job.counts["packs_deleted"] == count - count_of(packs)
    assert job.counts["bytes_left"] > 250_000
    assert "when there is room for copies" in job.meaning
    assert pruning.follow(utc_now() + 2 * pruning.ONCE_IN) == [], "each would fill the storage again"


def test_it_begins_once_a_day_and_only_after_something_left(config: Config) -> None:
    clean_up(config.id)
    run(prunes()[0])
    now = utc_now()
    assert pruning.follow(now + timedelta(days=2)) == [], "nothing has left since"
    with write() as session:
        session.query(Copy).where(Copy.forgotten_at.is_not(None)).update({"forgotten_at": utc_now()})
    assert pruning.follow(now + timedelta(hours=23)) == []
    assert len(pruning.follow(now + timedelta(hours=25))) == 1


def test_one_that_failed_is_tried_again_after_an_hour(config: Config) -> None:
    clean_up(config.id)
    jobs.request_cancel(prunes()[0].id)
    assert pruning.follow(utc_now() + timedelta(minutes=59)) == []
    assert len(pruning.follow(utc_now() + timedelta(minutes=61))) == 1


def test_little_is_left_alone_unless_a_person_asks(
    config: Config, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "PAYS_FROM", 0.999)
    clean_up(config.id)
    before = size_of(repository / "data")
    job = run(prunes()[0])
    assert (job.status, job.counts["bytes_freed"]) == ("completed", 0)
    assert "it pays from" in job.summary
    assert size_of(repository / "data") == before
    asked = run(pruning.create(record().id, "manual"))
    assert (asked.status, asked.counts["bytes_freed"] > 300_000) == ("completed", True), asked.summary
    again = run(pruning.create(record().id, "manual"))
    assert again.summary == "There was nothing to free on Local disk."


def test_asking_for_one_that_is_queued_makes_it_free_what_it_can(config: Config) -> None:
    clean_up(config.id)
    (queued,) = prunes()
    assert pruning.create(record().id, "manual").id == queued.id
    assert jobs.get(queued.id).trigger == "manual"
    assert attempts.claim(queued.id) is not None
    with pytest.raises(Conflict, match="already"):
        pruning.create(record().id, "manual")
    with pytest.raises(NotFound):
        pruning.create("nothing", "manual")


def test_it_waits_for_a_lock_of_somebody_else(config: Config, repository: Path) -> None:
    clean_up(config.id)
    before = size_of(repository / "data")
    repo = storages.open_repository(record())
    with lock_repository(repo):
        job = run(prunes()[0])
    repo.close()
    assert (job.status, job.phase) == ("queued", "waiting")
    assert "locked by" in job.waiting_reason
    assert size_of(repository / "data") == before
    assert perform(job).status == "completed"


def test_it_waits_for_a_backup_of_ours_and_gives_up_without_alarm(config: Config, repository: Path) -> None:
    clean_up(config.id)
    running = attempts.claim(jobs.create_backup(config.id, "manual").id)
    assert running is not None
    repo = storages.open_repository(record())
    with lock_repository(repo, on_lock_id=running.hold_lock):
        job = run(prunes()[0])
        assert (job.status, "another job of Holdfast" in job.waiting_reason) == ("queued", True)
        with write() as session:
            row = session.get_one(Job, job.id)
            row.parameters = {"waiting_since": (utc_now() - attempts.WAIT_AT_MOST).isoformat()}
        job = perform(job)
    repo.close()
    assert (job.status, "tried again" in job.meaning) == ("cancelled", True)
    assert alerts.list_open() == []


def test_under_a_clock_that_jumped_nothing_is_deleted(
    config: Config, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean_up(config.id)
    before = size_of(repository)
    monkeypatch.setattr(clock, "jump", lambda now=None: timedelta(hours=30))
    job = run(prunes()[0])
    assert (job.status, "set forward by 30 hours" in job.summary) == ("failed", True)
    assert size_of(repository) == before


def test_of_a_storage_that_is_gone_nothing_begins_and_what_waits_says_so(
    config: Config, repository: Path
) -> None:
    clean_up(config.id)
    (queued,) = prunes()
    repository.parent.rename(repository.parent.with_name("away"))
    job = run(queued)
    assert (job.status, "unreachable" in job.summary) == ("failed", True)
    assert pruning.follow(utc_now() + timedelta(hours=2)) == []
    repository.parent.with_name("away").rename(repository.parent)
    storages.check_all()
    assert len(pruning.follow(utc_now() + timedelta(hours=2))) == 1


def test_damage_is_found_before_anything_is_deleted_and_told_until_a_prune_succeeds(
    config: Config, repository: Path
) -> None:
    clean_up(config.id)
    (snapshot,) = (repository / "snapshots").iterdir()
    whole = snapshot.read_bytes()
    snapshot.chmod(0o600)
    snapshot.write_bytes(bytes(len(whole)))
    before = size_of(repository / "data")
    job = run(prunes()[0])
    assert (job.status, size_of(repository / "data")) == ("failed", before), job.summary
    (alert,) = alerts.list_open()
    assert alert.what.startswith("The prune of Local disk failed.")
    snapshot.write_bytes(whole)
    assert run(pruning.create(record().id, "manual")).status == "completed"
    assert alerts.list_open() == []


def test_a_backup_that_waits_for_room_goes_on_after_it(config: Config) -> None:
    clean_up(config.id)
    storage = storages.list_all()[0]
    used = storage_usage.measure(storage).used_bytes or 0
    with write() as session:
        session.get_one(Storage, storage.id).quota_bytes = used
    attempt = attempts.claim(jobs.create_backup(config.id, "manual").id)
    assert attempt is not None
    job_kinds.perform(attempt)
    waiting = jobs.get(attempt.job_id)
    assert (waiting.status, waiting.phase) == ("queued", "waiting")
    run(prunes()[0])
    assert perform(waiting).status == "completed"


def test_cancelled_on_the_way_it_has_lost_nothing(config: Config, repository: Path) -> None:
    clean_up(config.id)
    attempt = attempts.claim(prunes()[0].id)
    assert attempt is not None
    attempt.cancelled.set()
    job_kinds.perform(attempt)
    job = jobs.get(attempt.job_id)
    assert (job.status, "as good as before" in job.meaning) == ("cancelled", True)
    assert "no errors" in restic(repository, "check")
    assert not list((repository / "locks").iterdir())


def packs(repository: Path) -> int:
    """Return how many packs a repository has."""
    return sum(1 for path in (repository / "data").rglob("*") if path.is_file())


def test_what_others_removed_is_not_deleted_for_ever_by_itself(
    config: Config, repository: Path, tmp_path: Path
) -> None:
    """A storage that lists no snapshots for once looks the same: the data must outlive that."""
    before = packs(repository)
    (repository / "snapshots").rename(tmp_path / "aside")
    assert run(jobs.create_retention("schedule")).status == "warning"
    assert jobs.list_jobs(kind="prune").total == 0
    queued = pruning.create(storages.list_repositories()[0].id, pruning.AUTOMATIC)
    ended = run(queued)
    assert (ended.status, "by another program" in ended.summary) == ("failed", True), ended.summary
    assert packs(repository) == before
    (tmp_path / "aside").rename(repository / "snapshots")
    restic(repository, "check", "--read-data")
    assert run(jobs.create_retention("schedule")).status == "completed"
    (config_point,) = points.good_points(config.id)
    assert points.is_good(config_point)


def test_nobody_compacts_what_has_lost_points_that_nobody_noticed(
    config: Config, repository: Path, tmp_path: Path
) -> None:
    before = packs(repository)
    (repository / "snapshots").rename(tmp_path / "aside")
    ended = run(pruning.create(storages.list_repositories()[0].id, "manual"))
    assert (ended.status, "should be there" in ended.summary) == ("failed", True), ended.summary
    assert packs(repository) == before
