"""Restores: which point, from which copy, to where, and what came of it."""

from __future__ import annotations

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Bytes, Created, Document, LongText, Name, RowId, Word
from core.models.job import Job
from core.models.point import Copy, Point


class Restore(Base):
    """`include`: `{"paths": [base64 of tree paths, …]}`, empty for all. `conflict`: keep, replace,
    replace-if-older, rename. Status and progress stand on its job.

    `database`, of a restore into a PostgreSQL server: what core.restores.database_restores was asked, and
    `result`; empty for files. `host_id`: the row of the host that it goes to, which may be gone; None: this
    machine."""

    __tablename__ = "restores"

    id: Mapped[RowId]
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), unique=True)
    point_id: Mapped[int] = mapped_column(ForeignKey("points.id"))
    copy_id: Mapped[int | None] = mapped_column(ForeignKey("copies.id"))
    target_path: Mapped[LongText]
    host_id: Mapped[str | None] = mapped_column(String(16))
    host_name: Mapped[Name] = mapped_column(default="")
    include: Mapped[Document]
    conflict: Mapped[Word]
    files: Mapped[Bytes]
    bytes: Mapped[Bytes]
    kept: Mapped[Bytes]
    renamed: Mapped[Bytes]
    database: Mapped[Document]
    created_at: Mapped[Created]

    @property
    def target(self) -> str:
        """Where it goes, as people call it."""
        return f"{self.host_name}:{self.target_path}" if self.host_name else self.target_path

    job: Mapped[Job] = relationship()
    point: Mapped[Point] = relationship()
    copy: Mapped[Copy | None] = relationship()
