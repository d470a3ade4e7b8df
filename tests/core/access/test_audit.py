"""The chain of the audit log: whole as long as nobody touches it, broken by whatever happens to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text

from core import secrets
from core.access import audit
from core.access.audit import Deed
from core.db import db, write
from core.models import AuditEntry


def deed(number: int = 0, **more: Any) -> Deed:
    return Deed(**{"actor": "anna", "door": "page", "action": f"things.do{number}", "result": "done", **more})


@pytest.fixture
def chain(context: Flask) -> None:
    """Write five entries."""
    for number in range(1, 6):
        audit.record(deed(number))


def by_hand(line: str) -> None:
    """Change the database as somebody would who has got hold of it."""
    with write() as session:
        session.execute(text(line))


def test_an_empty_log_is_whole(context: Flask) -> None:
    found = audit.verify()
    assert (found.ok, found.entries, found.hash) == (True, 0, audit.BEGINNING)


def test_a_log_that_nobody_touched_is_whole(chain: None) -> None:
    found = audit.verify()
    assert (found.ok, found.entries, found.problem) == (True, 5, "")
    entries = list(audit.every())
    assert [entry.number for entry in entries] == [1, 2, 3, 4, 5]
    assert entries[-1].hash == found.hash
    assert entries[3].previous == entries[2].hash


SWAP = """UPDATE audit_entries SET number = CASE number WHEN 2 THEN 30 WHEN 3 THEN 2 ELSE number END;
UPDATE audit_entries SET number = 3 WHERE number = 30"""


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("UPDATE audit_entries SET actor = 'otto' WHERE number = 3", "Entry 3"),
        ("UPDATE audit_entries SET target = 'x' WHERE number = 5", "Entry 5"),
        ("UPDATE audit_entries SET at = '2020-01-01 00:00:00.000000' WHERE number = 1", "Entry 1"),
        ("UPDATE audit_entries SET result = 'refused' WHERE number = 2", "Entry 2"),
        ("DELETE FROM audit_entries WHERE number = 3", "Entry 3 is missing"),
        ("DELETE FROM audit_entries WHERE number = 1", "Entry 1 is missing"),
        ("DELETE FROM audit_entries WHERE number = 5", "its end is missing"),
        ("DELETE FROM audit_entries", "its end is missing"),
        (SWAP, "Entry 2"),
        ("UPDATE audit_heads SET number = 3", "at which the log ended"),
        ("UPDATE audit_heads SET sealed = ''", "where the log ends"),
        ("DELETE FROM audit_heads", "behind the end"),
    ],
)  # fmt: skip
def test_whoever_touches_it_breaks_it(chain: None, line: str, said: str) -> None:
    for each in line.split(";"):
        by_hand(each)
    found = audit.verify()
    assert not found.ok
    assert said in found.problem


def test_hashes_made_up_anew_do_not_mend_it(chain: None) -> None:
    """Somebody who knows how it is made cuts the end off, and writes down the new end."""
    entries = list(audit.every())
    by_hand("DELETE FROM audit_entries WHERE number > 3")
    by_hand(f"UPDATE audit_heads SET number = 3, hash = '{entries[2].hash}'")
    assert "where the log ends" in audit.verify().problem


def test_an_entry_put_behind_the_end_is_seen(chain: None) -> None:
    last = list(audit.every())[-1]
    with write() as session:
        copied = {
            name: value for name, value in vars(last).items() if not name.startswith("_") and name != "id"
        }
        entry = AuditEntry(**copied | {"number": 6, "previous": last.hash})
        entry.hash = audit._hash(entry)
        session.add(entry)
    assert "behind the end" in audit.verify().problem


def test_another_master_key_seals_another_end(chain: None, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = secrets._ring.keys
    try:
        secrets.use_master_key("somebody else's key, of 32 characters")
        assert not audit.verify().ok
    finally:
        secrets._ring.keys = ring
    assert audit.verify().ok


def test_it_goes_on_after_a_look(chain: None) -> None:
    assert audit.verify().ok
    audit.record(deed(6))
    assert audit.verify().entries == 6


@pytest.mark.parametrize("actor", ["a\nb", "a\r\n2026-01-01 root: done", "\x1b[31mred", "\u2028", "x" * 5000])
def test_nobody_writes_lines_of_their_own(context: Flask, actor: str) -> None:
    audit.record(deed(actor=actor, target=actor, detail=actor))
    (entry,) = audit.every()
    for said in (entry.actor, entry.target, entry.detail):
        assert said.isprintable()
    assert len(entry.actor) <= 200
    assert audit.verify().ok


def test_two_at_once_are_one_chain(context: Flask) -> None:
    def note(number: int) -> None:
        with context.app_context():
            audit.record(deed(number))
            db.session.remove()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(note, range(20)))
    assert (audit.verify().ok, audit.verify().entries) == (True, 20)


@pytest.mark.parametrize(
    ("filters", "numbers"),
    [
        ({}, [3, 2, 1]),
        ({"actor": "otto"}, [2]),
        ({"result": "refused"}, [2]),
        ({"door": "api"}, [3]),
        ({"action": "DO1"}, [1]),
        ({"action": "wiki"}, [2]),
        ({"action": "%"}, []),
    ],
)
def test_what_is_looked_for_is_found(context: Flask, filters: dict[str, str], numbers: list[int]) -> None:
    audit.record(deed(1))
    audit.record(deed(2, actor="otto", result="refused", target="config Wiki"))
    audit.record(deed(3, door="api"))
    assert [entry.number for entry in audit.list_page(**filters).items] == numbers  # type: ignore[arg-type]


def test_a_long_log_is_looked_at_in_pieces(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "_AT_ONCE", 3)
    for number in range(7):
        audit.record(deed(number))
    assert audit.verify().entries == 7
