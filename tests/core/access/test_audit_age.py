"""The audit log gets old: what leaves from its beginning is proven to have left by age."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import text

from core.access import audit, audit_age, audit_begin
from core.access.audit import Deed
from core.db import db, utc_now, write
from core.models import AuditEntry
from core.reports import housekeeping

NOW = utc_now()


@pytest.fixture
def years(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write an entry a month, the newest of today."""
    for back in reversed(range(12)):
        monkeypatch.setattr(audit, "utc_now", lambda back=back: NOW - timedelta(days=30 * back))
        audit.record(Deed("anna", "page", "configs.update", "done", f"{back} months ago"))
    monkeypatch.undo()


def by_hand(line: str) -> None:
    with write() as session:
        session.execute(text(line))


def numbers() -> list[int]:
    return [entry.number for entry in audit.every()]


def test_old_entries_leave_and_the_chain_proves_the_rest(
    years: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_age, "BATCH", 3)
    assert audit_age.trim(NOW - timedelta(days=100)) == 8
    found = audit.verify()
    assert (found.ok, found.entries) == (True, 5), found.problem
    assert numbers() == [9, 10, 11, 12, 13]
    last = db.session.query(AuditEntry).filter_by(number=13).one()
    assert (last.actor, last.action, last.target) == ("Holdfast", "audit.age", "8 entries, up to 8")
    assert audit_age.trim(NOW - timedelta(days=100)) == 0
    assert numbers() == [9, 10, 11, 12, 13]


def test_the_last_one_stays_however_old(years: None) -> None:
    assert audit_age.trim(NOW + timedelta(days=5000)) == 11
    assert numbers() == [12, 13]
    assert audit.verify().ok


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("DELETE FROM audit_entries WHERE number = 9", "Entry 9 is missing"),
        ("DELETE FROM audit_entries WHERE number < 11", "Entry 9 is missing"),
        ("DELETE FROM instance_values WHERE key = 'audit_begin'", "Entry 1 is missing"),
        ("UPDATE instance_values SET value = '\"x\"' WHERE key = 'audit_begin'", "where the log begins"),
        ("DELETE FROM audit_entries WHERE number > 11", "its end is missing"),
    ],
)
def test_nobody_else_can_cut_it(years: None, line: str, said: str) -> None:
    audit_age.trim(NOW - timedelta(days=100))
    by_hand(line)
    assert said in audit.verify().problem


def test_where_it_began_before_does_not_hide_what_left_since(years: None) -> None:
    audit_age.trim(NOW - timedelta(days=200))
    before = db.session.execute(
        text("SELECT value FROM instance_values WHERE key = :key"), {"key": audit_begin.KEY}
    ).scalar_one()
    audit_age.trim(NOW - timedelta(days=100))
    with write() as session:
        session.execute(
            text("UPDATE instance_values SET value = :value WHERE key = :key"),
            {"value": before, "key": audit_begin.KEY},
        )
    assert "is missing" in audit.verify().problem


def test_a_log_that_is_not_whole_is_left_as_it_is(years: None) -> None:
    by_hand("UPDATE audit_entries SET actor = 'otto' WHERE number = 11")
    assert audit_age.trim(NOW - timedelta(days=100)) == 0
    assert len(numbers()) == 12


def test_housekeeping_does_it_by_age(years: None) -> None:
    housekeeping.change({"audit": 95})
    assert housekeeping.sweep(NOW)["audit entries"] == 8


def test_a_leap_of_years_removes_nothing_before_the_next_day(years: None) -> None:
    """A machine that starts with a wrong clock has a day to be set right; one that was off loses a day."""
    housekeeping.sweep(NOW)
    kept, later = numbers(), NOW + timedelta(days=1800)
    for hours in (0, 1, 23):
        housekeeping.sweep_daily(later + timedelta(hours=hours))
        assert numbers() == kept
        assert housekeeping.state().swept_at == NOW
    housekeeping.sweep_daily(NOW + timedelta(days=2))
    assert numbers() == kept, "the clock was set right"
    for days in (0, 1):
        housekeeping.sweep_daily(later + timedelta(days=days))
    assert numbers() != kept
    assert housekeeping.state().swept_at == later + timedelta(days=1)
