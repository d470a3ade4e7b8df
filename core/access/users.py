"""People who may log in: their names, passwords (Argon2) and roles, and the throttle on guessing."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core import words
from core.access.roles import Role as Role
from core.db import db, utc_now, write
from core.errors import Conflict, Invalid, NotFound, Refused
from core.models import ApiToken, LoginFailure, LoginSession, User

SHORTEST_PASSWORD = 12
LONGEST_PASSWORD = 1024
LONGEST_NAME = 64
FREE_FAILURES_OF_A_NAME = 5
FREE_FAILURES_OF_AN_ADDRESS = 20
LONGEST_WAIT_S = 60
REMEMBER_FAILURES = timedelta(hours=1)

_hasher = PasswordHasher()


def hash_of_nobody() -> str:
    """Return what no password fits, and what takes as long to check as a real hash."""
    costs = f"m={_hasher.memory_cost},t={_hasher.time_cost},p={_hasher.parallelism}"
    salt, tag = "A" * 22, "A" * 43  # 16 and 32 bytes
    return f"$argon2id$v=19${costs}${salt}${tag}"


# Verified against when the name is unknown, so that the answer takes as long as for a real one.
_NOBODY = hash_of_nobody()


class LoginFailed(Refused):
    """Name and password do not belong together, or the user is disabled: which of them is not said."""


class TooManyAttempts(Refused):
    """Nothing was tried. `wait_s`: after how many seconds the next attempt is taken."""

    def __init__(self, wait_s: int) -> None:
        super().__init__("Too many failed logins.", f"Wait {words.count(wait_s, 'second')}, then try again.")
        self.wait_s = wait_s


def create(name: str, password: str, role: Role) -> User:
    """Make a user. Raises Invalid for a bad or taken name, a weak password or an unknown role."""
    hashed = check_and_hash(name, password)
    with write() as session:
        return insert(session, name, hashed, role)


def insert(session: Session, name: str, password_hash: str, role: Role) -> User:
    """Add a user in the caller's transaction; the hash comes from check_and_hash."""
    if role not in get_args(Role):
        raise Invalid({"role": f"The role {role!r} is unknown: it must be viewer, operator or admin."})
    if _find(session, name) is not None:
        raise Invalid({"name": f"There is already a user {name.strip()!r}."})
    user = User(name=name.strip(), role=role, password_hash=password_hash)
    session.add(user)
    return user


def check_and_hash(name: str, password: str) -> str:
    """Return the hash of a password that is good enough for `name`. Slow on purpose. Raises Invalid."""
    problems = {}
    if not 1 <= len(name.strip()) <= LONGEST_NAME or not name.strip().isprintable():
        problems["name"] = f"A name has 1 to {LONGEST_NAME} visible characters."
    if weakness := _weakness(name, password):
        problems["password"] = weakness
    if problems:
        raise Invalid(problems)
    return _hasher.hash(password)


def authenticate(name: str, password: str, address: str) -> User:
    """Return the user whose name and password these are. Raises LoginFailed or TooManyAttempts."""
    keys = [f"user:{name.strip().lower()[:LONGEST_NAME]}", f"address:{network(address)}"]
    with write() as session:
        user = _find(session, name)
        hashed, allowed = _hash_of(user), user is not None and user.disabled_at is None
        # Noted before the slow check, so that many guesses at once cannot slip past the count.
        note_attempt(session, keys)
    if not _matches(hashed, password) or user is None or not allowed:
        raise LoginFailed("The name or the password is wrong.", "Check both and try again.")
    with write() as session:
        return _welcome(session, user.id, password, hashed, keys)


def set_password(user_id: int, password: str) -> None:
    """Give a user a new password, end their logins, revoke their API tokens. Raises Invalid, NotFound."""
    hashed = check_and_hash(get(user_id).name, password)
    with write() as session:
        user = _get(session, user_id)
        user.password_hash = hashed
        _end_ways_in(session, user)
        session.execute(delete(LoginFailure).where(LoginFailure.key == f"user:{user.name.lower()}"))


def set_role(user_id: int, role: Role) -> None:
    """Change what a user may do, from their next click on. Refused for the last admin."""
    if role not in get_args(Role):
        raise Invalid({"role": f"The role {role!r} is unknown: it must be viewer, operator or admin."})
    with write() as session:
        user = _get(session, user_id)
        if role != "admin":
            _refuse_last_admin(session, user)
        user.role = role


def disable(user_id: int) -> None:
    """Keep a user from logging in, end their logins, revoke their API tokens. Refused for the last admin."""
    with write() as session:
        user = _get(session, user_id)
        _refuse_last_admin(session, user)
        user.disabled_at = user.disabled_at or utc_now()
        _end_ways_in(session, user)


def enable(user_id: int) -> None:
    """Let a disabled user log in again."""
    with write() as session:
        _get(session, user_id).disabled_at = None


def get(user_id: int) -> User:
    """Return a user. Raises NotFound."""
    return _get(db.session(), user_id)


