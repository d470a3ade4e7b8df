"""Downloads that are built before they are fetched: what is in them, and where they are in their life."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Bytes, Created, Document, HexId, LongText, Moment, Name, RowId, Word
from core.models.job import Job
from core.models.point import Point


class BuiltDownload(Base):
    """An archive of some paths of a point, in the data folder once `ready_at` is set, until `removed_at`.

    `form`: tar, zip. `include`: `{"paths": [tokens of tree paths, …]}`, outermost ones; empty for all.
    `same_as` is the same for two that would be the same. The job's parameters name the copy to read, if one
    was chosen.
    `left_out`: `{"count": …, "paths": [[printable, what became of it], …]}`.
    """

    __tablename__ = "built_downloads"

    id: Mapped[RowId]
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), unique=True)
    point_id: Mapped[int] = mapped_column(ForeignKey("points.id"), index=True)
    form: Mapped[Word]
    include: Mapped[Document]
    same_as: Mapped[str] = mapped_column(String(64), index=True)
    name: Mapped[LongText]
    asked_by: Mapped[Name]
    created_at: Mapped[Created]
    size_bytes: Mapped[Bytes]
    sha256: Mapped[HexId] = mapped_column(default="")
    left_out: Mapped[Document]
    ready_at: Mapped[Moment | None]
    expires_at: Mapped[Moment | None]
    removed_at: Mapped[Moment | None]
    removed_why: Mapped[LongText] = mapped_column(default="")

    job: Mapped[Job] = relationship()
    point: Mapped[Point] = relationship()
