"""What an import could not make yet."""

from __future__ import annotations

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from core.db import Base
from core.models.columns import Created, Document, Name, RowId, Word


class Awaited(Base):
    """A thing of an import that waits for a person: for its secrets, or for another thing that does.

    `noun`: storage, channel, config. `document`: as the export had it. Nothing backs up to it, tells it
    or runs it: it is no storage, no channel, no config.
    """

    __tablename__ = "awaited"
    __table_args__ = (UniqueConstraint("noun", "name"),)

    id: Mapped[RowId]
    noun: Mapped[Word]
    name: Mapped[Name]
    document: Mapped[Document]
    created_at: Mapped[Created]
