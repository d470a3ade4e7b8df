"""Logins end when they should, and tokens are not kept."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from core.access import sessions, users
from core.db import db, utc_now
from core.models import LoginSession, User

PASSWORD = "correct horse battery"


@pytest.fixture
def anna(context: Flask) -> User:
    """Return a user."""
    return users.create("Anna", PASSWORD, "operator")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Return the time that sessions see, to be set by the test."""
    times = [utc_now()]
    monkeypatch.setattr(sessions, "utc_now", lambda: times[0])
    return times


def test_a_token_resumes_its_login(anna: User) -> None:
    found = sessions.resume(sessions.start(anna, "10.0.0.7"))
    assert found is not None
    assert found.id == anna.id


def test_the_token_itself_is_not_in_the_database(anna: User) -> None:
    token = sessions.start(anna, "10.0.0.7")
    row = db.session.scalars(select(LoginSession)).one()
    assert token not in (row.token_hash, row.address)
    assert row.address == "10.0.0.7"


@pytest.mark.parametrize("token", ["", "no such token", "x" * 5000, "ü"])
def test_it_resumes_nobody_for_a_wrong_token(anna: User, token: str) -> None:
    sessions.start(anna, "")
    assert sessions.resume(token) is None


def test_a_login_ends_after_twelve_idle_hours(anna: User, clock: list[datetime]) -> None:
    token = sessions.start(anna, "")
    clock[0] += timedelta(hours=11, minutes=59)
    assert sessions.resume(token) is not None
    clock[0] += timedelta(hours=11, minutes=59)
    assert sessions.resume(token) is not None
    clock[0] += timedelta(hours=12)
    assert sessions.resume(token) is None


def test_a_login_ends_after_seven_days_however_busy(anna: User, clock: list[datetime]) -> None:
    token = sessions.start(anna, "")
    for _ in range(16):
        clock[0] += timedelta(hours=10)
        assert sessions.resume(token) is not None
    clock[0] += timedelta(hours=10)
    assert sessions.resume(token) is None


def test_a_login_from_the_future_is_over(anna: User, clock: list[datetime]) -> None:
    token = sessions.start(anna, "")
    clock[0] -= timedelta(days=30)
    assert sessions.resume(token) is None


def test_seeing_somebody_again_within_a_minute_writes_nothing(anna: User, clock: list[datetime]) -> None:
    token = sessions.start(anna, "")
    first = clock[0]
    clock[0] += timedelta(seconds=59)
    sessions.resume(token)
    assert db.session.scalars(select(LoginSession.last_seen_at)).one() == first


def test_the_end_of_one_login_leaves_the_others(anna: User) -> None:
    one, other = sessions.start(anna, ""), sessions.start(anna, "")
    sessions.end(one)
    assert sessions.resume(one) is None
    assert sessions.resume(other) is not None


def test_end_all_can_keep_the_one_that_asks(anna: User) -> None:
    one, other = sessions.start(anna, ""), sessions.start(anna, "")
    sessions.end_all(anna, keep_token=other)
    assert sessions.resume(one) is None
    assert sessions.resume(other) is not None


@pytest.mark.parametrize("change", ["disable", "set_password"])
def test_a_changed_user_is_logged_out_everywhere(anna: User, change: str) -> None:
    users.create("Root", PASSWORD, "admin")
    token = sessions.start(anna, "")
    if change == "disable":
        users.disable(anna.id)
    else:
        users.set_password(anna.id, "another long password")
    assert sessions.resume(token) is None


def test_dead_logins_are_swept_at_the_next_start(anna: User, clock: list[datetime]) -> None:
    sessions.start(anna, "")
    clock[0] += timedelta(days=8)
    sessions.start(anna, "")
    assert len(db.session.scalars(select(LoginSession)).all()) == 1


def test_what_a_page_fetches_by_itself_keeps_no_login_alive(anna: User, clock: list[datetime]) -> None:
    token = sessions.start(anna, "")
    clock[0] += timedelta(hours=11)
    assert sessions.resume(token, seen=False) is not None
    clock[0] += timedelta(hours=1)
    assert sessions.resume(token) is None
