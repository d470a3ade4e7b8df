"""Users: who may log in, who may not, and how long a guesser waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from argon2 import PasswordHasher
from flask import Flask
from sqlalchemy import select

from core.access import api_tokens, users
from core.db import db, utc_now
from core.errors import Conflict, Invalid, NotFound
from core.models import LoginFailure, User

PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"


@pytest.fixture
def anna(context: Flask) -> User:
    """Return an admin."""
    return users.create("Anna", PASSWORD, "admin")


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Return the time that users see: it stands still, on slow machines too, but for what a test adds."""
    times = [utc_now()]
    monkeypatch.setattr(users, "utc_now", lambda: times[0])
    return times


def fail(name: str, address: str = "10.0.0.1") -> None:
    """Try a wrong password, and see it refused."""
    with pytest.raises(users.LoginFailed):
        users.authenticate(name, WRONG, address)


def wait_of(name: str, address: str = "10.0.0.1") -> int:
    """Return how long this login is told to wait."""
    with pytest.raises(users.TooManyAttempts) as caught:
        users.authenticate(name, PASSWORD, address)
    return caught.value.wait_s


@pytest.mark.parametrize("name", ["Anna", "anna", " ANNA "])
def test_the_right_password_logs_in(anna: User, name: str) -> None:
    found = users.authenticate(name, PASSWORD, "10.0.0.1")
    assert found.id == anna.id
    assert found.last_login_at is not None


@pytest.mark.parametrize("password", ["", WRONG, PASSWORD + " ", PASSWORD.upper(), "x" * 100_000])
def test_a_wrong_password_does_not(anna: User, password: str) -> None:
    with pytest.raises(users.LoginFailed):
        users.authenticate("Anna", password, "10.0.0.1")


def test_an_unknown_name_gets_the_same_answer(anna: User) -> None:
    with pytest.raises(users.LoginFailed) as unknown:
        users.authenticate("Bert", PASSWORD, "10.0.0.1")
    with pytest.raises(users.LoginFailed) as wrong:
        users.authenticate("Anna", WRONG, "10.0.0.1")
    assert str(unknown.value) == str(wrong.value)


def test_the_password_is_stored_as_argon2_only(anna: User) -> None:
    assert anna.password_hash.startswith("$argon2id$")
    assert PASSWORD not in anna.password_hash


def test_hashes_of_a_cheaper_time_are_renewed_at_login(anna: User, monkeypatch: pytest.MonkeyPatch) -> None:
    before = anna.password_hash
    monkeypatch.setattr(users, "_hasher", PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    users.authenticate("Anna", PASSWORD, "")
    assert users.get(anna.id).password_hash != before
    users.authenticate("Anna", PASSWORD, "")


@pytest.mark.parametrize(
    ("name", "password", "role", "field"),
    [
        ("", PASSWORD, "viewer", "name"),
        ("  ", PASSWORD, "viewer", "name"),
        ("x" * 65, PASSWORD, "viewer", "name"),
        ("a\nb", PASSWORD, "viewer", "name"),
        ("aNNa", PASSWORD, "viewer", "name"),
        ("Bert", "elevenchars", "viewer", "password"),
        ("Bert", "x" * 1025, "viewer", "password"),
        ("Bert", "abababababab", "viewer", "password"),
        ("Bert Hans Otto", "bert hans otto", "viewer", "password"),
        ("Bert", PASSWORD, "root", "role"),
    ],
)
def test_what_cannot_be_a_user_is_named(
    anna: User, name: str, password: str, role: users.Role, field: str
) -> None:
    with pytest.raises(Invalid) as caught:
        users.create(name, password, role)
    assert set(caught.value.fields) == {field}
    assert password not in str(caught.value) or not password
    assert [user.name for user in users.list_all()] == ["Anna"]


def test_five_failures_are_free_then_waits_double(anna: User, clock: list[datetime]) -> None:
    for _ in range(5):
        fail("Anna")
    waits = []
    for _ in range(7):
        waits.append(wait_of("Anna"))
        clock[0] += timedelta(seconds=waits[-1])
        fail("anna ")
    assert waits == [2, 4, 8, 16, 32, 60, 60]


def test_waiting_counts_no_further_failure(anna: User) -> None:
    for _ in range(5):
        fail("Anna")
    for _ in range(20):
        assert wait_of("Anna") <= 2


def test_a_good_login_forgets_the_failures_of_the_name(anna: User) -> None:
    for _ in range(4):
        fail("Anna")
    users.authenticate("Anna", PASSWORD, "10.0.0.1")
    for _ in range(5):
        fail("Anna")


def test_failures_are_forgotten_after_an_hour(anna: User, clock: list[datetime]) -> None:
    for _ in range(5):
        fail("Anna")
    clock[0] += timedelta(hours=1, seconds=1)
    users.authenticate("Anna", PASSWORD, "")
    assert db.session.scalars(select(LoginFailure)).all() == []


def test_names_unknown_are_throttled_as_well(context: Flask) -> None:
    for _ in range(5):
        fail("nobody")
    assert wait_of("nobody") == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
    ],
)
def test_an_address_that_tries_many_names_waits(anna: User, one: str, other: str, same: bool) -> None:
    for number in range(20):
        fail(f"name{number}", one)
    if same:
        assert wait_of("Anna", other) == 2
    else:
        users.authenticate("Anna", PASSWORD, other)


