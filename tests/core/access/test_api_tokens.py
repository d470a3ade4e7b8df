"""Tokens open what they should, as long as they should; their text is not kept."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from core import inputs
from core.access import api_tokens, users
from core.access.api_tokens import TokenInput
from core.db import db, utc_now
from core.errors import Invalid, NotFound
from core.models import ApiToken, User

PASSWORD = "correct horse battery"


@pytest.fixture
def otto(context: Flask) -> User:
    """Return an operator."""
    return users.create("Otto", PASSWORD, "operator")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """Return the time that tokens see, to be set by the test."""
    times = [utc_now()]
    monkeypatch.setattr(api_tokens, "utc_now", lambda: times[0])
    return times


def make(owner: User | None = None, **more: object) -> str:
    return api_tokens.create(inputs.validate(TokenInput, {"name": "script", **more}), owner)[1]


def test_a_token_opens_what_it_was_made_for(otto: User) -> None:
    found = api_tokens.resume(make(otto, role="viewer"), "10.0.0.7")
    assert found is not None
    assert (found.role, found.last_address) == ("viewer", "10.0.0.7")
    assert api_tokens.as_user(found).name == "Otto, token script"


def test_the_text_is_not_in_the_database(otto: User) -> None:
    text = make(otto)
    row = db.session.scalars(select(ApiToken)).one()
    assert text not in [
        getattr(row, column.key) for column in ApiToken.__table__.columns if column.key != "id"
    ]
    assert len(text) - len(row.hint) >= 32


@pytest.mark.parametrize("text", ["", "holdfast_", "no such token", "x" * 5000, "ü"])
def test_a_wrong_text_opens_nothing(otto: User, text: str) -> None:
    make(otto)
    assert api_tokens.resume(text, "") is None


def test_it_ends_when_it_should(otto: User, clock: list[datetime]) -> None:
    text, lasting = make(otto, days=7), make(otto, days=None)
    clock[0] += timedelta(days=6, hours=23)
    assert api_tokens.resume(text, "") is not None
    clock[0] += timedelta(hours=1)
    assert api_tokens.resume(text, "") is None
    clock[0] += timedelta(days=5000)
    assert api_tokens.resume(lasting, "") is not None


def test_a_revoked_one_opens_nothing(otto: User) -> None:
    text = make(otto)
    api_tokens.revoke(api_tokens.find("script").id)
    assert api_tokens.resume(text, "") is None


def test_it_ends_with_its_user(otto: User) -> None:
    text, nobodys = make(otto), make()
    users.disable(otto.id)
    assert api_tokens.resume(text, "") is None
    assert api_tokens.resume(nobodys, "") is not None
    users.enable(otto.id)
    assert api_tokens.resume(text, "") is None, "what was revoked does not come back with its user"


def test_it_never_may_more_than_its_user(otto: User) -> None:
    with pytest.raises(Invalid, match="cannot be admin"):
        make(otto, role="admin")
    text = make(otto, role="operator")
    users.set_role(otto.id, "viewer")
    found = api_tokens.resume(text, "")
    assert found is not None
    assert api_tokens.role_of(found) == "viewer"


def test_one_made_with_another_does_not_outlive_it(context: Flask) -> None:
    first, _ = api_tokens.create(TokenInput(name="first", role="admin", days=7), None)
    for days in (8, None):
        with pytest.raises(Invalid, match="outlive"):
            api_tokens.create(TokenInput(name="second", days=days), None, first)
    api_tokens.create(TokenInput(name="second", days=6), None, first)
    usual, _ = api_tokens.create(TokenInput(name="third"), None, first)
    assert usual.expires_at == first.expires_at


def test_use_is_noted_once_a_minute(otto: User, clock: list[datetime]) -> None:
    text, first = make(otto), clock[0]
    api_tokens.resume(text, "10.0.0.7")
    clock[0] += timedelta(seconds=59)
    api_tokens.resume(text, "10.0.0.8")
    assert api_tokens.find("script").last_used_at == first
    clock[0] += timedelta(seconds=2)
    api_tokens.resume(text, "10.0.0.8")
    assert api_tokens.find("script").last_address == "10.0.0.8"


def test_people_see_their_own_and_admins_all(otto: User) -> None:
    anna = users.create("Anna", PASSWORD, "admin")
    make(otto), make(), make(anna)
    assert len(api_tokens.visible_to(otto)) == 1
    assert len(api_tokens.visible_to(anna)) == 3
    (own,) = api_tokens.visible_to(otto)
    assert api_tokens.get(own.id, anna).id == own.id
    other = next(token for token in api_tokens.list_all() if token.user_id is None)
    with pytest.raises(NotFound):
        api_tokens.get(other.id, otto)
    assert api_tokens.visible_to(User(name="token", role="operator")) == []


@pytest.mark.parametrize(
    "values", [{"name": ""}, {"name": "a\nb"}, {"role": "king"}, {"days": 0}, {"days": "x"}]
)
def test_bad_input_is_named(context: Flask, values: dict[str, object]) -> None:
    with pytest.raises(Invalid) as caught:
        make(None, **values)
    assert list(caught.value.fields) == list(values)


def test_two_of_a_name_are_told_apart_by_number(context: Flask) -> None:
    make(), make()
    with pytest.raises(NotFound, match="Several"):
        api_tokens.find("script")
    first = api_tokens.list_all()[0]
    assert api_tokens.find(str(first.id)).id == first.id
    api_tokens.revoke(first.id)
    assert api_tokens.find("script").id != first.id
