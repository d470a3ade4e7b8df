"""The zone of the command line."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import TZPATH, ZoneInfo

import pytest

from repository.cli_zone import FileZone
from repository.gotext import LocalZone, format_time


def test_a_zone_from_a_file_is_that_zone_also_in_another_process() -> None:
    path = next((found for place in TZPATH if (found := Path(place, "Europe/Berlin")).is_file()), None)
    if path is None:
        pytest.skip("no time zone files are installed")
    named, copy = ZoneInfo("Europe/Berlin"), pickle.loads(pickle.dumps(FileZone.read(path.read_bytes())))
    start = datetime(2024, 1, 1, tzinfo=UTC)
    for hours in range(0, 366 * 24, 5):
        moment = start + timedelta(hours=hours)
        theirs, ours = moment.astimezone(named), moment.astimezone(copy)
        assert (ours.utcoffset(), ours.dst(), ours.tzname()) == (
            theirs.utcoffset(),
            theirs.dst(),
            theirs.tzname(),
        )
        ns = int(moment.timestamp()) * 1_000_000_000
        assert format_time(ns, LocalZone(copy)) == format_time(ns, LocalZone(named))


def test_other_data_is_refused() -> None:
    with pytest.raises(ValueError):
        FileZone.read(b"no zone")
