"""Dead-man pings: addresses that a watcher elsewhere expects to hear from."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base
from core.models.columns import Created, LongText, Moment, Name, RowId, Word


class PingTarget(Base):
    """Where the backups of a config are pinged to. `urls_sealed`: JSON, by event. `places`: the hosts.

    Jobs made before `since` are not pinged.
    """

    __tablename__ = "ping_targets"

    config_id: Mapped[str] = mapped_column(ForeignKey("configs.id"), primary_key=True)
    urls_sealed: Mapped[LongText]
    places: Mapped[Name] = mapped_column(default="")
    since: Mapped[Moment]
    last_sent_at: Mapped[Moment | None]
    failing_since: Mapped[Moment | None]
    last_error: Mapped[LongText] = mapped_column(default="")


class Ping(Base):
    """One ping about one job, made once, then sent or given up."""

    __tablename__ = "pings"
    __table_args__ = (UniqueConstraint("job_id", "event"),)

    id: Mapped[RowId]
    config_id: Mapped[str] = mapped_column(ForeignKey("configs.id"), index=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    event: Mapped[Word]  # start, success, fail
    created_at: Mapped[Created]
    due_at: Mapped[Moment]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[LongText] = mapped_column(default="")
    sent_at: Mapped[Moment | None]
    given_up_at: Mapped[Moment | None]
