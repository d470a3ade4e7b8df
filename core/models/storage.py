"""Storages and the repositories on them."""

from __future__ import annotations

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import Created, Document, HexId, LongText, Moment, Name, RandomId, Word


class Storage(Base):
    """A place where bytes go. `settings` by provider; local: `{"path": absolute}`.

    `marker_id` is what the marker object `.holdfast-storage` in its root must say. Initialised once, by
    set-up; a storage whose marker is missing or another is unreachable, and nothing is written to it.
    """

    __tablename__ = "storages"

    id: Mapped[RandomId]
    name: Mapped[Name] = mapped_column(unique=True)
    provider: Mapped[Word]
    settings: Mapped[Document]
    marker_id: Mapped[HexId]
    initialised_at: Mapped[Moment | None]
    unreachable_since: Mapped[Moment | None]
    unreachable_reason: Mapped[LongText] = mapped_column(default="")
    created_at: Mapped[Created]

    repositories: Mapped[list[RepositoryRecord]] = relationship(back_populates="storage")


class RepositoryRecord(Base):
    """A restic-format repository below a storage's root, under `prefix` ("repository/")."""

    __tablename__ = "repositories"
    __table_args__ = (UniqueConstraint("storage_id", "prefix"),)

    id: Mapped[RandomId]
    storage_id: Mapped[str] = mapped_column(ForeignKey("storages.id"))
    prefix: Mapped[Name] = mapped_column(default="repository/")
    repository_id: Mapped[HexId]  # the id in the repository's own config
    password_sealed: Mapped[LongText]
    encrypted: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[Created]

    storage: Mapped[Storage] = relationship(back_populates="repositories")
