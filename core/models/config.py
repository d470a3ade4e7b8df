"""Configs: what is backed up, when, where to; and the runs their schedule asked for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Created, Document, LongText, Moment, Name, RandomId, RowId, Word
from core.models.storage import RepositoryRecord


class Config(Base):
    """One thing that is backed up. `source` by type: core.configs.config_source; its password is
    sealed apart.

    `scheduled_since`: due times before it are never caught up. `timing`: see core.configs.timing.
    A deleted config keeps its row and its points.
    """

    __tablename__ = "configs"
    __table_args__ = (
        Index("uq_configs_live_name", "name", unique=True, sqlite_where=text("deleted_at IS NULL"),
              postgresql_where=text("deleted_at IS NULL")),
    )  # fmt: skip

    id: Mapped[RandomId]
    name: Mapped[Name]
    type: Mapped[Word]
    enabled: Mapped[bool] = mapped_column(default=True)
    source: Mapped[Document]
    secrets_sealed: Mapped[LongText] = mapped_column(default="")
    cron: Mapped[Name] = mapped_column(default="")  # empty: only by hand
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    scheduled_since: Mapped[Moment | None]
    compression: Mapped[Word] = mapped_column(default="auto")
    full_read_days: Mapped[int] = mapped_column(default=7)
    extra: Mapped[Document] = mapped_column("metadata")  # whatever a client keeps there
    timing: Mapped[Document]
    created_at: Mapped[Created]
    updated_at: Mapped[Created]
    deleted_at: Mapped[Moment | None]

    destinations: Mapped[list[Destination]] = relationship(
        back_populates="config", order_by="Destination.position", cascade="all, delete-orphan"
    )

    @property
    def retention(self) -> dict[str, Any]:
        """The rule of the first destination; see core.retention.retention."""
        return self.destinations[0].retention if self.destinations else {}

    @retention.setter
    def retention(self, rule: dict[str, Any]) -> None:
        self.destinations[0].retention = rule


class Destination(Base):
    """A repository that a config's points go to; position 0 is written by the job itself.

    The others are filled by copying: `copy_when` is "after" (each backup) or a cron line in the config's
    zone; its times before `scheduled_since` are never caught up. `retention`: see core.retention.retention.
    `copied_at`: when a copy last left nothing missing.
    """

    __tablename__ = "destinations"
    __table_args__ = (UniqueConstraint("config_id", "position"),)

    id: Mapped[RowId]
    config_id: Mapped[str] = mapped_column(ForeignKey("configs.id"))
    repository_id: Mapped[str] = mapped_column(ForeignKey("repositories.id"))
    position: Mapped[int] = mapped_column(default=0)
    tier: Mapped[Word] = mapped_column(default="custom")  # hot, warm, cold, custom
    copy_when: Mapped[Name] = mapped_column(default="after")
    scheduled_since: Mapped[Moment | None]
    retention: Mapped[Document]
    copied_at: Mapped[Moment | None]

    config: Mapped[Config] = relationship(back_populates="destinations")
    repository: Mapped[RepositoryRecord] = relationship()


class ScheduledRun(Base):
    """One due time of a config's schedule. `job_id` None: it was missed, `missed_reason` says why.

    The unique pair makes a double tick harmless.
    """

    __tablename__ = "scheduled_runs"
    __table_args__ = (
        UniqueConstraint("config_id", "due_at"),
        Index("ix_scheduled_runs_missed", "due_at", "config_id", "job_id",
              sqlite_where=text("job_id IS NULL"), postgresql_where=text("job_id IS NULL")),
    )  # fmt: skip

    id: Mapped[RowId]
    config_id: Mapped[str] = mapped_column(ForeignKey("configs.id"))
    due_at: Mapped[Moment]
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    missed_reason: Mapped[LongText] = mapped_column(default="")
    created_at: Mapped[Created]
