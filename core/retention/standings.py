"""How all destinations stand beside their rules: now, or, where that takes long, as of the hourly look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
    """How one destination stands; `complies` is None if it was not looked at yet."""

    destination: Destination
    complies: bool | None
    text: str
    points: int | None


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


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is kept of one destination."""

    destination_id: int
    complies: bool
    text: str
    points: int


def look(every: Sequence[Config], now: datetime | None = None) -> dict[str, list[Compliance]]:
    """Look at all destinations of all configs, and keep what was found; it reads every good point."""
    now = now or utc_now()
    found = {config.id: compliance.of(config, now) for config in every}
    kept = {
        key: [asdict(_Kept(one.destination.id, one.complies, one.text, one.points)) for one in each]
        for key, each in found.items()
    }
    instance.put(_KEY, {"at": now.isoformat(), "configs": kept})
    return found


def of_all(every: Sequence[Config], now: datetime | None = None) -> Standings:
    """Return how all stand: as it is now if there are few points, else as of the last look."""
    now = now or utc_now()
    if _are_few():
        return Standings(now, {config.id: _now(config, now) for config in every})
    document = instance.get(_KEY) or {}
    at = datetime.fromisoformat(document["at"]) if document else None
    kept: Mapping[str, Any] = document.get("configs", {})
    return Standings(at, {config.id: _as_kept(config, kept.get(config.id, ())) for config in every})


def _are_few() -> bool:
    some = select(Copy.id).where(points.live()).limit(FEW + 1).subquery()
    return (db.session.scalar(select(func.count()).select_from(some)) or 0) <= FEW


def _now(config: Config, now: datetime) -> list[Standing]:
    found = compliance.of(config, now)
    return [Standing(each.destination, each.complies, each.text, each.points) for each in found]


def _as_kept(config: Config, kept: Sequence[Mapping[str, Any]]) -> list[Standing]:
    known = {each["destination_id"]: _Kept(**each) for each in kept}
    return [_standing(row, known.get(row.id)) for row in config.destinations]


def _standing(row: Destination, kept: _Kept | None) -> Standing:
    if kept is None:
        text = f"{row.repository.storage.name} was not looked at yet: that is done each hour."
        return Standing(row, None, text, None)
    return Standing(row, kept.complies, kept.text, kept.points)
