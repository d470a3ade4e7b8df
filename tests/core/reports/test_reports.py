"""Daily reports: one a day whatever happens, on the first storage, never twice and never over another."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import inspect, select

from core import clock
from core.access import audit
from core.alerting import alerts
from core.db import db, write
from core.errors import NotFound
from core.jobs import job_export, jobs
from core.models import Destination, Job, Report, ScheduledRun, Storage
from core.reports import compliance_report, reports
from core.retention import standings
from core.storages import recovery, storage_setup
from tests.core.making import back_up, make_config, make_storage, make_tree, run

NOW = datetime(2026, 3, 10, 9, 0, tzinfo=UTC)


@pytest.fixture
def storage(context: Flask, tmp_path: Path) -> Path:
    """Set a storage up, as if on the 1st of March; return its root."""
    make_storage(tmp_path)
    with write() as session:
        session.scalars(select(Storage)).one().created_at = NOW - timedelta(days=9)
    return tmp_path / "backups"


def days() -> list[int]:
    """Return the days of March that have a report."""
    return sorted(row.day.day for row in db.session.scalars(select(Report)))


def names(root: Path) -> list[str]:
    """Return what lies among the reports."""
    return sorted(path.name for path in (root / "reports").glob("*"))


def test_each_day_since_the_first_storage_gets_one_report(storage: Path) -> None:
    """Also those of days on which nothing ran here: an outage is made up for."""
    assert reports.run(NOW) == 9
    assert days() == list(range(1, 10))
    assert names(storage)[0] == "backup-report-2026-03-01.json"
    assert reports.run(NOW) == 0
    assert reports.run(NOW + timedelta(days=1)) == 1


def test_a_month_of_minutes_outages_and_restarts_makes_one_a_day(storage: Path) -> None:
    """Asked for at odd times, sometimes not for days, sometimes by two processes at once."""
    now, end = NOW, NOW + timedelta(days=30)
    while now < end:
        reports.make_due(now)
        reports.make_due(now)
        reports.store_due(now)
        now += timedelta(hours=7) if now.day % 5 else timedelta(days=3, minutes=1)
    reports.run(end)
    every = [date(2026, 3, 1) + timedelta(days=number) for number in range(39)]
    assert [row.day for row in reversed(reports.list_recent())] == every
    assert names(storage) == [f"backup-report-{day}.json" for day in every]


def test_the_list_says_what_each_report_says_and_reads_none_of_them(storage: Path) -> None:
    config_id = make_config(make_tree(storage.parent / "tree")).id
    back_up(config_id)
    with write() as session:
        missed = ScheduledRun(config_id=config_id, due_at=NOW - timedelta(days=1), missed_reason="It slept.")
        session.add(missed)
        session.query(Job).filter_by(kind="backup").one().ended_at = NOW - timedelta(days=1)
    reports.make_due(NOW)
    db.session.rollback()
    newest, before, *_ = reports.list_recent()
    assert "document" in inspect(newest).unloaded
    assert [(row.good, row.failed, row.missed) for row in (newest, before)] == [(1, 0, 1), (0, 0, 0)]
    assert newest.sentence == newest.document["verdict"]["sentence"] != ""


def test_a_report_is_written_as_python_would_write_it(storage: Path) -> None:
    back_up(make_config(make_tree(storage.parent / "tree"), 'Bücher "日本" </b>', cron="0 3 * * *").id)
    odd = [0.1, 2 / 3, -0.0, 90000.0, 2**40, None, True, [], {}, "\\ \x1b\x7f\n\t"]
    document = {**reports.preview(), "odd": odd}
    assert reports.as_json(document) == json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def test_the_day_is_told_only_once_it_is_over(storage: Path) -> None:
    reports.make_due(datetime(2026, 3, 10, 0, 4, tzinfo=UTC))
    assert 9 not in days()
    reports.make_due(datetime(2026, 3, 10, 0, 5, tzinfo=UTC))
    assert 9 in days()


def test_after_a_long_outage_a_month_is_made_up_for(storage: Path) -> None:
    made = reports.make_due(NOW + timedelta(days=365))
    assert len(made) == reports.MOST_DAYS


def test_a_report_says_what_ran_and_how_things_stand(storage: Path, tmp_path: Path) -> None:
    config = make_config(make_tree(tmp_path / "tree"), "Wiki")
    config_id, job = config.id, back_up(config.id)
    at = datetime(2026, 3, 9, 12, 0, tzinfo=UTC)
    with write() as session:
        session.get_one(Job, job.id).ended_at = at
        session.add(ScheduledRun(config_id=config_id, due_at=at, missed_reason="Off."))
    audit.record(audit.Deed("anna", "page", "restore", "done"))
    reports.run(NOW)
    verified = audit.verify()
    document = json.loads((storage / "reports" / "backup-report-2026-03-09.json").read_text())
    assert document == reports.get(date(2026, 3, 9)).document
    assert (document["runs"]["completed"], document["runs"]["missed"]) == (1, 1)
    assert document["jobs"][0]["config"] == document["configs"][0]["name"] == "Wiki"
    assert document["missed"] == [{"config": "Wiki", "due_at": at.isoformat(), "reason": "Off."}]
    assert document["configs"][0]["good_points"] == 1
    assert document["storages"][0]["reachable"] is True
    assert document["audit"] == {"entries": verified.entries, "hash": verified.hash}
    assert document["retention"]["compliance"] == 1
    assert reports.get(date(2026, 3, 8)).document["runs"]["completed"] == 0
    with pytest.raises(NotFound):
        reports.get(date(2026, 3, 10))


def test_nothing_is_overwritten_and_a_killed_process_leaves_no_second(storage: Path) -> None:
    (storage / "reports").mkdir()
    (storage / "reports" / "backup-report-2026-03-09.json").write_text("somebody else's")
    reports.run(NOW)
    assert (storage / "reports" / "backup-report-2026-03-09.json").read_text() == "somebody else's"
    assert reports.get(date(2026, 3, 9)).key == "reports/backup-report-2026-03-09-2.json"
    with write() as session:  # killed after it was put, before that was noted
        for row in session.scalars(select(Report)):
            row.stored_at = None
    before = names(storage)
    assert reports.run(NOW) == 9
    assert names(storage) == before


def test_a_storage_that_is_away_gets_them_later_and_that_is_told(storage: Path) -> None:
    marker = storage / ".holdfast-storage"
    kept = marker.read_bytes()
    marker.unlink()
    assert reports.run(NOW) == 0
    assert "unreachable" in reports.get(date(2026, 3, 9)).error
    assert not alerts.is_open("report:")
    assert reports.run(NOW + timedelta(minutes=30)) == 0
    reports.run(NOW + timedelta(hours=25))
    assert alerts.is_open("report:")
    marker.write_bytes(kept)
    assert reports.run(NOW + timedelta(hours=27)) == 10
    assert not alerts.is_open("report:")
    assert not (storage / "reports" / "backup-report-2026-03-11.json").exists()


def test_a_clock_that_jumped_makes_none(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "jump", lambda: timedelta(days=3))
    assert reports.make_due(NOW) == []


def test_jobs_as_csv_are_whole_and_run_no_formula(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_export, "_AT_ONCE", 2)
    config_id = make_config(make_tree(tmp_path / "tree"), '=HYPERLINK("x")').id
    for _ in range(3):
        back_up(config_id)
    run(jobs.create_retention("manual"))
    lines = list(csv.DictReader(io.StringIO("".join(job_export.as_csv({})))))
    assert [int(line["job"]) for line in lines] == sorted((int(line["job"]) for line in lines), reverse=True)
    assert len(lines) == 5, "one more follows from the backups"
    assert lines[-1]["config"] == '\'=HYPERLINK("x")'
    assert lines[-1]["status"] == "completed"
    assert float(lines[-1]["duration_s"]) >= 0
    only = list(csv.DictReader(io.StringIO("".join(job_export.as_csv({"kind": "retention"})))))
    assert [line["kind"] for line in only] == ["retention", "retention"]


def test_the_compliance_report_names_what_is_open(storage: Path, tmp_path: Path) -> None:
    config = make_config(make_tree(tmp_path / "tree"), "Wiki")
    before = compliance_report.make().open_points
    assert "Wiki: There is no good point." in before
    back_up(config.id)
    found = compliance_report.make()
    assert "Wiki: There is no good point." not in found.open_points
    assert "Wiki: No copy is offsite." in found.open_points
    assert "Nobody has confirmed to have the recovery key." in found.open_points
    (part,) = found.parts
    assert (part.encrypted, part.sites, part.places[0].points) == (True, 1, 1)


def test_a_place_that_has_no_point_is_no_second_one_though_nobody_looked_yet(
    storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standings, "FEW", 0)
    config = make_config(make_tree(tmp_path / "tree"), "Wiki")
    back_up(config.id)
    disk = storage_setup.create_local("second", str(tmp_path / "second"), recovery.stored() or "")
    with write() as session:
        session.get_one(Storage, disk.id).offsite = True
        session.add(Destination(config_id=config.id, repository_id=disk.repositories[0].id, position=1))
    report = compliance_report.make()
    (part,) = report.parts
    assert (report.retention_at, [place.complies for place in part.places]) == (None, [None, None])
    assert ([place.points for place in part.places], part.sites, part.offsite) == ([1, 0], 1, False)
    assert "Wiki: Its points are in one place only." in report.open_points
    assert "Wiki: No copy is offsite." in report.open_points


def test_today_is_told_so_far(storage: Path, tmp_path: Path) -> None:
    ended_at = back_up(make_config(make_tree(tmp_path / "tree"), "Wiki").id).ended_at
    assert ended_at is not None
    document = reports.preview(ended_at)
    assert document["day"] == str(ended_at.date())
    assert document["runs"]["completed"] == 1
    assert json.loads(reports.as_json(document)) == document
