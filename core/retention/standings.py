"""How all destinations stand beside their rules: now, or, where that takes long, as of the hourly look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from core import instance
from core.db import db, utc_now
from core.models import Config, Copy, Destination
from core.points import points
from core.retention import compliance
from core.retention.compliance import Compliance

# So many good copies are looked at while a page is asked for; each is read, and held against its rule.
FEW = 2_000
_KEY = "retention_standings"


@dataclass(frozen=True, slots=True)
class Standing:
    """How one destination stands; `complies` is None if that is not known: `text` says why."""

    destination: Destination
    complies: bool | None
    text: str


@dataclass(frozen=True, slots=True)
class Standings:
    """How all stand, by the config's id. `at`: when that was looked at; None: not yet."""

    at: datetime | None
    by_config: Mapping[str, Sequence[Standing]]

    @property
    def share(self) -> float | None:
        """The share of destinations that comply, of those looked at; None if there are none."""
        every = [each.complies for row in self.by_config.values() for each in row]
        known = [complies for complies in every if complies is not None]
        return sum(known) / len(known) if known else None


def look(every: Sequence[Config], now: datetime | None = None) -> dict[str, list[Compliance]]:
    """Look at all destinations of all configs, and keep what was found; it reads every good point."""
    now = now or utc_now()
    found = {config.id: compliance.of(config, now) for config in every}
    kept = {key: [_to_keep(one) for one in each] for key, each in found.items()}
    instance.put(_KEY, {"at": now.isoformat(), "configs": kept})
    return found


def _to_keep(one: Compliance) -> dict[str, Any]:
    # By repository: a new destination may get the id of one that was removed.
    return {
        "repository_id": one.destination.repository_id,
        "complies": one.complies,
        "text": one.text,
    }


def is_due(now: datetime) -> bool:
    """Tell whether to look: at each full hour, and as soon as can be after one that was missed."""
    at = _looked_at(instance.get(_KEY) or {})
    return now.minute == 0 or at is None or _hour(at) != _hour(now)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _looked_at(document: Mapping[str, Any]) -> datetime | None:
    return datetime.fromisoformat(document["at"]) if document else None


def of_all(every: Sequence[Config], now: datetime | None = None) -> Standings:
    """Return how all stand: as it is now if there are few points, else as of the last look."""
    now = now or utc_now()
    if _are_few():
        return Standings(now, {config.id: _now(config, now) for config in every})
    document = instance.get(_KEY) or {}
    at, kept = _looked_at(document), document.get("configs", {})
    return Standings(at, {config.id: _as_kept(config, at, kept.get(config.id, ())) for config in every})


def _are_few() -> bool:
    some = select(Copy.id).where(points.live()).limit(FEW + 1).subquery()
    return (db.session.scalar(select(func.count()).select_from(some)) or 0) <= FEW


def _now(config: Config, now: datetime) -> list[Standing]:
    found = compliance.of(config, now)
    return [Standing(each.destination, each.complies, each.text) for each in found]


def _as_kept(config: Config, at: datetime | None, kept: Sequence[Mapping[str, Any]]) -> list[Standing]:
    """Return what was found, unless the config was changed since: its rules may be others now."""
    if at is not None and config.updated_at > at:
        return [
            _unknown(row, "was not looked at since the config was changed") for row in config.destinations
        ]
    # What an older version kept names no repository.
    known = {each["repository_id"]: each for each in kept if "repository_id" in each}
    return [_standing(row, known.get(row.repository_id)) for row in config.destinations]


def _standing(row: Destination, kept: Mapping[str, Any] | None) -> Standing:
    if kept is None:
        return _unknown(row, "was not looked at yet")
    return Standing(row, kept["complies"], kept["text"])


def _unknown(row: Destination, why: str) -> Standing:
    return Standing(row, None, f"{row.repository.storage.name} {why}: that is done each hour.")
