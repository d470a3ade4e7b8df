"""What somebody who has to show that backups are in order asks for: encryption, retention, copies, access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.access import users
from core.backups import copy_counts
from core.configs import configs, objectives, states
from core.configs.objectives import Age, Measured
from core.configs.states import Looked
from core.db import utc_now
from core.models import Config, Destination, User
from core.retention import retention, standings
from core.retention.standings import Standing
from core.storages import recovery


@dataclass(frozen=True, slots=True)
class Place:
    """One destination of a config. `points`: good ones, now. `complies` None: not known, see `why`."""

    destination: Destination
    keeps: str
    points: int
    complies: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class ConfigPart:
    """How one config stands. `open_points`: what speaks against it, each in a sentence."""

    config: Config
    state: states.State
    places: Sequence[Place]
    sites: int
    last_good_at: datetime | None
    rpo: Age
    restore: Measured | None
    open_points: Sequence[str]

    @property
    def encrypted(self) -> bool:
        """Tell whether each of its destinations is."""
        return all(place.destination.repository.encrypted for place in self.places)

    @property
    def offsite(self) -> bool:
        """Tell whether one of those that have points is in another house."""
        return any(place.destination.repository.storage.offsite for place in self.places if place.points)


@dataclass(frozen=True, slots=True)
class ComplianceReport:
    """The report, as things stood at `made_at`; whether retention complies: at `retention_at` (None: not
    looked at yet)."""

    made_at: datetime
    retention_at: datetime | None
    parts: Sequence[ConfigPart]
    people: Sequence[User]
    key_confirmed: bool

    @property
    def open_points(self) -> list[str]:
        """Everything that speaks against it."""
        found = [f"{part.config.name}: {text}" for part in self.parts for text in part.open_points]
        if not self.key_confirmed:
            found.append("Nobody has confirmed to have the recovery key.")
        return found


def make(now: datetime | None = None) -> ComplianceReport:
    """Return the report as things stand now."""
    now = now or utc_now()
    every = configs.list_all()
    stand = standings.of_all(every, now)
    looked, restores = states.look(every, now), objectives.latest_of(every)
    there = copy_counts.by_repository([config.id for config in every])
    parts = [
        _part(config, looked, restores.get(config.id), _places(stand.by_config[config.id], there), now)
        for config in every
    ]
    return ComplianceReport(now, stand.at, parts, users.list_all(), recovery.confirmed())


def _part(
    config: Config, looked: Looked, restore: Measured | None, places: Sequence[Place], now: datetime
) -> ConfigPart:
    newest = looked.newest.get(config.id)
    last, rpo = newest.taken_at if newest else None, objectives.age_of(config, newest, now)
    sites = len({_site(place.destination) for place in places if place.points})
    part = ConfigPart(config, looked.states[config.id], places, sites, last, rpo, restore, ())
    return replace(part, open_points=_open_points(part))


def _places(found: Sequence[Standing], there: Mapping[tuple[str, str], int]) -> list[Place]:
    def points(destination: Destination) -> int:
        return there.get((destination.config_id, destination.repository_id), 0)

    return [_place(each, points(each.destination)) for each in found]


def _place(found: Standing, points: int) -> Place:
    rule = retention.words_of(retention.rule_of_destination(found.destination))
    return Place(found.destination, rule, points, found.complies, found.text)


def _site(destination: Destination) -> str:
    storage = destination.repository.storage
    return storage.site or storage.id


def _open_points(part: ConfigPart) -> list[str]:
    wrong = {
        "It is not encrypted everywhere.": not part.encrypted,
        "There is no good point.": part.last_good_at is None,
        "Its points are in one place only.": part.sites == 1,
        "No copy is offsite.": bool(part.sites) and not part.offsite,
        "Its newest point is older than it may be.": part.sites > 0 and not part.rpo.met,
        **{f"Retention does not comply. {place.why}": place.complies is False for place in part.places},
        **{f"Retention: {place.why}": place.complies is None for place in part.places},
        f"{part.state.word}: {part.state.reason}": part.state.needs_person,
        "No whole restore was measured yet: that it can be restored in time is not proven.": not part.restore,
        "The last whole restore took longer than it may.": bool(part.restore and not part.restore.met),
    }
    return [text for text, holds in wrong.items() if holds]
