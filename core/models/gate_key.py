"""Keys by which Holdfast may do one thing more on a host: each leads to a gate of its own there."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base
from core.models.columns import Created, LongText, Moment, Name, RandomId, Word


class GateKey(Base):
    """A key for one thing: `mode` restore: new folders in the folder `place`; dump: the database `place`.

    Its private half is sealed. `trouble`: why it could not be used when it was tried at `tested_at`.
    """

    __tablename__ = "gate_keys"
    __table_args__ = (UniqueConstraint("host_id", "mode", "place"),)

    id: Mapped[RandomId]
    host_id: Mapped[str] = mapped_column(ForeignKey("hosts.id"))
    mode: Mapped[Word]
    place: Mapped[Name]
    public_key: Mapped[LongText]
    credentials_sealed: Mapped[LongText] = mapped_column(default="")
    tested_at: Mapped[Moment | None]
    trouble: Mapped[LongText] = mapped_column(default="")
    created_at: Mapped[Created]
