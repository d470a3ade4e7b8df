"""What is begun leaves a trace, however its process ends."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from core.access import audit, audit_begun
from core.access.audit import Deed
from core.db import utc_now, write
from core.models import AuditEntry, BegunDeed

DEED = Deed("anna", "page", "users.create", "unknown", target="name nina", detail="POST /settings/users")


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a process that is at nothing yet."""
    monkeypatch.setattr(audit_begun, "_going_on", set())


def left_by_the_dead(number: int) -> None:
    """Let the row be that of a process that is gone: no number of a process is so high."""
    with write() as session:
        session.get_one(BegunDeed, number).pid = 2**31 - 1


def entries() -> list[AuditEntry]:
    return list(audit.every())


def test_what_ended_is_one_entry_and_no_row(context: Flask) -> None:
    number = audit_begun.begin(DEED)
    (row,) = audit_begun.going_on()
    assert (row.actor, row.action, row.target, row.pid) == ("anna", "users.create", "name nina", os.getpid())
    audit_begun.end(number, Deed("anna", "page", "users.create", "done"))
    assert audit_begun.going_on() == []
    assert [entry.result for entry in entries()] == ["done"]


def test_what_was_not_tried_leaves_nothing(context: Flask) -> None:
    audit_begun.end(audit_begun.begin(DEED), None)
    assert (list(audit_begun.going_on()), entries()) == ([], [])


def test_what_is_going_on_stays_so(context: Flask) -> None:
    audit_begun.begin(DEED)
    assert audit_begun.settle() == 0
    assert len(audit_begun.going_on()) == 1


def test_what_a_dead_process_had_begun_is_not_known(context: Flask) -> None:
    left_by_the_dead(audit_begun.begin(DEED))
    assert audit_begun.settle() == 1
    (entry,) = entries()
    assert (entry.result, entry.actor, entry.target) == ("unknown", "anna", "name nina")
    assert "may be done or not" in entry.detail
    assert audit_begun.going_on() == []
    assert audit.verify().ok
    assert audit_begun.settle() == 0


def test_what_a_request_left_without_a_result_is_not_known_either(context: Flask) -> None:
    number = audit_begun.begin(DEED)
    audit_begun.let_go(number)
    audit_begun.begin(DEED)
    assert [entry.result for entry in entries()] == ["unknown"]
    assert len(audit_begun.going_on()) == 1


def test_a_number_that_is_given_again_is_at_something_again(
    context: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, seen, add = audit_begun.begin(DEED), list[bool](), audit.add

    def look(session: Session, deed: Deed) -> None:
        add(session, deed)
        seen.append(first in audit_begun._going_on)

    monkeypatch.setattr(audit, "add", look)
    audit_begun.end(first, DEED)
    assert audit_begun._going_on == set()
    again = audit_begun.begin(DEED)
    assert (seen, audit_begun._going_on) == ([True], {again})
    assert audit_begun.settle() == 0


@pytest.mark.parametrize(("minutes", "left"), [(59, 0), (61, 1)])
def test_what_a_container_before_left_is_not_known_after_an_hour(
    context: Flask, minutes: int, left: int
) -> None:
    number = audit_begun.begin(DEED)
    with write() as session:
        row = session.get_one(BegunDeed, number)
        row.pid_started, row.at = "1@pid:[1]", utc_now() - timedelta(minutes=minutes)
    assert audit_begun.settle() == left
    assert [entry.result for entry in entries()] == ["unknown"] * left


def test_another_machine_is_not_judged(context: Flask) -> None:
    number = audit_begun.begin(DEED)
    left_by_the_dead(number)
    with write() as session:
        session.get_one(BegunDeed, number).node = "another"
    assert audit_begun.settle() == 0


def test_the_end_and_its_entry_are_one(context: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    number = audit_begun.begin(DEED)

    def full(*given: object) -> None:
        raise OSError("no space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(audit, "add", full)
        with pytest.raises(OSError, match="no space"):
            audit_begun.end(number, DEED)
    assert [row.id for row in audit_begun.going_on()] == [number]
    assert entries() == []


def test_nobody_writes_lines_of_their_own(context: Flask) -> None:
    audit_begun.begin(Deed("a\nb", "page", "x", "unknown", target="y\r\n" * 2000))
    (row,) = audit_begun.going_on()
    assert row.actor.isprintable()
    assert row.target.isprintable()
    assert len(row.target) <= 2000
