"""Names of configs: one at a time has each, whatever its case."""

from __future__ import annotations

from itertools import count

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core.db import db
from core.errors import Invalid
from core.models import Config

LONGEST = 100


def free(name: str, suffix: str = "") -> str:
    """Return the name with the suffix, and a number if another has that: "Wiki", "Wiki 2", "Wiki copy 3"."""
    taken = {each.casefold() for each in db.session.scalars(select(Config.name).where(_is_there()))}
    start = f"{name[: LONGEST - 12]}{suffix}"
    wanted = (f"{start} {number}" if number > 1 else start for number in count(1))
    return next(each for each in wanted if each.casefold() not in taken)


def require_free(session: Session, name: str, own_id: str | None) -> None:
    """Raise Invalid (`name`) if another config than `own_id` has it."""
    same = select(Config.id).where(func.lower(Config.name) == func.lower(name), _is_there())
    if any(config_id != own_id for config_id in session.scalars(same)):
        raise Invalid({"name": f"There is already a config {name!r}."})


def _is_there() -> ColumnElement[bool]:
    return Config.deleted_at.is_(None)
