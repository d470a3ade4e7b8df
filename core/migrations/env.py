"""Run by Alembic only: gives it our connection and our models."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

import core.models  # noqa: F401  (fills the metadata)
from core.db import Base, UtcDateTime


def _render_item(kind: str, item: Any, autogen_context: AutogenContext) -> str | Literal[False]:
    """Write our own column types as the plain ones they are in the database: steps must not import us."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "sa.DateTime()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    render_item=_render_item,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
