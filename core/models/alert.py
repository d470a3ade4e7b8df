"""Alerts: what needs a person."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base
from core.models.columns import Created, LongText, Moment, Name, RowId, Word


class Alert(Base):
    """One trouble. While it is open, a repeat with the same `subject` only raises `count` and `last_at`."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("uq_alerts_open_subject", "subject", unique=True, sqlite_where=text("resolved_at IS NULL"),
              postgresql_where=text("resolved_at IS NULL")),
    )  # fmt: skip

    id: Mapped[RowId]
    subject: Mapped[Name]  # e.g. "backup:<config id>", "storage:<id>"
    kind: Mapped[Word]  # failure, missed, quota, … : webapp.alerting.alert_words names them all
    severity: Mapped[Word]  # error, warning
    config_id: Mapped[str | None] = mapped_column(ForeignKey("configs.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    storage_id: Mapped[str | None] = mapped_column(ForeignKey("storages.id"))
    what: Mapped[LongText]
    meaning: Mapped[LongText]
    advice: Mapped[LongText]
    detail: Mapped[LongText] = mapped_column(default="")
    count: Mapped[int] = mapped_column(default=1)
    opened_at: Mapped[Created]
    last_at: Mapped[Created]
    acknowledged_at: Mapped[Moment | None]
    acknowledged_by: Mapped[Name] = mapped_column(default="")
    resolved_at: Mapped[Moment | None]
    # Grows each time it is told anew, at `news_at`.
    news: Mapped[int] = mapped_column(default=1)
    news_at: Mapped[Moment | None]
