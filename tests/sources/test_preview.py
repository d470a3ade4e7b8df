"""Previews: the totals of a real backup, the folders worth a look, what rules leave out, within a time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository.entries import Listing, SourceUnavailable
from sources.local import LocalSource
from sources.preview import LeftOut, measure, preview
from sources.rules import Rules


@pytest.fixture
def home(tmp_path: Path) -> Path:
    sizes = {
        "a/b/big": 5000,
        "a/b/c/small": 10,
        "a/x": 100,
        "logs/1.tmp": 999,
        "logs/2.tmp": 1,
        "logs/3": 2000,
    }
    for name, size in sizes.items():
        path = tmp_path / "home" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
    (tmp_path / "home" / "link").symlink_to("a")
    return tmp_path / "home"


def test_it_shows_what_a_backup_would_read(home: Path) -> None:
    shown = preview(LocalSource(["."], cwd=bytes(home), rules=Rules(exclude=("*.tmp",))))
    assert (shown.files, shown.bytes, shown.complete, shown.problems) == (4, 7110, True, [])
    # Nearly all of /a is in /a/b, so /a itself says nothing new.
    assert [(folder.path, folder.files, folder.bytes) for folder in shown.biggest] == [
        (b"/a/b", 2, 5010),
        (b"/logs", 1, 2000),
        (b"/a/b/c", 1, 10),
    ]
    assert shown.left_out == [LeftOut("*.tmp", 2, [b"/logs/1.tmp", b"/logs/2.tmp"])]


@pytest.fixture
def as_nobody(home: Path) -> Iterator[Path]:
    """Return a place that an ordinary user may read, and be that user meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        place.chmod(0o755)
        home.rename(place / "home")
        for hidden in ("logs/3", "a/x"):
            (place / "home" / hidden).chmod(0)
        (place / "home" / "shut").mkdir(mode=0)
        was = os.geteuid()
        if was == 0:
            os.seteuid(65534)
        yield place / "home"
        os.seteuid(was)
        (place / "home" / "shut").chmod(0o700)


def test_files_and_folders_that_may_not_be_read_are_all_told(as_nobody: Path) -> None:
    problems = preview(LocalSource(["."], cwd=bytes(as_nobody))).problems
    assert sorted(one.path for one in problems) == [b"/a/x", b"/logs/3", b"/shut"]
    assert {one.kind for one in problems} == {"unreadable"}


def test_it_stops_when_the_time_is_up_and_says_so(home: Path) -> None:
    ticks = iter(range(100))
    shown = preview(LocalSource(["."], cwd=bytes(home)), limit_s=2.5, clock=lambda: next(ticks))
    assert not shown.complete
    assert 0 < shown.files < 6


def test_the_last_of_the_running_totals_is_the_whole(home: Path) -> None:
    source = LocalSource([str(home)], rules=Rules(exclude=("logs",)))
    counts = [(totals.files, totals.bytes) for totals in measure(source)]
    assert counts == sorted(counts)
    assert counts[-1] == (3, 5110)
    last = list(measure(source))[-1]
    assert last.folders == len(home.parts) - 1 + 3


def test_a_missing_path_is_an_error_not_an_empty_preview(home: Path) -> None:
    with pytest.raises(SourceUnavailable):
        preview(LocalSource([str(home / "gone")]))


class _Closed(LocalSource):
    def list_dir(self, path: bytes) -> Listing:
        if path.endswith(b"/logs"):
            raise PermissionError(13, "Permission denied")
        return super().list_dir(path)


def test_a_folder_that_cannot_be_listed_is_named(home: Path) -> None:
    shown = preview(_Closed(["."], cwd=bytes(home)))
    assert [(problem.path, problem.kind) for problem in shown.problems] == [(b"/logs", "unreadable")]
    assert shown.bytes == 5110
