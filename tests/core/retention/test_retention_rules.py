"""What rules keep: against the real `restic forget`, and against product's own words, in many histories."""

from __future__ import annotations

import json
import os
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.models import Config, Point
from core.retention import retention
from core.retention.retention_rules import RetentionRule, rule_from
from repository.gotext import LocalZone, format_time
from repository.keyfile import KdfParams
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import encode_tree
from storage_adapters.local import LocalAdapter, create_root

PASSWORD = "simple"
NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)  # long ago, for restic too
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")
# The turn of a year with week 53, both changes of the clock, a leap day.
STARTS = ("2020-12-27 20:00", "2021-12-30 20:00", "2023-10-28 20:30", "2024-03-30 20:30", "2024-02-27 22:00")
STEPS = (timedelta(minutes=25), timedelta(hours=1), timedelta(hours=7), timedelta(days=1), timedelta(days=9),
         timedelta(days=33), timedelta(days=190))  # fmt: skip
RULES: tuple[dict[str, Any], ...] = (
    {"keep_last": 3},
    {"keep_hourly": 5},
    {"keep_daily": 4},
    {"keep_weekly": 3},
    {"keep_monthly": 4},
    {"keep_yearly": 2},
    {"keep_within": "2d5h"},
    {"keep_within": "1y1m"},
    {"keep_hourly": 3, "keep_daily": 2, "keep_weekly": 2, "keep_monthly": 2, "keep_yearly": 1},
    {"keep_last": 1, "keep_daily": 7, "keep_within": "12h"},
)


@dataclass
class History:
    """The points of one config, newest first, and the name its snapshots have in the repository."""

    host: str
    zone: str
    points: list[Point]


def make_history(number: int, chance: random.Random) -> History:
    zone = chance.choice(ZONES)
    config = Config(name=f"c{number}", timezone=zone)
    begin = datetime.fromisoformat(chance.choice(STARTS)).replace(tzinfo=UTC)
    step, moments = chance.choice(STEPS), set[datetime]()
    for place in range(chance.randrange(1, 30)):
        jitter = timedelta(seconds=chance.randrange(int(step.total_seconds())))
        moments.add(min(begin + place * step + chance.choice((timedelta(0), jitter)), NOW))
    points = [
        Point(id=place, taken_at=moment, config=config) for place, moment in enumerate(sorted(moments), 1)
    ]
    return History(f"host{number}", zone, points[::-1])


@pytest.fixture(scope="module")
def histories() -> list[History]:
    chance = random.Random(6)
    return [make_history(number, chance) for number in range(40)]


@pytest.fixture(scope="module")
def repository(histories: list[History], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a snapshot for each point, tagged as ours are, and others among them."""
    path = tmp_path_factory.mktemp("rules") / "repo"
    create_root(str(path))
    repo = Repository.init(LocalAdapter(str(path)), PASSWORD, kdf=KdfParams(n=1024, r=8, p=1))
    tree, _, _ = repo.save_blob("tree", encode_tree([]))
    repo.flush()
    for number, history in enumerate(histories):
        zone = LocalZone(ZoneInfo(history.zone))
        for point in history.points:
            time_ns = int(point.taken_at.timestamp()) * 1_000_000_000
            tags = [f"holdfast:config={number:016x}"]
            repo.save_snapshot(Snapshot(format_time(time_ns, zone), tree, ["/srv"], history.host, tags=tags))
    repo.close()
    return path


def kept_by_restic(restic: str, repository: Path, rule: dict[str, Any]) -> dict[str, set[datetime]]:
    """Return what restic keeps of each host."""
    options = [part for name, value in rule.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [restic, "--no-cache", "-r", str(repository), "--json", "forget", "--dry-run"]
    command += ["--group-by", "host,tags", *options]
    environment = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "TZ": "UTC"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment, timeout=240)
    groups = json.loads(done.stdout)
    return {
        group["host"]: {datetime.fromisoformat(each["time"]).astimezone(UTC) for each in group["keep"] or ()}
        for group in groups
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: " ".join(f"{key}={rule[key]}" for key in rule))
def test_the_points_kept_are_those_that_restic_keeps(
    restic: str, repository: Path, histories: list[History], rule: dict[str, Any]
) -> None:
    """A config's days are those of its own zone, as its snapshots are written in it. Spans are counted
    by restic on the clock of the machine that asks; they differ by the hour of a changed clock at most."""
    theirs = kept_by_restic(restic, repository, rule)
    applied = rule_from(RetentionRule(**rule))
    compared = 0
    for history in histories:
        ours = {
            decision.point.taken_at
            for decision in retention.decide(history.points, applied, NOW)
            if decision.keep
        }
        assert ours == theirs[history.host] | {history.points[0].taken_at}, history.host
        compared += 1
    assert compared == 40


# --- days, max_backups, and the union ---------------------------------------------------------------------


def plainly_kept(
    ages_h: Sequence[int], days: int | None, most: int | None, last: int | None, pinned: set[int]
) -> set[int]:
    """Return the places of the points that stay, the newest first: product.md §6, word by word."""
    newest = ages_h[0] if ages_h else 0
    within = [place for place, age in enumerate(ages_h) if days is None or age - newest <= 24 * days]
    kept = set(within[:most])
    if last is not None:
        if days is None and most is None:
            kept = set()  # only what a keep rule names
        kept |= set(range(last))
    return (kept | pinned | {0}) & set(range(len(ages_h)))


@settings(max_examples=300)
@given(
    st.lists(st.integers(0, 4000), max_size=40, unique=True).map(sorted),
    st.none() | st.integers(1, 100),
    st.none() | st.integers(1, 20),
    st.none() | st.integers(1, 8),
    st.sets(st.integers(0, 39), max_size=3),
)
def test_days_and_counts_and_their_union_are_what_the_product_says(
    ages_h: list[int], days: int | None, most: int | None, last: int | None, pinned: set[int]
) -> None:
    points = [
        Point(id=len(ages_h) - place, taken_at=NOW - timedelta(hours=age), pinned_by="", pin_note="")
        for place, age in enumerate(ages_h)
    ]
    for place in pinned & set(range(len(points))):
        points[place].pinned_at = NOW
    rule = rule_from(RetentionRule(days=days, max_backups=most, keep_last=last))
    decisions = retention.decide(points, rule, NOW)
    found = {place for place, decision in enumerate(decisions) if decision.keep}
    assert found == plainly_kept(ages_h, days, most, last, pinned)
    assert all(decision.reason for decision in decisions)
