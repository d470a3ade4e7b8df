"""Storages, the repositories on them, and how full they were day by day."""

from __future__ import annotations

from datetime import date

from sqlalchemy import BigInteger, Date, Float, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base
from core.models.columns import (
    Created,
    Document,
    HexId,
    LongText,
    MaybeCount,
    Moment,
    Name,
    RandomId,
    RowId,
    Word,
)


class Storage(Base):
    """A place where bytes go. `settings` and what `credentials_sealed` holds go by provider, see
    core.storages.providers.

    Limits are bytes a second; a price is for 10^9 bytes a month. `used_bytes`: what was listed at
    `measured_at`. `immutable_days` is kept for later. `marker_id` is what the marker object
    `.holdfast-storage` in its root must say. Initialised once, by set-up; a storage whose marker is missing
    or another is unreachable, and nothing is written to it.
    """

    __tablename__ = "storages"

    id: Mapped[RandomId]
    name: Mapped[Name] = mapped_column(unique=True)
    provider: Mapped[Word]
    settings: Mapped[Document]
    credentials_sealed: Mapped[LongText] = mapped_column(default="")
    marker_id: Mapped[HexId]
    quota_bytes: Mapped[MaybeCount]
    site: Mapped[Name] = mapped_column(default="")  # what fails together
    offsite: Mapped[bool] = mapped_column(default=False)
    media: Mapped[Word] = mapped_column(default="disk")  # disk, object, offline
    price_per_gb_month: Mapped[float | None] = mapped_column(Float)
    currency: Mapped[str] = mapped_column(String(3), default="")
    upload_limit: Mapped[MaybeCount]
    download_limit: Mapped[MaybeCount]
    limit_hours: Mapped[str] = mapped_column(String(32), default="")  # see core.storages.limit_hours
    immutable_days: Mapped[int | None]
    initialised_at: Mapped[Moment | None]
    unreachable_since: Mapped[Moment | None]
    unreachable_reason: Mapped[LongText] = mapped_column(default="")
    tested_at: Mapped[Moment | None]
    test_ok: Mapped[bool] = mapped_column(default=False)
    test_result: Mapped[LongText] = mapped_column(default="")
    used_bytes: Mapped[MaybeCount]
    measured_at: Mapped[Moment | None]
    created_at: Mapped[Created]

    repositories: Mapped[list[RepositoryRecord]] = relationship(back_populates="storage")


class RepositoryRecord(Base):
    """A restic-format repository below a storage's root, under `prefix` ("repository/"; "": the root itself).

    `adopted`: it was there before us, so its snapshots without our tag are points of no config.
    `polynomial_sealed`: its chunker polynomial, which later repositories share; "" where not known.
    """

    __tablename__ = "repositories"
    __table_args__ = (UniqueConstraint("storage_id", "prefix"),)

    id: Mapped[RandomId]
    storage_id: Mapped[str] = mapped_column(ForeignKey("storages.id"))
    prefix: Mapped[Name] = mapped_column(default="repository/")
    repository_id: Mapped[HexId]  # the id in the repository's own config
    password_sealed: Mapped[LongText]
    polynomial_sealed: Mapped[LongText] = mapped_column(default="")
    adopted: Mapped[bool] = mapped_column(default=False)
    encrypted: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[Created]

    storage: Mapped[Storage] = relationship(back_populates="repositories")


class StorageSample(Base):
    """How much a storage held on a day (UTC): the newest listing of that day."""

    __tablename__ = "storage_samples"
    __table_args__ = (UniqueConstraint("storage_id", "day"),)

    id: Mapped[RowId]
    storage_id: Mapped[str] = mapped_column(ForeignKey("storages.id"))
    day: Mapped[date] = mapped_column(Date)
    used_bytes: Mapped[int] = mapped_column(BigInteger)
