"""The packs of a large and far repository are listed once a day, and whenever there is a reason to doubt."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import listing_log, locks
from repository.backup import BackupOptions, BackupResult, backup
from repository.check import check
from repository.errors import BlobNotFound
from repository.files import pack_key
from repository.locks import lock_repository
from repository.repository import Repository
from sources.local import LocalSource
from storage_adapters.base import ObjectInfo
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, new_repo

HOUR_NS = 3600 * 10**9


class Listing(MemoryAdapter):
    """A storage that counts the listings of its packs; far, unless told otherwise."""

    parallel_calls = 5
    listings = 0

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.listings += prefix.startswith("data/")
        return super().list(prefix)


@pytest.fixture
def storage() -> Listing:
    storage = Listing()
    new_repo(storage)
    return storage


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(os.urandom(70_000))
    return tmp_path / "tree"


@pytest.fixture(autouse=True)
def no_repository_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_log, "FEW_PACKS", 0)
    monkeypatch.setattr(locks, "SETTLE_S", 0)


def open_repo(storage: MemoryAdapter, tree: Path) -> Repository:
    return Repository.open(storage, PASSWORD, cache_folder=str(tree.parent / "cache"))


def back_up(storage: Listing, tree: Path, **options: bool) -> tuple[BackupResult, int]:
    """Return the result and how often the packs were listed."""
    before = storage.listings
    repo = open_repo(storage, tree)
    source = LocalSource(["tree"], cwd=os.fsencode(tree.parent))
    with lock_repository(repo) as lock:
        result = backup(repo, source, BackupOptions(**options), lock)
    return result, storage.listings - before


def later(hours: float, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time_ns()
    monkeypatch.setattr(listing_log.time, "time_ns", lambda: now + int(hours * HOUR_NS))


def listed(storage: Listing, tree: Path, **options: bool) -> int:
    return back_up(storage, tree, **options)[1]


@pytest.fixture
def settled(storage: Listing, tree: Path) -> Listing:
    """A storage with three backups."""
    assert [listed(storage, tree) for _ in range(3)] == [1, 1, 0], "the first had nothing to list"
    return storage


@pytest.mark.parametrize(("hours", "times"), [(1, 0), (19, 0), (21, 1), (-1, 1)])
def test_a_listing_is_good_for_a_day_and_for_no_clock_that_was_set_back(
    settled: Listing, tree: Path, hours: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    later(hours, monkeypatch)
    assert listed(settled, tree) == times


def test_what_is_lost_meanwhile_is_found_with_the_next_listing(
    settled: Listing, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo = open_repo(settled, tree)
    repo.load_index()
    lost = next(each.id for each in repo.index.pack_totals() if each.data_blobs)
    del settled.objects[pack_key(lost)]
    later(21, monkeypatch)
    found, _ = back_up(settled, tree, read_all=False)
    assert [each.id for each in found.lost_packs] == [lost]


def lose(storage: Listing, tree: Path) -> None:
    """Remove the pack of data, and what the source has of it."""
    repo = open_repo(storage, tree)
    repo.load_index()
    lost = next(each.id for each in repo.index.pack_totals() if each.data_blobs)
    del storage.objects[pack_key(lost)]
    (tree / "a").write_bytes(b"its old content is nowhere")


def test_as_long_as_packs_are_lost_each_backup_lists(settled: Listing, tree: Path) -> None:
    """Also if that was found by one that lists in any case, while the last listing would still be good."""
    lose(settled, tree)
    for read_all in (True, False, False):
        found, times = back_up(settled, tree, read_all=read_all)
        assert (len(found.lost_packs), times) == (1, 1)


def test_a_check_that_misses_packs_makes_the_next_backup_list(settled: Listing, tree: Path) -> None:
    lose(settled, tree)
    assert check(open_repo(settled, tree)).errors
    assert len(back_up(settled, tree)[0].lost_packs) == 1


def test_a_read_that_misses_a_pack_makes_the_next_backup_list(settled: Listing, tree: Path) -> None:
    repo = open_repo(settled, tree)
    repo.load_index()
    (blob,) = {blob for kind, blob, _ in repo.index.places() if kind == "data"}
    lose(settled, tree)
    with pytest.raises(BlobNotFound):
        repo.load_blob("data", blob)
    assert len(back_up(settled, tree)[0].lost_packs) == 1


def test_reading_all_lists_too(settled: Listing, tree: Path) -> None:
    assert listed(settled, tree, read_all=True) == 1


def test_an_index_that_was_rewritten_is_a_reason_to_list(settled: Listing, tree: Path) -> None:
    repo = open_repo(settled, tree)
    (name,) = [file.id for file in repo.files.list("index")]
    text = repo.files.load("index", name)
    repo.files.save("index", text + b" ")
    repo.files.remove("index", name)
    assert [listed(settled, tree) for _ in range(2)] == [1, 0]


def test_an_index_file_that_came_is_none(settled: Listing, tree: Path) -> None:
    (tree / "b").write_bytes(b"new")
    assert [listed(settled, tree) for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("content", [b"", b"nonsense", bytes(100)], ids=["empty", "short", "long"])
def test_a_note_that_cannot_be_read_is_a_reason_to_list(settled: Listing, tree: Path, content: bytes) -> None:
    (note,) = (tree.parent / "cache").glob("*/listed")
    note.write_bytes(content)
    assert [listed(settled, tree) for _ in range(2)] == [1, 0]


def test_the_note_of_another_repository_is_a_reason_to_list(settled: Listing, tree: Path) -> None:
    other = Listing()
    new_repo(other)
    assert [listed(other, tree) for _ in range(2)] == [1, 1]
    notes = list((tree.parent / "cache").glob("*/listed"))
    assert len(notes) == 2
    one, another = (note.read_bytes() for note in notes)
    notes[0].write_bytes(another)
    notes[1].write_bytes(one)
    assert [listed(settled, tree), listed(other, tree)] == [1, 1]


def test_few_packs_are_listed_each_time(
    settled: Listing, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing_log, "FEW_PACKS", 1_000)
    assert [listed(settled, tree) for _ in range(2)] == [1, 1]


def test_a_disk_is_listed_each_time(settled: Listing, tree: Path) -> None:
    settled.parallel_calls = 2
    assert [listed(settled, tree) for _ in range(2)] == [1, 1]
