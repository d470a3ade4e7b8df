"""Ids by number, and numbers by id."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from repository.idtable import NONE, IdTable


def few_ids() -> st.SearchStrategy[bytes]:
    return st.integers(0, 40).map(lambda number: number.to_bytes(32, "big"))


@given(st.lists(st.lists(few_ids(), max_size=20), max_size=8))
def test_the_first_row_of_an_id_is_found(batches: list[list[bytes]]) -> None:
    table, rows = IdTable(), [b""]
    for batch in batches:
        start = len(rows)
        rows += batch
        returned = table.extend(b"".join(batch))
        assert all(rows[first] == rows[row] and rows.index(rows[row]) == first for first, row in returned)
        assert len(returned) == sum(rows.index(rows[row]) != row for row in range(start, len(rows)))
    assert list(table.ids()) == rows[1:]
    assert len(table) == len(set(rows)) - 1
    for number in range(42):
        wanted = number.to_bytes(32, "big")
        assert table.find(wanted) == (rows.index(wanted) if wanted in rows else NONE)


def test_many_ids_are_found_after_all_growing() -> None:
    table, ids = IdTable(), [os.urandom(32) for _ in range(20_000)]
    rows = [table.append(each) for each in ids]
    assert rows == list(range(1, 20_001))
    assert [table.find(each) for each in ids] == rows
    assert [table.id_of(row) for row in rows] == ids
    assert not any(table.find(os.urandom(32)) for _ in range(1000))


def test_ids_that_meet_in_one_slot_are_kept_apart() -> None:
    met = [each for each in (os.urandom(32) for _ in range(60_000)) if hash(each) & 0xFFF == 0xFFF]
    assert len(met) > 3
    table = IdTable()
    table.reserve(1 << 11)
    table.extend(b"".join(met[1:]))
    assert [table.find(each) for each in met] == list(range(len(met)))


def test_room_made_before_is_used() -> None:
    table = IdTable()
    table.append(b"a" * 32)
    table.reserve(10_000)
    slots = table._slots
    table.extend(os.urandom(32 * 9_000))
    assert table._slots is slots
    assert table.find(b"a" * 32) == 1
