"""Copies: each destination gets what its own rule keeps, from wherever that can be read; nothing is lost."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from core.alerting import alerts
from core.backups import copying
from core.configs import configs, states
from core.db import db, utc_now, write
from core.errors import Conflict, Refused
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Copy, Destination, Job, Point, RepositoryRecord
from core.points import points
from core.restores import restores
from core.retention import retention
from core.storages import recovery, storage_setup, storages
from repository.repository import Repository
from tests.core.making import back_up, make_storage, make_tree, restic, run

pytestmark = pytest.mark.usefixtures("context")


def add_disk(tmp_path: Path, name: str) -> str:
    """Set a further storage up in the folder of its name; return its repository's row id."""
    made = storage_setup.create_local(name, str(tmp_path / name), recovery.stored() or "")
    return made.repositories[0].id


@pytest.fixture
def two(tmp_path: Path) -> Config:
    """Return a config with two disks, of which the second gets a copy of each point."""
    make_storage(tmp_path)
    return make_config(tmp_path, [first(), {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"}])


def first() -> dict[str, object]:
    """Return the first repository as a destination."""
    return {"repository_id": storages.list_repositories()[0].id}


def make_config(tmp_path: Path, places: list[dict[str, object]], name: str = "Files") -> Config:
    """Make a config with these destinations that backs a small tree up."""
    tree = make_tree(tmp_path / "tree")
    return configs.create(
        configs.parse({"name": name, "source": {"paths": [str(tree)]}, "destinations": places})
    )


def copy_jobs() -> list[Job]:
    """Return the copies that wait."""
    return list(jobs.list_jobs(kind="copy", status="queued").items)


def change(tmp_path: Path, text: str = "new") -> None:
    """Change something in the tree."""
    (tmp_path / "tree" / "sub" / "0.txt").write_text(text * 1000)


def test_a_copy_follows_a_backup_and_restic_reads_it(two: Config, tmp_path: Path) -> None:
    config_id = two.id
    assert back_up(config_id).status == "completed"
    (queued,) = copy_jobs()
    job = run(queued)
    assert (job.status, job.files_done, job.files_total) == ("completed", 1, 1), job.summary
    assert "Copied 1 point from Local disk to second" in job.summary
    point = points.latest(config_id)
    assert point is not None
    assert len(point.copies) == 2
    for name in ("backups", "second"):
        restic(tmp_path / name / "repository", "check", "--read-data")
        restic(tmp_path / name / "repository", "restore", "latest", "--target", str(tmp_path / f"out-{name}"))
        restored = tmp_path / f"out-{name}" / str(tmp_path / "tree").lstrip("/") / "sub" / "0.txt"
        assert restored.read_bytes() == (tmp_path / "tree" / "sub" / "0.txt").read_bytes()
    assert all(not gap.missing for gap in copying.gaps(configs.get(config_id)))
    assert all(
        not list((tmp_path / name / "repository" / "locks").iterdir()) for name in ("backups", "second")
    )


def test_what_is_stored_already_is_not_stored_again(two: Config, tmp_path: Path) -> None:
    """Both repositories cut files the same way, so a direct backup to the second finds all its pieces."""
    back_up(two.id)
    run(copy_jobs()[0])
    (tmp_path / "backups").rename(tmp_path / "away")
    job = back_up(two.id)
    assert (job.status, job.counts["data_blobs"]) == ("warning", 0)


def test_the_repositories_share_their_polynomial(two: Config) -> None:
    found = set()
    for record in storages.list_repositories():
        repo = storages.open_repository(record)
        found.add(repo.config.chunker_polynomial)
        repo.close()
    assert len(found) == 1


def test_a_tier_gets_only_what_its_rule_keeps(tmp_path: Path) -> None:
    make_storage(tmp_path)
    config = make_config(tmp_path, [first(), {"repository_id": add_disk(tmp_path, "cold"), "tier": "warm"}])
    config_id = config.id
    for number in range(3):
        change(tmp_path, str(number))
        back_up(config_id)
    warm = copying.gaps(configs.get(config_id))[1]
    assert [point.id for point in warm.missing] == [points.latest(config_id).id]  # type: ignore[union-attr]
    job = run(copying.sync(warm.destination.id)) if not copy_jobs() else run(copy_jobs()[0])
    assert (job.status, job.counts["copied"]) == ("completed", 1)


def test_the_only_copy_of_what_another_destination_waits_for_stays(two: Config, tmp_path: Path) -> None:
    config_id = two.id
    for number in range(3):
        change(tmp_path, str(number))
        back_up(config_id)
    with write() as session:
        config = session.get_one(Config, config_id)
        config.destinations[0].retention = {"days": None, "max_backups": 1}
    decisions = retention.plan(configs.get(config_id))
    assert [each.keep for each in decisions] == [True, True, True]
    assert "its only copy, until it was copied to second" in decisions[1].reason
    run(copy_jobs()[0])
    assert [each.keep for each in retention.plan(configs.get(config_id))] == [True, False, False]
    run(jobs.create_retention("manual", config_id, confirmed=True))
    first_place, second_place = copying.gaps(configs.get(config_id))
    assert (first_place.points, second_place.points) == (1, 3)
    assert not first_place.missing


def test_a_copy_in_the_trash_is_taken_back_rather_than_copied(two: Config) -> None:
    back_up(two.id)
    run(copy_jobs()[0])
    with write() as session:
        second = session.scalars(select(Copy).order_by(Copy.id)).all()[1]
        second.trashed_at, second.trash_reason = utc_now(), "by mistake"
    job = run(copying.sync(configs.get(two.id).destinations[1].id))
    assert (job.status, job.counts["copied"]) == ("completed", 0)
    assert db.session.get_one(Copy, second.id).trashed_at is None


def test_nothing_missing_is_refused_and_a_second_one_is_a_conflict(two: Config) -> None:
    place = two.destinations[1].id
    with pytest.raises(Refused, match="Nothing is missing on second"):
        copying.sync(place)
    back_up(two.id)
    with pytest.raises(Conflict, match="being filled already"):
        copying.sync(place)


def test_a_lost_copy_is_filled_again(two: Config, tmp_path: Path) -> None:
    config_id = two.id
    back_up(config_id)
    run(copy_jobs()[0])
    (copy,) = [each for each in db.session.scalars(select(Copy)) if each.repository.storage.name == "second"]
    restic(tmp_path / "second" / "repository", "forget", copy.snapshot_id)
    run(jobs.create_retention("manual"))
    assert alerts.list_open()
    gap = copying.gaps(configs.get(config_id))[1]
    assert len(gap.missing) == 1
    assert run(copying.sync(gap.destination.id)).status == "completed"


def test_killed_between_snapshot_and_row_the_next_run_finds_it(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config_id = two.id
    for number in range(2):
        change(tmp_path, str(number))
        back_up(config_id)
    queued = copy_jobs()[0]

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(attempts, "write_also", die)
        attempt = attempts.claim(queued.id)
        assert attempt is not None
        with pytest.raises(Killed):
            job_kinds.perform(attempt)
    with write() as session:
        session.get_one(Job, queued.id).status = "interrupted"
    assert len(list((tmp_path / "second" / "repository" / "snapshots").iterdir())) == 1
    job = run(copying.sync(configs.get(config_id).destinations[1].id))
    assert (job.status, job.counts["copied"]) == ("completed", 1)
    assert [len(point.copies) for point in points.list_for(config_id)] == [2, 2]
    assert len(db.session.scalars(select(Point)).all()) == 2
    assert len(list((tmp_path / "second" / "repository" / "snapshots").iterdir())) == 2


def test_what_is_spoilt_at_its_only_place_is_said_and_the_rest_is_copied(two: Config, tmp_path: Path) -> None:
    config_id = two.id
    back_up(config_id)
    bad = points.latest(config_id).copies[0].snapshot_id  # type: ignore[union-attr]
    change(tmp_path)
    back_up(config_id)
    path = tmp_path / "backups" / "repository" / "snapshots" / bad
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-5])
    job = run(copy_jobs()[0])
    assert (job.status, job.counts["copied"], job.counts["left"]) == ("warning", 1, 1), job.summary
    assert "1 point could not be copied to second" in job.summary
    assert any(bad[:8] in line.message for line in jobs.log_lines(job.id).items)


def test_a_copy_to_a_storage_that_is_gone_fails_and_says_so(two: Config, tmp_path: Path) -> None:
    back_up(two.id)
    (tmp_path / "second").rename(tmp_path / "away")
    job = run(copy_jobs()[0])
    assert (job.status, "The storage second" in job.summary) == ("failed", True), job.summary
    assert not (tmp_path / "second").exists()
    (tmp_path / "away").rename(tmp_path / "second")
    storages.check_all()
    assert run(copying.sync(configs.get(two.id).destinations[1].id)).status == "completed"
    assert not alerts.list_open()


def test_an_emptied_destination_is_unreachable_not_begun_anew(two: Config, tmp_path: Path) -> None:
    back_up(two.id)
    shutil.rmtree(tmp_path / "second")
    (tmp_path / "second").mkdir()
    job = run(copy_jobs()[0])
    assert (job.status, "marker" in job.summary) == ("failed", True)
    assert list((tmp_path / "second").iterdir()) == []


def test_a_cancelled_copy_keeps_what_it_has_and_goes_on(two: Config, tmp_path: Path) -> None:
    config_id = two.id
    for number in range(3):
        change(tmp_path, str(number))
        back_up(config_id)
    attempt = attempts.claim(copy_jobs()[0].id)
    assert attempt is not None
    real = attempts.write_also

    def cancel_after_the_first(given: attempts.Attempt, also: object) -> None:
        real(given, also)  # type: ignore[arg-type]
        given.cancelled.set()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(attempts, "write_also", cancel_after_the_first)
        job_kinds.perform(attempt)
    job = jobs.get(attempt.job_id)
    assert (job.status, "stays" in job.meaning) == ("cancelled", True)
    gap = copying.gaps(configs.get(config_id))[1]
    assert (gap.points, len(gap.missing)) == (1, 2)
    assert run(copying.sync(gap.destination.id)).counts["copied"] == 2


def test_the_tick_copies_by_the_clock_and_what_was_left_behind(tmp_path: Path) -> None:
    make_storage(tmp_path)
    places = [
        first(),
        {"repository_id": add_disk(tmp_path, "nightly"), "tier": "hot", "when": "0 5 * * *"},
        {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"},
    ]
    config = make_config(tmp_path, places)
    back_up(config.id)
    (after,) = copy_jobs()
    assert after.repository_id == places[2]["repository_id"]
    now = utc_now().replace(hour=4, minute=1)
    assert copying.tick(now) == []
    with write() as session:
        for row in session.scalars(select(Destination)):
            row.scheduled_since = now
    due = now.replace(hour=5, minute=1)
    (job_id,) = copying.tick(due)
    assert jobs.get(job_id).repository_id == places[1]["repository_id"]
    assert copying.tick(due + timedelta(minutes=1)) == []
    jobs.request_cancel(after.id)
    jobs.request_cancel(job_id)
    again = utc_now().replace(minute=20) + timedelta(hours=3)
    assert {jobs.get(found).repository_id for found in copying.tick(again)} >= {places[2]["repository_id"]}


def test_a_copy_to_a_destination_that_was_taken_out_is_not_made_and_nobody_is_alarmed(two: Config) -> None:
    config_id = two.id
    back_up(config_id)
    data = configs.to_input(configs.get(config_id))
    configs.update(config_id, data.model_copy(update={"destinations": data.destinations[:1]}))
    job = run(copy_jobs()[0])
    assert (job.status, "taken out" in job.summary) == ("cancelled", True)
    assert alerts.list_open() == []


def test_an_unreachable_destination_gets_no_job_until_it_is_back(two: Config, tmp_path: Path) -> None:
    (tmp_path / "second").rename(tmp_path / "away")
    storages.check_all()
    back_up(two.id)
    assert copy_jobs() == []
    gap = copying.gaps(configs.get(two.id))[1]
    assert (gap.reachable, len(gap.missing)) == (False, 1)
    assert "unreachable" in gap.text
    (tmp_path / "away").rename(tmp_path / "second")
    storages.check_all()
    now = utc_now().replace(minute=10)
    assert len(copying.tick(now)) == 1


def test_the_polynomial_of_a_repository_of_an_older_version_is_read_from_it(tmp_path: Path) -> None:
    make_storage(tmp_path)
    with write() as session:
        session.get_one(RepositoryRecord, first()["repository_id"]).polynomial_sealed = ""
    add_disk(tmp_path, "second")
    one, two_ = (storages.open_repository(record) for record in storages.list_repositories())
    assert isinstance(one, Repository)
    assert one.config.chunker_polynomial == two_.config.chunker_polynomial


def test_a_destination_that_lacks_something_for_long_degrades_its_config(two: Config, tmp_path: Path) -> None:
    config_id = two.id
    back_up(config_id)
    assert states.state(configs.get(config_id)).word == "Protected"  # it may take its time
    with write() as session:
        session.scalars(select(Point)).one().created_at = utc_now() - timedelta(hours=3)
    state = states.state(configs.get(config_id))
    assert (state.word, "second lacks 1 point" in state.reason) == ("Degraded", True)
    assert not state.needs_person
    verdict = states.verdict()
    assert (verdict.level, "copies are missing" in verdict.sentence) == ("warning", True)
    run(copy_jobs()[0])
    assert states.state(configs.get(config_id)).word == "Protected"


def test_what_was_trashed_is_taken_back_when_the_copy_that_stayed_is_lost(
    two: Config, tmp_path: Path
) -> None:
    config_id = two.id
    for number in range(2):
        change(tmp_path, str(number))
        back_up(config_id)
    run(copy_jobs()[0])
    old = points.list_for(config_id)[1].id
    here, there = sorted(points.get(old).copies, key=lambda copy: copy.repository.storage.name)
    with write() as session:
        session.get_one(Copy, here.id).trashed_at = utc_now() - timedelta(days=6)
    restic(tmp_path / "second" / "repository", "forget", there.snapshot_id)
    run(jobs.create_retention("manual"))
    with write() as session:
        assert session.get_one(Copy, there.id).lost_at is not None
        session.get_one(Copy, here.id).trashed_at = utc_now() - retention.TRASH_FOR
    run(jobs.create_retention("manual", config_id))
    point = points.get(old)
    assert points.is_good(point)
    assert [copy.forgotten_at for copy in point.copies] == [None, None]


def by_clock(tmp_path: Path, when: str) -> Destination:
    """Return a destination that is filled by the clock and lacks a point."""
    make_storage(tmp_path)
    second = {"repository_id": add_disk(tmp_path, "second"), "tier": "hot", "when": when}
    config = make_config(tmp_path, [first(), second])
    back_up(config.id)
    return configs.get(config.id).destinations[1]


def test_a_copy_that_was_due_while_its_storage_was_away_is_made_when_it_is_back(tmp_path: Path) -> None:
    """And not a week later."""
    destination = by_clock(tmp_path, "0 3 * * sun")
    sunday = datetime(2026, 11, 22, 3, tzinfo=ZoneInfo(destination.config.timezone)).astimezone(UTC)
    since_the_clock_was(destination, sunday - timedelta(days=1))
    (tmp_path / "second").rename(tmp_path / "away")
    storages.check_all()
    assert copying.tick(sunday) == copying.tick(sunday + timedelta(hours=5)) == []
    (tmp_path / "away").rename(tmp_path / "second")
    storages.check_all()
    (job_id,) = copying.tick(sunday + timedelta(hours=6, minutes=1))
    assert run(jobs.get(job_id)).status == "completed"
    assert copying.tick(sunday + timedelta(hours=6, minutes=2)) == []


def since_the_clock_was(destination: Destination, at: datetime) -> None:
    """Note that the cron line of a destination was looked at then."""
    with write() as session:
        session.get_one(Destination, destination.id).scheduled_since = at


def test_a_clock_that_was_ahead_stops_no_copy_by_the_clock(tmp_path: Path) -> None:
    destination = by_clock(tmp_path, "0 3 * * *")
    since_the_clock_was(destination, utc_now() + timedelta(days=3650))
    now = utc_now()
    assert [job for hours in range(30) for job in copying.tick(now + timedelta(hours=hours))]


def test_a_clock_that_was_ahead_when_a_copy_ended_does_not_keep_gaps_open(two: Config) -> None:
    back_up(two.id)
    job = run(copy_jobs()[0])
    with write() as session:
        session.get_one(Job, job.id).ended_at = utc_now() + timedelta(days=3650)
        second = two.destinations[1].repository_id
        session.execute(update(Copy).where(Copy.repository_id == second).values(lost_at=utc_now()))
    assert copying.tick(utc_now().replace(minute=10)) != []


def test_what_the_destination_has_lost_meanwhile_is_copied_again_and_told(
    two: Config, tmp_path: Path
) -> None:
    """Its index names a pack that somebody, or a rule of the bucket, has removed: not to be relied on."""
    back_up(two.id)
    run(copy_jobs()[0])
    lost = [path for path in (tmp_path / "second" / "repository" / "data").rglob("*") if path.is_file()]
    for number in range(300):  # many more pieces than a sample reads back
        (tmp_path / "tree" / f"{number}.bin").write_bytes(os.urandom(1000))
    back_up(two.id)
    run(copy_jobs()[-1])
    for path in lost:
        path.unlink()
    (tmp_path / "tree" / "new.txt").write_text("new")
    back_up(two.id)
    assert run(copy_jobs()[-1]).status == "completed"
    assert [alert.kind for alert in alerts.list_open()] == ["corruption"]
    point = points.latest(two.id)
    assert point is not None
    there = next(copy for copy in point.copies if copy.repository.storage.name == "second")
    given = restores.RestoreInput(
        point_id=point.id, target_path=str(tmp_path / "out"), copy_id=there.id, include=[]
    )
    restored = run(restores.create(given))
    assert restored.status == "completed", restored.summary
