"""Daily reports."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Date, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base
from core.models.columns import Bytes, Created, Document, LongText, Moment, Name, RowId


class Report(Base):
    """The report of one day (UTC), and where it was put. `due_at`: when to try again to put it there.

    `storage_id` and `key`: where it is; the storage may be gone since. `sentence` and the backups of that day
    (`good`, `failed`, `missed`) say in short what its document says: see core.reports.reports.
    """

    __tablename__ = "reports"

    id: Mapped[RowId]
    day: Mapped[date] = mapped_column(Date, unique=True)
    document: Mapped[Document]
    created_at: Mapped[Created]
    storage_id: Mapped[str | None] = mapped_column(String(16))
    key: Mapped[Name] = mapped_column(default="")
    stored_at: Mapped[Moment | None]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[Moment | None]
    error: Mapped[LongText] = mapped_column(default="")
    sentence: Mapped[LongText] = mapped_column(default="")
    good: Mapped[Bytes]
    failed: Mapped[Bytes]
    missed: Mapped[Bytes]
