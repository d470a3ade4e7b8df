"""Facts about this install and its machines."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base
from core.models.columns import Created, Moment, Name


class InstanceValue(Base):
    """One fact by name, as JSON; secrets among them are sealed text (core.secrets)."""

    __tablename__ = "instance_values"

    key: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    updated_at: Mapped[Created]


class Node(Base):
    """A machine that runs Holdfast processes, by its stable id; when its worker and its tick last beat."""

    __tablename__ = "nodes"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    hostname: Mapped[Name]
    worker_seen_at: Mapped[Moment | None]
    tick_seen_at: Mapped[Moment | None]
    created_at: Mapped[Created]
