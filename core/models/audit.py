"""Who did what: entries that are chained by their hashes, and the one row that says where the chain ends."""

from __future__ import annotations

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base
from core.models.columns import Created, HexId, LongText, Name, RowId, Word


class AuditEntry(Base):
    """One thing that somebody did, or was refused. `number` counts from 1 without gaps.

    `door`: page, api, command. `action`: the endpoint or command. `target`: what it was about, in words.
    `result`: done, refused, failed, unknown. `hash` is over all of it and `previous`, that of the one before.
    """

    __tablename__ = "audit_entries"

    id: Mapped[RowId]
    number: Mapped[int] = mapped_column(BigInteger, unique=True)
    at: Mapped[Created] = mapped_column(index=True)
    actor: Mapped[Name]
    door: Mapped[Word]
    address: Mapped[Name] = mapped_column(default="")
    action: Mapped[Name]
    target: Mapped[LongText] = mapped_column(default="")
    result: Mapped[Word]
    detail: Mapped[LongText] = mapped_column(default="")
    previous: Mapped[HexId]
    hash: Mapped[HexId]


class AuditHead(Base):
    """The end of the chain: one row, locked by whoever adds an entry. `sealed`: number and hash, sealed with
    the master key, so that the rows alone are not enough to make up another end."""

    __tablename__ = "audit_heads"

    id: Mapped[RowId]
    number: Mapped[int] = mapped_column(BigInteger, default=0)
    hash: Mapped[HexId]
    sealed: Mapped[LongText] = mapped_column(default="")


class BegunDeed(Base):
    """One thing that is being done and whose result is not noted yet, and the process that does it."""

    __tablename__ = "begun_deeds"

    id: Mapped[RowId]
    at: Mapped[Created]
    actor: Mapped[Name]
    door: Mapped[Word]
    address: Mapped[Name] = mapped_column(default="")
    action: Mapped[Name]
    target: Mapped[LongText] = mapped_column(default="")
    detail: Mapped[LongText] = mapped_column(default="")
    node: Mapped[Name]
    boot_id: Mapped[Name]
    pid: Mapped[int]
    pid_started: Mapped[Name]