def test_failures_of_a_clock_that_was_ahead_lock_nobody_out(anna: User, clock: list[datetime]) -> None:
    clock[0] += timedelta(days=400)
    for _ in range(5):
        fail("Anna")
    clock[0] -= timedelta(days=400)
    users.authenticate("Anna", PASSWORD, "10.0.0.1")


def test_many_guesses_at_once_do_not_slip_past_the_count(anna: User, context: Flask) -> None:
    outcomes: list[str] = []

    def guess() -> None:
        with context.app_context():
            try:
                users.authenticate("Anna", WRONG, "10.0.0.1")
            except (users.LoginFailed, users.TooManyAttempts) as error:
                outcomes.append(type(error).__name__)

    guessers = [threading.Thread(target=guess) for _ in range(12)]
    for guesser in guessers:
        guesser.start()
    for guesser in guessers:
        guesser.join(120)
    assert sorted(outcomes) == ["LoginFailed"] * 5 + ["TooManyAttempts"] * 7


def test_a_disabled_user_cannot_log_in_until_enabled(anna: User) -> None:
    bert = users.create("Bert", PASSWORD, "viewer")
    users.disable(bert.id)
    fail_right = pytest.raises(users.LoginFailed)
    with fail_right:
        users.authenticate("Bert", PASSWORD, "")
    users.enable(bert.id)
    assert users.authenticate("Bert", PASSWORD, "").id == bert.id


def test_the_last_admin_stays_one(anna: User) -> None:
    bert = users.create("Bert", PASSWORD, "admin")
    users.disable(bert.id)
    for change in (lambda: users.disable(anna.id), lambda: users.set_role(anna.id, "viewer")):
        with pytest.raises(Conflict, match="last admin"):
            change()
    users.enable(bert.id)
    users.set_role(anna.id, "viewer")
    assert users.get(anna.id).role == "viewer"


def test_a_new_password_replaces_the_old_one(anna: User) -> None:
    users.set_password(anna.id, "another long password")
    fail("Anna")
    assert users.authenticate("Anna", "another long password", "").id == anna.id
    with pytest.raises(Invalid):
        users.set_password(anna.id, "short")


@pytest.mark.parametrize("change", [lambda id_: users.set_password(id_, PASSWORD + "2"), users.disable])
def test_tokens_end_with_the_password_and_with_the_user(anna: User, change: Callable[[int], None]) -> None:
    bert = users.create("Bert", PASSWORD, "viewer")
    (_, his), (_, hers) = (
        api_tokens.create(api_tokens.TokenInput(name="nightly"), owner) for owner in (bert, anna)
    )
    assert api_tokens.resume(his, "") is not None
    change(bert.id)
    users.enable(bert.id)
    assert api_tokens.resume(his, "") is None
    assert api_tokens.resume(hers, "") is not None


def test_who_does_not_exist_is_not_found(context: Flask) -> None:
    for call in (lambda: users.get(7), lambda: users.find("x"), lambda: users.disable(7)):
        with pytest.raises(NotFound):
            call()
    assert not users.any_admin()
