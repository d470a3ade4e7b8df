"""The policy of `forget`: against the real restic over many generated histories, and its edges alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from repository.gotext import LocalZone, format_time, parse_time
from repository.keep_rules import (
    KEEP_ALL,
    PERIODS,
    Decision,
    Duration,
    KeepRules,
    apply_rules,
    group_snapshots,
    parse_group_by,
)
from repository.keyfile import KdfParams
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.snapshots import Found
from repository.tree import encode_tree
from storage_adapters.local import LocalAdapter, create_root

PASSWORD = "x"
HOUR, DAY = 3600, 86_400
NOW_NS = time.time_ns()
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Kiritimati", "Australia/Lord_Howe")
POLICIES: list[list[str]] = [
    ["--keep-last", "3"],
    ["--keep-hourly", "5", "--keep-daily", "4"],
    ["--keep-daily", "7", "--keep-weekly", "4", "--keep-monthly", "12", "--keep-yearly", "75"],
    ["--keep-weekly", "60", "--keep-tag", "gold", "--keep-tag", "a,b"],
    ["--keep-yearly", "3", "--keep-tag", ""],
    ["--keep-within", "1y2m3d4h"],
    ["--keep-within", "1m", "--keep-last", "1", "--keep-monthly", "100"],
    ["--keep-within-hourly", "9d1h", "--keep-within-daily", "1m"],
    ["--keep-within-weekly", "1y1m", "--keep-within-monthly", "2y", "--keep-within-yearly", "40y"],
    ["--keep-within-daily", "6m", "--keep-within", "2d", "--keep-hourly", "1"],
    ["--keep-monthly", "2", "--keep-within-yearly", "11m31d"],
]


@dataclass
class History:
    """A repository of many snapshots of one tiny tree."""

    path: Path
    found: list[Found]

    def restic_groups(self, restic: str, zone: str, *arguments: str) -> list[dict[str, Any]]:
        """Return what restic would do."""
        environment = os.environ | {"RESTIC_PASSWORD": PASSWORD, "TZ": zone}
        command = [restic, "--no-cache", "-r", str(self.path), "--json", "forget", "--dry-run", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=240)
        groups: list[dict[str, Any]] = json.loads(done.stdout)
        return groups


def make_times(chance: random.Random) -> list[tuple[int, str]]:
    """Return times of one history, with the zone each is written in."""
    start = chance.choice(
        [
            parse_time("2019-12-20T10:00:00Z"),  # the week of the turn of the year is week 1 of 2020
            parse_time("2020-12-28T10:00:00Z"),  # and here week 53 of 2020
            parse_time("2023-10-28T22:30:00Z"),  # clocks go back
            parse_time("2024-03-30T22:30:00Z"),  # and forward
            parse_time("2024-02-28T10:00:00Z"),
            parse_time("1969-12-31T10:00:00Z"),
            NOW_NS - 40 * HOUR * 1_000_000_000,  # reaches into the future
        ]
    )
    step_s = chance.choice([20 * 60, HOUR, 7 * HOUR, DAY, 6 * DAY, 31 * DAY, 200 * DAY])
    zones = chance.sample(ZONES, chance.choice([1, 1, 2]))
    times = []
    for number in range(chance.randrange(1, 28)):
        jitter_ns = chance.choice([0, 0, 1, chance.randrange(step_s * 1_000_000_000)])
        times.append((start + number * step_s * 1_000_000_000 + jitter_ns, chance.choice(zones)))
    if chance.random() < 0.3:
        times += times[: chance.randrange(1, 4)]  # the same time twice
    return times


def make_snapshots(chance: random.Random, hosts: int, tree: bytes) -> list[Snapshot]:
    snapshots = []
    for number in range(hosts):
        paths = chance.choice([["/srv"], ["/srv", "/etc"], ["/etc", "/srv"]])
        for ns, zone in make_times(chance):
            snapshots.append(
                Snapshot(
                    format_time(ns, LocalZone(ZoneInfo(zone))),
                    tree,
                    chance.choice([paths, paths[::-1]]),
                    f"host{number}",
                    tags=chance.choice([[], [], ["a"], ["b", "a"], ["gold"], ["a", "gold", "b"]]),
                )
            )
    return snapshots


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    path = tmp_path_factory.mktemp("history") / "repo"
    create_root(str(path))
    repo = Repository.init(LocalAdapter(str(path)), PASSWORD, kdf=KdfParams(n=1024, r=8, p=1))
    tree, _, _ = repo.save_blob("tree", encode_tree([]))
    repo.flush()
    for snapshot in make_snapshots(random.Random(20), 36, tree):
        repo.save_snapshot(snapshot)
    return History(path, repo.list_snapshots())


def rules_from(arguments: Sequence[str]) -> KeepRules:
    """Read restic's options, as plainly as possible."""
    counts, spans, tags, within = {}, {}, [], Duration()
    for option, value in zip(arguments[::2], arguments[1::2], strict=True):
        name = option.removeprefix("--keep-")
        if name == "tag":
            tags.append(value.split(","))
        elif name == "within":
            within = Duration.parse(value)
        elif name.startswith("within-"):
            spans[name.removeprefix("within-")] = Duration.parse(value)
        else:
            counts[name] = int(value)
    return KeepRules(counts, within, spans, tags)


