"""Which packs a check reads: parts that make a whole, and in turn what was not read for longest."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from repository.check import check
from repository.check_subset import ReadLog, Subset, parse_subset
from repository.errors import Damaged
from repository.files import list_packs, pack_key
from repository.repository import Repository
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, make_backup, new_repo
from tests.repository.test_cli import Cli, run, tree

__all__ = ["run", "tree"]

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PACKS = {bytes([number]) * 32: 100 for number in range(50)}


def test_parts_are_told_apart_by_the_first_byte_as_restic_does() -> None:
    parts = [Subset(part=(number, 3)).choose(PACKS, {}) for number in (1, 2, 3)]
    assert sum(map(len, parts)) == len(PACKS)
    assert {pack for part in parts for pack in part} == set(PACKS)
    assert set(parts[1]) == {pack for pack in PACKS if pack[0] % 3 == 1}


@pytest.mark.parametrize(
    ("text", "subset"),
    [
        ("2/7", Subset(part=(2, 7))),
        ("256/256", Subset(part=(256, 256))),
        ("2.5%", Subset(share=0.025)),
        ("100%", Subset(share=1)),
        ("700", Subset(size_bytes=700)),
        ("5M", Subset(size_bytes=5 << 20)),
        ("1g", Subset(size_bytes=1 << 30)),
    ],
)
def test_a_subset_is_read(text: str, subset: Subset) -> None:
    assert parse_subset(text) == subset


@pytest.mark.parametrize(
    "text", ["", "0/3", "4/3", "1/257", "0%", "101%", "-1%", "0", "x", "1/2/3", "5 M", "1%\n"]
)
def test_what_is_no_subset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="500M"):
        parse_subset(text)


def test_a_budget_takes_turns_until_all_were_read() -> None:
    log = ReadLog("repository")
    read: list[bytes] = []
    for day in range(5):
        chosen = Subset(share=0.2).choose(PACKS, log.times)
        assert len(chosen) == 10
        read += chosen
        log.record(chosen, PACKS, NOW + timedelta(days=day))
    assert sorted(read) == sorted(PACKS)
    assert set(Subset(size_bytes=1000).choose(PACKS, log.times)) == set(read[:10])


def test_a_budget_smaller_than_any_pack_still_reads_one() -> None:
    assert len(Subset(size_bytes=1).choose(PACKS, {})) == 1
    assert Subset(size_bytes=1).choose({}, {}) == {}


def test_the_log_comes_back_and_forgets_what_is_gone() -> None:
    log = ReadLog("repository", {b"x" * 32: 5, b"y" * 32: 6})
    log.record([b"z" * 32], [b"x" * 32, b"z" * 32], NOW)
    assert ReadLog.decode(log.encode(), "repository").times == {b"x" * 32: 5, b"z" * 32: int(NOW.timestamp())}


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"version":1,"repository":"r","packs":{"ab":1}}', b"\xff", b'{"version":2}']
)
def test_a_log_that_is_none_is_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        ReadLog.decode(data, "r")


def test_the_log_of_another_repository_is_refused() -> None:
    with pytest.raises(Damaged, match="another"):
        ReadLog.decode(ReadLog("one").encode(), "two")


@pytest.fixture
def storage(tmp_path: Path) -> MemoryAdapter:
    """A repository of several data packs, each of which is one snapshot's."""
    storage = MemoryAdapter()
    repo = new_repo(storage)
    (tmp_path / "tree").mkdir()
    for name in "abcd":
        (tmp_path / "tree" / name).write_bytes(os.urandom(3000))
        make_backup(repo, "tree", cwd=tmp_path)
    return storage


def test_check_reads_the_subset_and_finds_what_is_bad_in_it(storage: MemoryAdapter) -> None:
    packs = list_packs(storage)
    bad = max(pack for pack, size in packs.items() if size > 3000)  # of data: all of them are of one size
    key = pack_key(bad)
    storage.objects[key] = bytes([storage.objects[key][0] ^ 1]) + storage.objects[key][1:]
    last_read = dict.fromkeys(packs, 100)

    def read(pack_time: int) -> tuple[bool, list[bytes]]:
        last_read[bad] = pack_time
        repo = Repository.open(storage, PASSWORD)
        result = check(repo, subset=Subset(size_bytes=packs[bad]), last_read=last_read)
        return result.ok, result.read

    assert read(1) == (False, [bad])
    ok, others = read(200)
    assert ok
    assert len(others) >= 1
    assert bad not in others


def test_the_command_reads_in_turn(run: Cli, tree: Path, tmp_path: Path) -> None:
    for name in "xyz":
        (tree / name).write_bytes(os.urandom(3000))
        run("backup", tree)
    cache = ("--cache-dir", tmp_path / "cache")
    packs = run.json("check", *cache)["packs"]
    assert packs >= 4
    counts = [run.json("check", "--read-data-subset", "1", *cache)["packs_read"] for _ in range(packs)]
    assert counts == [1] * packs
    (kept,) = (tmp_path / "cache" / "checks").iterdir()
    log = ReadLog.decode(kept.read_bytes(), kept.stem)
    assert len(log.times) == packs
    kept.write_bytes(b"spoilt")
    assert run.json("check", "--read-data-subset", "100%", *cache)["packs_read"] == packs


def test_the_command_refuses_what_contradicts_itself(run: Cli) -> None:
    run("check", "--read-data", "--read-data-subset", "1/2", code=2)
    run("check", "--read-data-subset", "3/2", code=2)
    assert "n/t" in run.errors
