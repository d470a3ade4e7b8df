"""Tokens for scripts, and the answers kept for calls that are sent again."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Created, HexId, LongText, Moment, Name, RowId, Word
from core.models.user import User


class ApiToken(Base):
    """A token for the API. The row holds its SHA-256 and, to tell it from others, how it begins (`hint`).

    `user_id`: whose it is: it may never do more than that user, and nothing once they are disabled; None:
    made on the command line, for no person.
    """

    __tablename__ = "api_tokens"

    id: Mapped[RowId]
    name: Mapped[Name]
    role: Mapped[Word]
    hint: Mapped[Word]
    token_hash: Mapped[HexId] = mapped_column(unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"), index=True)
    created_at: Mapped[Created]
    expires_at: Mapped[Moment | None]
    last_used_at: Mapped[Moment | None]
    last_address: Mapped[Name] = mapped_column(default="")
    revoked_at: Mapped[Moment | None]

    user: Mapped[User | None] = relationship()


class KeptAnswer(Base):
    """What a call with an `Idempotency-Key` was answered; `status` None: it is being worked on.

    `caller`: whose key it is; `request_hash`: of method, address and body. `answer_sealed`: headers and body,
    sealed, since an answer may hold a secret.
    """

    __tablename__ = "kept_answers"
    __table_args__ = (UniqueConstraint("caller", "key"),)

    id: Mapped[RowId]
    caller: Mapped[Name]
    key: Mapped[Name]
    request_hash: Mapped[HexId]
    status: Mapped[int | None]
    answer_sealed: Mapped[LongText] = mapped_column(default="")
    created_at: Mapped[Created] = mapped_column(index=True)