def as_restic(decisions: Sequence[Decision]) -> tuple[Counter[Any], Counter[Any]]:
    # restic puts snapshots of one time in any order, so they are told apart by their time only
    kept = Counter((each.snapshot.time_ns, tuple(each.reasons)) for each in decisions if each.keep)
    return kept, Counter(each.snapshot.time_ns for each in decisions if not each.keep)


def said_by_restic(group: dict[str, Any]) -> tuple[Counter[Any], Counter[Any]]:
    reasons = [(each["snapshot"]["time"], each["matches"]) for each in group["reasons"] or ()]
    kept = Counter((parse_time(time), tuple(matches)) for time, matches in reasons)
    return kept, Counter(parse_time(each["time"]) for each in group["remove"] or ())


def without_twins(found: Sequence[Found]) -> bool:
    return len({snapshot.time_ns for _, snapshot in found}) == len(found)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
@pytest.mark.parametrize("policy", POLICIES, ids=" ".join)
def test_it_decides_as_restic_does(restic: str, history: History, policy: list[str], zone: str) -> None:
    said = history.restic_groups(restic, zone, "--group-by", "host", *policy)
    ours = group_snapshots(history.found, ["host"])
    assert len(said) == len(ours) > 30
    local, by_tag = LocalZone(ZoneInfo(zone)), "--keep-tag" in policy
    compared = 0
    for group in said:
        found = ours[(group["host"], None, None)]
        if by_tag and not without_twins(found):
            continue  # which of two of one time comes first is chance in restic, and their tags differ
        decisions = apply_rules(found, rules_from(policy), NOW_NS, local)
        assert as_restic(decisions) == said_by_restic(group), group["host"]
        compared += 1
    assert compared > 15


@pytest.mark.parametrize("by", ["host,paths", "host,tags", "paths", "tags", ""])
def test_it_groups_as_restic_does(restic: str, history: History, by: str) -> None:
    said = history.restic_groups(restic, "UTC", "--group-by", by, "--keep-last", "2")
    theirs = Counter(
        (group["host"] or None, tuple(group["paths"] or ()), tuple(group["tags"] or ()),
         len(group["keep"]), len(group["remove"] or ()))
        for group in said
    )  # fmt: skip
    ours: Counter[Any] = Counter()
    for key, found in group_snapshots(history.found, parse_group_by(by)).items():
        keep = [each.keep for each in apply_rules(found, KeepRules({"last": 2}), NOW_NS)]
        ours[(key.hostname, key.paths or (), key.tags or (), sum(keep), len(keep) - sum(keep))] += 1
    assert ours == theirs


def snapshots_at(*times: str) -> list[Found]:
    return [(bytes([number]) * 32, Snapshot(text, b"t" * 32, ["/"])) for number, text in enumerate(times)]


