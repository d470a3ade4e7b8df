"""Logins: short, revocable, known to the database only by a hash of their token."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from core.db import db, utc_now, write
from core.models import LoginSession, User

IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
# How stale `last_seen_at` may be: a page with live parts must not write a row each second.
SEEN_EVERY = timedelta(minutes=1)


def start(user: User, address: str, agent: str = "") -> str:
    """Begin a login and return its token, for the cookie. Logins that are over are swept out."""
    token, now, user_id = secrets.token_urlsafe(32), utc_now(), user.id
    with write() as session:
        _sweep(session, now)
        session.add(
            LoginSession(
                token_hash=_hash(token),
                user_id=user_id,
                created_at=now,
                last_seen_at=now,
                expires_at=now + LONGEST,
                address=address[:200],
                agent="".join(char for char in agent if char.isprintable())[:200],
            )
        )
    return token


def resume(token: str, *, seen: bool = True) -> User | None:
    """Return who is logged in with this token, None if nobody is; note that they were seen, if they were."""
    now = utc_now()
    login = db.session.scalar(select(LoginSession).where(LoginSession.token_hash == _hash(token)))
    if login is None or _is_over(login, now) or login.user.disabled_at is not None:
        return None
    if seen and now - login.last_seen_at > SEEN_EVERY:
        _note_seen(login.id, now)
    return login.user


def end(token: str) -> None:
    """End one login; a token that is none is done."""
    with write() as session:
        session.execute(delete(LoginSession).where(LoginSession.token_hash == _hash(token)))


def list_of(user: User) -> Sequence[LoginSession]:
    """Return the logins of a user that are not over, the one seen last first."""
    now = utc_now()
    query = select(LoginSession).where(LoginSession.user_id == user.id)
    found = db.session.scalars(query.order_by(LoginSession.last_seen_at.desc(), LoginSession.id.desc()))
    return [login for login in found if not _is_over(login, now)]


def id_of(token: str) -> int | None:
    """Return the row of the login with this token."""
    return db.session.scalar(select(LoginSession.id).where(LoginSession.token_hash == _hash(token)))


def end_of(user: User, login_id: int) -> None:
    """End one login of a user; another's, or one that is over, is left as it is."""
    user_id = user.id
    with write() as session:
        own = LoginSession.user_id == user_id
        session.execute(delete(LoginSession).where(LoginSession.id == login_id, own))


def end_all(user: User, *, keep_token: str | None = None) -> None:
    """End all logins of a user, but for the one that asks, if given."""
    user_id = user.id
    with write() as session:
        doomed = delete(LoginSession).where(LoginSession.user_id == user_id)
        if keep_token is not None:
            doomed = doomed.where(LoginSession.token_hash != _hash(keep_token))
        session.execute(doomed)


def _note_seen(login_id: int, now: datetime) -> None:
    with write() as session:
        login = session.get(LoginSession, login_id)
        if login is not None:
            login.last_seen_at = now


def _is_over(login: LoginSession, now: datetime) -> bool:
    # Seen or begun in the future: the clock was set back, and the limits would never be reached.
    unreal = max(login.last_seen_at - IDLE, login.expires_at - LONGEST) > now
    return unreal or now >= login.expires_at or now - login.last_seen_at >= IDLE


def _sweep(session: Session, now: datetime) -> None:
    over = or_(LoginSession.expires_at <= now, LoginSession.last_seen_at <= now - IDLE)
    session.execute(delete(LoginSession).where(over))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
