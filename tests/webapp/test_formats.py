"""Facts in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from webapp import formats

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (5 * 1024**3 + 1024**3 // 2, "5.5 GiB"),
        (1024**7, "1024.0 EiB"),
        (None, "unknown"),
    ],
)
def test_sizes(number: int | None, words: str) -> None:
    assert formats.size(number) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "less than 1 s"),
        (1, "1 s"),
        (60, "1 m"),
        (252, "4 m 12 s"),
        (3600, "1 h"),
        (3605, "1 h"),
        (7500, "2 h 5 m"),
        (90000, "1 d 1 h"),
        (None, "unknown"),
    ],
)
def test_durations(seconds: float | None, words: str) -> None:
    assert formats.duration(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (-59, "just now"),
        (-60, "1 min ago"),
        (-3600, "1 h ago"),
        (-86400, "1 day ago"),
        (-3 * 86400, "3 days ago"),
        (30, "in moments"),
        (5 * 3600, "in 5 h"),
        (20 * 3600 + 51 * 60, "in 21 h"),
        (59 * 60 + 40, "in 1 h"),
        (23 * 3600 + 40 * 60, "in 1 day"),
    ],
)
def test_how_far_a_moment_is(seconds: int, words: str) -> None:
    assert formats.relative(NOW + timedelta(seconds=seconds), NOW) == words


def test_a_time_is_exact_on_hover() -> None:
    tag = formats.ago(NOW)
    assert 'datetime="2026-03-04T05:06:07Z"' in tag
    assert 'title="2026-03-04 05:06:07 UTC"' in tag
    assert "05:06" in formats.at(NOW)


def test_never_is_said_in_red() -> None:
    assert formats.ago(None) == '<span class="text-bad">never</span>'


def test_counts_and_lists() -> None:
    assert formats.count(1, "file") == "1 file"
    assert formats.count(1204, "more entry") == "1,204 more entries"
    assert formats.count(None, "file") == "unknown"
    assert formats.listing(["a"]) == "a"
    assert formats.listing(["a", "b", "c"]) == "a, b and c"
    assert formats.listing(["a", "b", "c", "d"], 3) == "a, b and 2 more"


def test_a_long_path_keeps_both_ends() -> None:
    path = "/srv/" + "x" * 200 + "/report.txt"
    short = formats.shorten(path, 40)
    assert len(short) == 40
    assert short.startswith("/srv/")
    assert short.endswith("/report.txt")
