"""Points (restore points) and their copies on repositories."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Bytes, Created, Document, HexId, LongText, Moment, Name, RowId
from core.models.config import Config
from core.models.storage import RepositoryRecord

_THERE = text("forgotten_at IS NULL AND lost_at IS NULL")
_LIVE = text(f"{_THERE} AND trashed_at IS NULL AND damaged_at IS NULL")
_STATE = ("trashed_at", "damaged_at", "forgotten_at", "lost_at")


class Point(Base):
    """What a backup job made. `warnings`: how many things its job could not read; `taken_at`:
    the time of the snapshot. `limits`: `{"limits": [sentence, …]}`, what could not be kept of its files.
    Pinned: no rule removes it, until the pin is taken away; see core.retention.pins."""

    __tablename__ = "points"
    __table_args__ = (
        Index("ix_points_config_taken", "config_id", "taken_at"),
        Index("ix_points_taken_at", "taken_at"),
    )

    id: Mapped[RowId]
    config_id: Mapped[str | None] = mapped_column(ForeignKey("configs.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    taken_at: Mapped[Moment]
    hostname: Mapped[Name] = mapped_column(default="")
    paths: Mapped[Document]  # {"paths": [absolute, …]}
    tree: Mapped[HexId]
    parent_snapshot: Mapped[HexId] = mapped_column(default="")
    files: Mapped[Bytes]
    bytes: Mapped[Bytes]
    bytes_added: Mapped[Bytes]
    warnings: Mapped[Bytes]
    limits: Mapped[Document]
    full_read: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Created]
    pinned_at: Mapped[Moment | None]
    pinned_by: Mapped[Name] = mapped_column(default="")
    pin_note: Mapped[LongText] = mapped_column(default="")

    config: Mapped[Config | None] = relationship()
    copies: Mapped[list[Copy]] = relationship(back_populates="point", cascade="all, delete-orphan")


class Copy(Base):
    """A point on one repository. Trashed: counts for nothing but space; forgotten: its snapshot is removed;
    lost: the snapshot was found missing, removed by somebody else; damaged: its file cannot be read.
    `bytes_added`: what it added to its repository, after deduplication and compression."""

    __tablename__ = "copies"
    # Most copies of an old install are forgotten: pages ask for those that are not. What they count or add up
    # is all in these, so that no row is looked at: for SQLite also the columns that make an index partial.
    __table_args__ = (
        UniqueConstraint("repository_id", "snapshot_id"),
        Index("ix_copies_there", "point_id", "repository_id", *_STATE,
              sqlite_where=_THERE, postgresql_where=_THERE),
        Index("ix_copies_live", "repository_id", "point_id", *_STATE,
              sqlite_where=_LIVE, postgresql_where=_LIVE),
        Index("ix_copies_added", "repository_id", "created_at", "point_id", "bytes_added"),
        Index("ix_copies_added_there", "repository_id", "point_id", "bytes_added", "forgotten_at", "lost_at",
              sqlite_where=_THERE, postgresql_where=_THERE),
    )  # fmt: skip

    id: Mapped[RowId]
    point_id: Mapped[int] = mapped_column(ForeignKey("points.id"), index=True)
    repository_id: Mapped[str] = mapped_column(ForeignKey("repositories.id"))
    snapshot_id: Mapped[HexId]
    created_at: Mapped[Created]
    bytes_added: Mapped[Bytes]
    trashed_at: Mapped[Moment | None]
    trash_reason: Mapped[LongText] = mapped_column(default="")
    forgotten_at: Mapped[Moment | None]
    lost_at: Mapped[Moment | None]
    damaged_at: Mapped[Moment | None]

    point: Mapped[Point] = relationship(back_populates="copies")
    repository: Mapped[RepositoryRecord] = relationship()