def kept_times(decisions: Sequence[Decision]) -> list[str]:
    return [each.snapshot.time for each in decisions if each.keep]


def test_an_empty_policy_keeps_everything() -> None:
    rules = KeepRules({"last": 0}, within_periods={"daily": Duration()})
    assert rules.empty
    decisions = apply_rules(snapshots_at("2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"), rules, NOW_NS)
    assert [each.reasons for each in decisions] == [["policy is empty"]] * 2


def test_nothing_to_decide_is_no_error() -> None:
    assert apply_rules([], KeepRules({"last": 1}), NOW_NS) == []


def test_keep_all_has_no_end() -> None:
    found = snapshots_at(*(f"2024-01-{day:02}T00:00:00Z" for day in range(1, 31)))
    assert all(each.keep for each in apply_rules(found, KeepRules({"daily": KEEP_ALL}), NOW_NS))


def test_a_day_is_a_day_where_the_snapshot_was_made() -> None:
    found = snapshots_at("2024-01-02T00:30:00+02:00", "2024-01-01T23:30:00+02:00", "2024-01-01T22:00:00Z")
    kept = kept_times(apply_rules(found, KeepRules({"daily": 1}), NOW_NS))
    assert kept == ["2024-01-02T00:30:00+02:00"]


@pytest.mark.parametrize(
    ("newest", "span", "start"),
    [
        ("2024-03-31T12:00:00Z", "1m", "2024-03-02T12:00:00Z"),  # 31 February runs over, in a leap year by 2
        ("2023-03-31T12:00:00Z", "1m", "2023-03-03T12:00:00Z"),
        ("2024-02-29T12:00:00Z", "1y", "2023-03-01T12:00:00Z"),
        ("2024-01-15T12:00:00Z", "13m", "2022-12-15T12:00:00Z"),
        ("2024-01-01T00:30:00Z", "1d1h", "2023-12-30T23:30:00Z"),
        ("0001-01-01T00:00:00Z", "3d", "0000-12-29T00:00:00Z"),
    ],
)
def test_a_span_ends_just_after_where_go_puts_it(newest: str, span: str, start: str) -> None:
    just_after = start.replace("Z", ".000000001Z")
    decisions = apply_rules(
        snapshots_at(newest, just_after, start), KeepRules(within=Duration.parse(span)), NOW_NS
    )
    assert kept_times(decisions) == [newest, just_after]


def test_the_clock_that_changes_is_the_local_one() -> None:
    # A day before noon is noon by the clock of Berlin: 25 hours; 24 by the offset alone.
    found = snapshots_at("2024-10-27T12:00:00+01:00", "2024-10-26T12:30:00+02:00")
    rules, berlin = KeepRules(within=Duration(days=1)), LocalZone(ZoneInfo("Europe/Berlin"))
    assert len(kept_times(apply_rules(found, rules, NOW_NS, berlin))) == 2
    assert len(kept_times(apply_rules(found, rules, NOW_NS))) == 1


def test_one_from_the_future_does_not_move_the_span() -> None:
    found = snapshots_at("2999-01-01T00:00:00Z", "2024-01-10T00:00:00Z", "2024-01-08T00:00:00Z")
    decisions = apply_rules(found, KeepRules(within=Duration(days=1)), NOW_NS)
    assert kept_times(decisions) == ["2999-01-01T00:00:00Z", "2024-01-10T00:00:00Z"]


@pytest.mark.parametrize("text", ["", "5", "1w", "-1d", "1d 2h", "1.5d", "9999999y"])
def test_it_refuses_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="1y5m7d2h"):
        Duration.parse(text)


def test_a_duration_reads_as_restic_writes_it() -> None:
    assert str(Duration.parse("2h1y3d")) == "1y3d2h"


def test_it_refuses_an_unknown_group() -> None:
    with pytest.raises(ValueError, match="host, paths and tags"):
        parse_group_by("host,colour")
    assert set(PERIODS) > {"last", "yearly"}