def find(name: str) -> User:
    """Return the user of that name, however it is capitalised. Raises NotFound."""
    user = _find(db.session(), name)
    if user is None:
        raise NotFound(f"There is no user {name!r}.", "`flask user list` names them.")
    return user


def list_all() -> Sequence[User]:
    """Return all users by name."""
    return db.session.scalars(select(User).order_by(func.lower(User.name))).all()


def any_admin() -> bool:
    """Tell whether an admin has ever been made: the end of the first step of set-up."""
    return db.session.scalar(select(User.id).where(User.role == "admin").limit(1)) is not None


def _get(session: Session, user_id: int) -> User:
    user = session.get(User, user_id)
    if user is None:
        raise NotFound(f"There is no user with the number {user_id}.")
    return user


def _find(session: Session, name: str) -> User | None:
    return session.scalar(select(User).where(func.lower(User.name) == func.lower(name.strip())))


def _weakness(name: str, password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        return f"A password has at least {SHORTEST_PASSWORD} characters; a few random words are fine."
    if len(password) > LONGEST_PASSWORD:
        return f"A password has at most {LONGEST_PASSWORD} characters."
    if len(set(password)) < 5:
        return "This password repeats the same few characters; a few random words are better."
    if name.strip() and name.strip().lower() == password.strip().lower():
        return "The password must not be the name."
    return ""


def network(address: str) -> str:
    """Return the address, or the /64 of an IPv6 one: whoever has one of these has them all."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:LONGEST_NAME]
    if parsed.version == 4:
        return str(parsed)
    return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False))


def _hash_of(user: User | None) -> str:
    return _NOBODY if user is None else user.password_hash


def _matches(hashed: str, password: str) -> bool:
    if len(password) > LONGEST_PASSWORD:
        return False
    try:
        return _hasher.verify(hashed, password)
    except VerifyMismatchError:
        return False
    except InvalidHashError as error:
        raise Refused("This user's password is not usable.", "Set a new one: `flask user passwd`.") from error


def forget_attempts(session: Session, key: str) -> None:
    """Forget what was counted for a key: it was right now."""
    session.execute(delete(LoginFailure).where(LoginFailure.key == key))


def forget_last_attempt(session: Session, key: str) -> None:
    """Forget the newest that was counted for a key: that one was right, those before were not."""
    newest = select(func.max(LoginFailure.id)).where(LoginFailure.key == key).scalar_subquery()
    session.execute(delete(LoginFailure).where(LoginFailure.id == newest))


def note_attempt(session: Session, keys: Sequence[str]) -> None:
    """Count one attempt for each key as failed. Raises TooManyAttempts, and then counts nothing."""
    now = utc_now()
    session.execute(delete(LoginFailure).where(LoginFailure.at < now - REMEMBER_FAILURES))
    frees = (FREE_FAILURES_OF_A_NAME, FREE_FAILURES_OF_AN_ADDRESS)
    wait_s = max(_wait_s(session, key, free, now) for key, free in zip(keys, frees, strict=True))
    if wait_s > 0:
        raise TooManyAttempts(wait_s)
    session.add_all(LoginFailure(key=key, at=now) for key in keys)


def _wait_s(session: Session, key: str, free: int, now: datetime) -> int:
    """Return how long this key must wait: doubling from 2 s with each failure beyond the free ones."""
    # A row from the future (the clock was ahead) must not lock anybody out.
    rows = select(func.count(), func.max(LoginFailure.at)).where(
        LoginFailure.key == key, LoginFailure.at <= now
    )
    count, last = session.execute(rows).one()
    if count < free:
        return 0
    pause_s = min(LONGEST_WAIT_S, 2.0 ** min(count - free + 1, 10))
    return max(0, round(pause_s - (now - last).total_seconds() + 0.5))


def _welcome(session: Session, user_id: int, password: str, hashed: str, keys: Sequence[str]) -> User:
    """Note a good login: forget the name's failures and this attempt of the address, refresh an old hash."""
    user = _get(session, user_id)
    if user.password_hash != hashed or user.disabled_at is not None:
        raise LoginFailed("The user was changed meanwhile.", "Try again.")
    forget_attempts(session, keys[0])
    forget_last_attempt(session, keys[1])
    if _hasher.check_needs_rehash(hashed):
        user.password_hash = _hasher.hash(password)
    user.last_login_at = utc_now()
    return user


def _end_ways_in(session: Session, user: User) -> None:
    """End logins and revoke tokens: whoever had the old password may have made one."""
    session.execute(delete(LoginSession).where(LoginSession.user_id == user.id))
    tokens = update(ApiToken).where(ApiToken.user_id == user.id, ApiToken.revoked_at.is_(None))
    session.execute(tokens.values(revoked_at=utc_now()))


def _refuse_last_admin(session: Session, user: User) -> None:
    others = select(User.id).where(User.role == "admin", User.disabled_at.is_(None), User.id != user.id)
    if user.role == "admin" and user.disabled_at is None and session.scalar(others.limit(1)) is None:
        raise Conflict(f"{user.name} is the last admin.", "Make another user admin first.")
