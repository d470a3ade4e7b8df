"""Codes of an app: taken once, about now, and not for ever guessed at."""

from __future__ import annotations

import pyotp
import pytest
from flask import Flask
from sqlalchemy import select

from core.access import second_factor, users
from core.access.users import LoginFailed, TooManyAttempts
from core.db import db
from core.errors import Conflict, Invalid
from core.models import LoginFailure, User

PASSWORD = "correct horse battery"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time that codes go by, to be set by the test."""
    times = [1_800_000_000.0]
    monkeypatch.setattr(second_factor.time, "time", lambda: times[0])
    return times


@pytest.fixture
def anna(context: Flask, clock: list[float]) -> User:
    """Return a user who has begun, and confirms next."""
    found = users.create("Anna", PASSWORD, "operator")
    second_factor.begin(found.id)
    return found


def code(user: User, at: float) -> str:
    secret = second_factor.secret_to_confirm(user) or second_factor._secret(user)
    return pyotp.TOTP(secret).at(int(at))


def turn_on(user: User, clock: list[float]) -> list[str]:
    codes = second_factor.confirm(user.id, code(user, clock[0]))
    clock[0] += 60
    return codes


def test_it_counts_only_once_confirmed(anna: User, clock: list[float]) -> None:
    assert not second_factor.is_on(anna)
    with pytest.raises(Invalid):
        second_factor.confirm(anna.id, "000000" if code(anna, clock[0]) != "000000" else "000001")
    assert not second_factor.is_on(anna)
    turn_on(anna, clock)
    assert second_factor.is_on(users.get(anna.id))
    with pytest.raises(Conflict):
        second_factor.begin(anna.id)


def test_nothing_of_it_stands_readable_in_the_database(anna: User, clock: list[float]) -> None:
    secret = second_factor.secret_to_confirm(anna)
    codes = turn_on(anna, clock)
    row = db.session.scalars(select(User)).one()
    stored = f"{row.totp_sealed} {row.recovery_codes}"
    assert secret
    assert secret not in stored
    assert not [each for each in codes if each in stored or each.replace("-", "") in stored]


@pytest.mark.parametrize("off_s", [-30, 0, 30])
def test_a_code_of_about_now_is_taken_once(anna: User, clock: list[float], off_s: int) -> None:
    turn_on(anna, clock)
    typed = code(users.get(anna.id), clock[0] + off_s)
    second_factor.check(anna.id, f" {typed[:3]} {typed[3:]} ", "10.0.0.7")
    with pytest.raises(LoginFailed):
        second_factor.check(anna.id, typed, "10.0.0.7")


@pytest.mark.parametrize("off_s", [-60, 60, 3600])
def test_one_of_another_time_is_not(anna: User, clock: list[float], off_s: int) -> None:
    turn_on(anna, clock)
    with pytest.raises(LoginFailed):
        second_factor.check(anna.id, code(users.get(anna.id), clock[0] + off_s), "10.0.0.7")


def test_a_recovery_code_opens_once(anna: User, clock: list[float]) -> None:
    codes = turn_on(anna, clock)
    assert len(set(codes)) == second_factor.RECOVERY_CODES
    second_factor.check(anna.id, codes[0].upper().replace("-", " "), "10.0.0.7")
    assert second_factor.codes_left(users.get(anna.id)) == second_factor.RECOVERY_CODES - 1
    with pytest.raises(LoginFailed):
        second_factor.check(anna.id, codes[0], "10.0.0.7")
    second_factor.check(anna.id, codes[1], "10.0.0.7")


@pytest.mark.parametrize("typed", ["", "0", "12345678901234567890", "ü" * 6, "a-b-c"])
def test_nonsense_is_refused(anna: User, clock: list[float], typed: str) -> None:
    turn_on(anna, clock)
    with pytest.raises(LoginFailed):
        second_factor.check(anna.id, typed, "10.0.0.7")


def test_a_clock_that_was_ahead_locks_nobody_out(anna: User, clock: list[float]) -> None:
    clock[0] += 86_400
    turn_on(anna, clock)
    clock[0] -= 86_400
    now = code(users.get(anna.id), clock[0])
    second_factor.check(anna.id, now, "")
    with pytest.raises(LoginFailed):
        second_factor.check(anna.id, now, "")


def test_right_codes_leave_nothing_counted_against_the_address(anna: User, clock: list[float]) -> None:
    turn_on(anna, clock)
    with pytest.raises(LoginFailed):
        second_factor.check(anna.id, "nonsense", "10.0.0.7")
    second_factor.check(anna.id, code(users.get(anna.id), clock[0]), "10.0.0.7")
    assert db.session.scalars(select(LoginFailure.key)).all() == ["address:10.0.0.7"]


def test_guessing_has_to_wait(anna: User, clock: list[float]) -> None:
    turn_on(anna, clock)
    for _ in range(users.FREE_FAILURES_OF_A_NAME):
        with pytest.raises(LoginFailed):
            second_factor.check(anna.id, "nonsense", "10.0.0.7")
    with pytest.raises(TooManyAttempts):
        second_factor.check(anna.id, code(users.get(anna.id), clock[0]), "10.0.0.8")
    users.authenticate("Anna", PASSWORD, "10.0.0.9")  # and the right password does not forget them
    with pytest.raises(TooManyAttempts):
        second_factor.check(anna.id, code(users.get(anna.id), clock[0]), "10.0.0.8")


def test_off_is_off(anna: User, clock: list[float]) -> None:
    codes = turn_on(anna, clock)
    second_factor.turn_off(anna.id)
    assert not second_factor.is_on(users.get(anna.id))
    with pytest.raises(LoginFailed):
        second_factor.check(anna.id, codes[0], "10.0.0.7")
