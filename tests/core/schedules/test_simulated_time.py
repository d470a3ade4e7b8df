"""It runs by itself for weeks: every run, every removal, every alert and report is there, and none twice.

What must come of it is worked out beside it, minute by minute and point by point, as plainly as can be.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from core.alerting import alerts
from core.configs import configs
from core.db import db
from core.models import Copy, Job, Point, Report, ScheduledRun
from core.points import points
from core.reports import housekeeping
from tests.core.making import make_config, make_storage, make_tree, restic
from tests.core.simulated import Simulation, at, simulation

BERLIN = ZoneInfo("Europe/Berlin")
Event = tuple[str, Callable[[], object]]


def daily_times(start: datetime, end: datetime) -> list[datetime]:
    """Return when 02:30 comes in Berlin: once a day, at the end of the gap where the clock skips it."""
    found, skipped = list[datetime](), False
    moment = start
    while moment <= end:
        wall, before = moment.astimezone(BERLIN), (moment - timedelta(minutes=1)).astimezone(BERLIN)
        skipped = before.strftime("%H:%M") == "01:59" and wall.strftime("%H:%M") == "03:00"
        if skipped or (wall.strftime("%H:%M") == "02:30" and wall.fold == 0):
            found.append(moment)
        moment += timedelta(minutes=1)
    return found


def hourly_times(start: datetime, end: datetime) -> list[datetime]:
    """Return the seventh minute of each hour that really passes."""
    hour = start.replace(minute=7, second=0, microsecond=0)
    every = [hour + timedelta(hours=number) for number in range(int((end - start) / timedelta(hours=1)) + 2)]
    return [moment for moment in every if start < moment <= end]


def runs_of(config_id: str) -> dict[datetime, bool]:
    """Return the runs that were noted, each with whether it has a job."""
    rows = db.session.scalars(select(ScheduledRun).where(ScheduledRun.config_id == config_id)).all()
    found = {row.due_at: row.job_id is not None for row in rows}
    assert len(found) == len(rows)
    return found


def taken(config_id: str) -> list[datetime]:
    """Return when each point that was ever made was taken, the newest first."""
    query = select(Point.taken_at).where(Point.config_id == config_id).order_by(Point.taken_at.desc())
    return list(db.session.scalars(query))


def kept_by_hours_and_days(moments: list[datetime], hours: int, days: int) -> set[datetime]:
    """Return the last of each of the newest hours and days, by the clock in Berlin."""
    kept = set[datetime]()
    for form, most in (("%Y-%m-%d %H %z", hours), ("%Y-%m-%d", days)):
        groups = dict[str, datetime]()
        for moment in moments:
            groups.setdefault(moment.astimezone(BERLIN).strftime(form), moment)
        kept |= set(list(groups.values())[:most])
    return kept


def check_jobs(config_id: str, expected: list[datetime]) -> None:
    """See that each due time that was to be run has one scheduled job, and no other."""
    query = select(Job.due_at).where(
        Job.config_id == config_id, Job.kind == "backup", Job.trigger == "schedule"
    )
    assert sorted(moment for moment in db.session.scalars(query) if moment) == expected


def check_storage(tmp_path: Path, now: datetime) -> None:
    """See that the repository holds the live points, and those in the trash for less than its time."""
    there = {path.name for path in (tmp_path / "backups/repository/snapshots").iterdir()}
    rows = db.session.scalars(select(Copy).where(Copy.forgotten_at.is_(None))).all()
    assert there == {row.snapshot_id for row in rows}
    for row in rows:
        assert row.trashed_at is None or now - row.trashed_at < timedelta(days=7, hours=30)
    restic(tmp_path / "backups/repository", "check")


def check_reports(tmp_path: Path, first: date, days: int) -> None:
    """See that each day that has ended has one report, and that it lies on the storage."""
    expected = [first + timedelta(days=number) for number in range(days)]
    assert list(db.session.scalars(select(Report.day).order_by(Report.day))) == expected
    stored = sorted(path.name for path in (tmp_path / "backups/reports").iterdir())
    assert stored == [f"backup-report-{day}.json" for day in expected]


def play(sim: Simulation, events: list[Event], end: datetime) -> None:
    for moment, action in events:
        sim.run_until(at(moment))
        action()
    sim.run_until(end)


class Install:
    """A daily config and an hourly one, and what may happen to them."""

    def __init__(self, sim: Simulation, tmp_path: Path) -> None:
        self.sim, self.disk = sim, tmp_path / "backups"
        make_storage(tmp_path)
        tree = make_tree(tmp_path / "tree")
        retries = {"count": 1, "delay": "3h"}
        self.daily = make_config(
            tree, "Daily", cron="30 2 * * *", timezone="Europe/Berlin",
            retention={"days": 10}, retries=retries,
        ).id  # fmt: skip
        self.hourly = make_config(
            tree, "Hourly", cron="7 * * * *", timezone="Europe/Berlin", enabled=False,
            retention={"keep_hourly": 12, "keep_daily": 7},
        ).id  # fmt: skip

    def hourly_on(self) -> None:
        configs.set_enabled(self.hourly, True)
        self.sim.step_h = 1

    def hourly_off(self) -> None:
        configs.set_enabled(self.hourly, False)
        self.sim.step_h = 4

    def disk_away(self) -> None:
        self.disk.rename(self.disk.with_name("away"))

    def disk_back(self) -> None:
        self.disk.with_name("away").rename(self.disk)


@pytest.mark.timeout(900)
def test_thirty_days_with_outages_restarts_and_a_change_of_the_clock(
    tmp_path: Path, context: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, end = at("2026-03-10 00:00"), at("2026-04-09 00:00")
    with simulation(start, monkeypatch) as sim:
        install = Install(sim, tmp_path)
        play(
            sim,
            [
                ("2026-03-14 12:00", install.hourly_on),
                ("2026-03-14 20:00", lambda: sim.down_until(at("2026-03-16 09:00"))),
                ("2026-03-16 12:00", install.hourly_off),
                ("2026-03-20 00:00", install.disk_away),
                ("2026-03-20 04:00", install.disk_back),
                ("2026-03-22 12:00", lambda: sim.start_and_die(install.daily)),
                ("2026-03-28 22:00", install.hourly_on),
                ("2026-03-29 08:00", install.hourly_off),
            ],
            end,
        )
        daily, hourly = install.daily, install.hourly
        expected = daily_times(start, end)
        assert len(expected) == 30
        assert expected[18:20] == [at("2026-03-28 01:30"), at("2026-03-29 01:00")]
        missed = [at("2026-03-15 01:30")]
        assert runs_of(daily) == {moment: moment not in missed for moment in expected}
        check_jobs(daily, [moment for moment in expected if moment not in missed])
        before = hourly_times(at("2026-03-14 12:00"), at("2026-03-14 20:00"))
        out = hourly_times(at("2026-03-14 20:00"), at("2026-03-16 09:00"))
        after = hourly_times(at("2026-03-16 09:00"), at("2026-03-16 12:00"))
        night = hourly_times(at("2026-03-28 22:00"), at("2026-03-29 08:00"))
        run = [*before, out[-1], *after, *night]
        assert runs_of(hourly) == {moment: moment in run for moment in [*before, *out, *after, *night]}
        check_jobs(hourly, run)

        moments = taken(daily)
        assert len(moments) == 29
        newest = moments[0]
        assert [point.taken_at for point in points.good_points(daily)] == [
            moment for moment in moments if newest - moment <= timedelta(days=10)
        ]
        kept = {point.taken_at for point in points.good_points(hourly)}
        assert kept == kept_by_hours_and_days(taken(hourly), 12, 7)
        check_storage(tmp_path, sim.now)
        check_reports(tmp_path, start.date(), 29)  # that of the last day comes after midnight
        told = Counter(kind for kind, _ in sim.seen)
        assert told.pop("recovery") == 1
        assert told == {"missed": 2, "failure": 1, "unreachable": 1, "interrupted": 1}
        assert [alert.kind for alert in alerts.list_open()] == ["recovery"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_year_through_both_changes_of_the_clock(
    tmp_path: Path, context: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage a month, hours by the hour around each change; old jobs and logs leave on the way."""
    start, end = at("2026-01-05 00:00"), at("2027-01-05 00:00")
    with simulation(start, monkeypatch) as sim:
        install = Install(sim, tmp_path)
        housekeeping.change({"logs": 30, "jobs": 90, "alerts": 90})
        events: list[Event] = [
            (f"2026-{month:02}-12 12:00", partial(sim.down_until, at(f"2026-{month:02}-14 12:00")))
            for month in range(1, 13)
        ]
        for on, off in (("2026-03-28 12:00", "2026-03-29 12:00"), ("2026-10-24 12:00", "2026-10-25 12:00")):
            events += [(on, install.hourly_on), (off, install.hourly_off)]
        play(sim, sorted(events, key=lambda event: event[0]), end)
        expected = daily_times(start, end)
        assert len(expected) == 365
        lost = {moment for moment in expected if moment.day == 13}
        assert len(taken(install.daily)) >= 10
        noted = runs_of(install.daily)
        assert noted.keys() <= set(expected)
        assert {moment for moment in expected if end - moment < timedelta(days=90)} <= noted.keys()
        assert all(has_job == (moment not in lost) for moment, has_job in noted.items())
        last = hourly_times(at("2026-10-24 12:00"), at("2026-10-25 12:00"))[-1]
        assert last in runs_of(install.hourly)
        made = db.session.scalars(select(func.count()).select_from(Job).where(Job.kind == "backup")).one()
        assert made < 200  # the others have left by age
        check_storage(tmp_path, sim.now)
        told = Counter(kind for kind, _ in sim.seen)
        assert told == {"recovery": 1, "missed": 12}
        assert [alert.kind for alert in alerts.list_open()] == ["recovery"]
