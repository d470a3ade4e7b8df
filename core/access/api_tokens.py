"""Tokens for scripts: a role and an end, known to the database only by a hash, shown once, revocable."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import roles
from core.access.roles import Role
from core.db import db, utc_now, write
from core.errors import Invalid, NotFound
from core.models import ApiToken, User
from core.retention.retention_rules import blank_is_none

# What it begins with, so that scanners for leaked secrets know it.
PREFIX = "holdfast_"
SHOWN = len(PREFIX) + 4
LONGEST_NAME = 100
LONGEST_DAYS = 3650
# How stale `last_used_at` may be: a script that polls must not write a row with each call.
USED_EVERY = timedelta(minutes=1)


class TokenInput(BaseModel):
    """What a person decides about a token. `days`: how long it is valid; None: until it is revoked."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    name: str = Field(min_length=1, max_length=LONGEST_NAME)
    role: Role = "viewer"
    days: Annotated[Annotated[int, Field(ge=1, le=LONGEST_DAYS)] | None, BeforeValidator(blank_is_none)] = 90

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("a name has only visible characters, on one line")
        return name


def create(data: TokenInput, owner: User | None, made_with: ApiToken | None = None) -> tuple[ApiToken, str]:
    """Make a token and return it with its text, which is known only now. `owner` None: nobody's.

    Raises Invalid for a role that the owner does not have, and for a longer life than `made_with` has.
    """
    owner_id = _owner_id(data, owner)
    text, now = PREFIX + secrets.token_urlsafe(32), utc_now()
    end = _end(data, now, made_with)
    with write() as session:
        token = ApiToken(
            name=data.name, role=data.role, hint=text[:SHOWN], token_hash=_hash(text), user_id=owner_id,
            created_at=now, expires_at=end,
        )  # fmt: skip
        session.add(token)
        session.flush()
    return token, text


def resume(text: str, address: str) -> ApiToken | None:
    """Return the token with this text if it may be used now, and note that it was; None for any other."""
    token = db.session.scalar(select(ApiToken).where(ApiToken.token_hash == _hash(text)))
    now = utc_now()
    if token is None or not is_valid(token, now):
        return None
    if token.last_used_at is None or abs(now - token.last_used_at) > USED_EVERY:
        _note_used(token.id, now, address)
    return token


def is_valid(token: ApiToken, now: datetime | None = None) -> bool:
    """Tell whether it opens anything: neither revoked nor at its end, and its owner is not disabled."""
    if token.revoked_at is not None or (token.user is not None and token.user.disabled_at is not None):
        return False
    return token.expires_at is None or (now or utc_now()) < token.expires_at


def role_of(token: ApiToken) -> str:
    """Return what it may do: never more than its owner, whose role may have changed since."""
    return token.role if token.user is None else roles.weaker(token.role, token.user.role)


def as_user(token: ApiToken) -> User:
    """Return somebody with its name and role, for whom a request is done; no row of the database."""
    name = f"token {token.name}" if token.user is None else f"{token.user.name}, token {token.name}"
    return User(name=name, role=role_of(token))


def visible_to(user: User) -> Sequence[ApiToken]:
    """Return the tokens that a user may see, the newest first: an admin all, others their own."""
    return [token for token in list_all() if roles.reaches(user.role, "admin") or _is_own(token, user)]


def list_all() -> Sequence[ApiToken]:
    """Return all tokens, the newest first."""
    return db.session.scalars(select(ApiToken).order_by(ApiToken.id.desc())).all()


def get(token_id: int, user: User) -> ApiToken:
    """Return a token that a user may see. Raises NotFound, for another's as for none."""
    token = db.session.get(ApiToken, token_id)
    if token is None or not (roles.reaches(user.role, "admin") or _is_own(token, user)):
        raise NotFound(f"There is no token {token_id}.")
    return token


def get_any(token_id: int) -> ApiToken:
    """Return a token, whosever it is. Raises NotFound."""
    return _get(db.session(), token_id)


def find(wanted: str) -> ApiToken:
    """Return the token of this number, or the only valid one of this name. Raises NotFound."""
    if wanted.isascii() and wanted.isdigit() and len(wanted) < 10:
        token = db.session.get(ApiToken, int(wanted))
        found = [token] if token is not None else []
    else:
        every = db.session.scalars(select(ApiToken).where(ApiToken.name == wanted)).all()
        found = [token for token in every if is_valid(token)]
    if len(found) != 1:
        many = "Several tokens are" if found else "No valid token is"
        raise NotFound(f"{many} called {wanted!r}.", "`flask user token list` shows their numbers.")
    return found[0]


def revoke(token_id: int) -> ApiToken:
    """Make a token useless at once and for good. Raises NotFound."""
    with write() as session:
        token = _get(session, token_id)
        token.revoked_at = token.revoked_at or utc_now()
        return token


def _get(session: Session, token_id: int) -> ApiToken:
    token = session.get(ApiToken, token_id)
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    return token


def _is_own(token: ApiToken, user: User) -> bool:
    return user.id is not None and token.user_id == user.id


def _owner_id(data: TokenInput, owner: User | None) -> int | None:
    if owner is not None and not roles.reaches(owner.role, data.role):
        raise Invalid({"role": f"{owner.name} is {owner.role}, so their token cannot be {data.role}."})
    return None if owner is None else owner.id


def _end(data: TokenInput, now: datetime, made_with: ApiToken | None) -> datetime | None:
    """Return when it ends; where no days are given, with the token it is made with, if that is sooner."""
    end = now + timedelta(days=data.days) if data.days else None
    last = made_with.expires_at if made_with is not None else None
    if last is None or (end is not None and end <= last):
        return end
    if "days" in data.model_fields_set:
        raise Invalid({"days": f"It cannot outlive the token it is made with, which ends {last:%Y-%m-%d}."})
    return last


def _note_used(token_id: int, now: datetime, address: str) -> None:
    with write() as session:
        token = _get(session, token_id)
        token.last_used_at, token.last_address = now, address[:200]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
