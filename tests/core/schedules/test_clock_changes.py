"""The nights on which the clock is changed, run through: each run once, none left out, nobody alarmed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from core.configs import configs
from core.db import db
from core.models import Job, Point, ScheduledRun
from tests.core.making import make_config, make_storage, make_tree
from tests.core.simulated import at, simulation

# By the moment of the change: when 02:30 comes in Berlin the day before, that night, and the day after.
NIGHTS = {
    "2026-03-29 01:00": ["2026-03-28 01:30", "2026-03-29 01:00", "2026-03-30 00:30"],
    "2026-10-25 01:00": ["2026-10-24 00:30", "2026-10-25 00:30", "2026-10-26 01:30"],
}


def make(tree: Path, name: str, cron: str, *, enabled: bool = True) -> str:
    return make_config(tree, name, cron=cron, timezone="Europe/Berlin", enabled=enabled).id


def ran(config_id: str) -> list[datetime]:
    """Return when the runs of a config were due that were noted; each has a job, which made a point."""
    rows = db.session.scalars(
        select(ScheduledRun).where(ScheduledRun.config_id == config_id).order_by(ScheduledRun.due_at)
    ).all()
    assert all(row.job_id is not None for row in rows)
    due = [row.due_at for row in rows]
    made = select(Job.due_at).join(Point, Point.job_id == Job.id).where(Job.config_id == config_id)
    assert list(db.session.scalars(made.order_by(Job.id))) == due
    return due


@pytest.mark.parametrize("change", list(NIGHTS))
def test_the_night_the_clock_is_changed(
    tmp_path: Path, context: object, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    changed_at = at(change)
    start, end = changed_at - timedelta(hours=26), changed_at + timedelta(hours=26)
    with simulation(start, monkeypatch) as sim:
        make_storage(tmp_path)
        tree = make_tree(tmp_path / "tree")
        daily = make(tree, "Daily", "30 2 * * *")
        weekly = make(tree, "Weekly", "30 2 * * sun")
        hourly = make(tree, "Hourly", "0 * * * *", enabled=False)
        sim.step_h = 2
        sim.run_until(changed_at - timedelta(hours=3))
        configs.set_enabled(hourly, True)
        sim.step_h = 0.5
        sim.run_until(changed_at + timedelta(hours=3))
        configs.set_enabled(hourly, False)
        sim.step_h = 2
        sim.run_until(end)
        expected = [at(moment) for moment in NIGHTS[change]]
        assert ran(daily) == [moment for moment in expected if start < moment <= end]
        assert ran(weekly) == expected[1:2]
        assert ran(hourly) == [changed_at + timedelta(hours=number) for number in range(-2, 4)]
        assert Counter(kind for kind, _ in sim.seen) <= Counter({"recovery": 1})
