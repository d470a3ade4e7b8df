"""People and their logins."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Bytes, Created, Document, HexId, LongText, Moment, Name, RowId, Word


class User(Base):
    """A person who may log in. `role`: viewer, operator, admin.

    `totp_sealed`: the secret of the second factor, which counts once it is confirmed; `totp_step`: the newest
    code that was taken. `recovery_codes`: `{"hashes": [SHA-256, …]}` of those not used up.
    """

    __tablename__ = "users"

    id: Mapped[RowId]
    name: Mapped[Name] = mapped_column(unique=True)
    role: Mapped[Word]
    password_hash: Mapped[LongText]
    created_at: Mapped[Created]
    last_login_at: Mapped[Moment | None]
    disabled_at: Mapped[Moment | None]
    totp_sealed: Mapped[LongText] = mapped_column(default="")
    totp_confirmed_at: Mapped[Moment | None]
    totp_step: Mapped[Bytes]
    recovery_codes: Mapped[Document]


class LoginSession(Base):
    """A login that can be revoked. The cookie holds a random token; the row only its SHA-256."""

    __tablename__ = "login_sessions"

    id: Mapped[RowId]
    token_hash: Mapped[HexId] = mapped_column(unique=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[Created]
    last_seen_at: Mapped[Created]
    expires_at: Mapped[Moment]
    address: Mapped[Name] = mapped_column(default="")
    agent: Mapped[Name] = mapped_column(default="")  # what the browser calls itself

    user: Mapped[User] = relationship()


class LoginFailure(Base):
    """A failed login, for the throttle; `key` is "user:<name>" or "address:<ip>"."""

    __tablename__ = "login_failures"

    id: Mapped[RowId]
    key: Mapped[Name] = mapped_column(index=True)
    at: Mapped[Created]
