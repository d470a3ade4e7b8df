"""Destinations: the repositories that a config's points go to. Jobs write the first, copies fill the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import instance
from core.alerting import alerts
from core.db import db, utc_now
from core.errors import Invalid, NotFound, Refused
from core.models import Config, Destination, RepositoryRecord
from core.retention.retention_rules import TIERS as TIERS
from core.retention.retention_rules import RetentionRule, TierName
from core.schedules import fire_times
from core.storages import storages

AFTER = "after"
# Which storage the environment gave at first start, by its row's id: see core.configs.environment_s3.
SECOND_STORAGE = "environment_s3"
LONGEST_LIST = 8


class DestinationInput(BaseModel):
    """What a person decides about one destination. `tier` None: hot for the first, warm for the others.

    `when`: "after" each backup, or a cron line in the config's zone. `retention` None: the tier's rule.
    """

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    repository_id: str
    tier: TierName | None = None
    when: str = AFTER
    retention: RetentionRule | None = None

    def settled(self, place: int) -> DestinationInput:
        """Return it with nothing left open, for this place in the list, from 0."""
        tier: TierName = self.tier or ("warm" if place else "hot")
        rule = self.retention or RetentionRule.model_validate(TIERS[tier].rule)
        return self.model_copy(update={"tier": tier, "retention": rule, "when": self.when or AFTER})


def offered(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return where a new config is proposed to go, with this rule: the first repository, and the one that
    the environment has given."""
    records = storages.list_repositories()
    second = instance.get(SECOND_STORAGE)
    chosen = [*records[:1], *(record for record in records[1:] if record.storage_id == second)]
    tier = _tier_of(RetentionRule.model_validate(rule))
    return [
        {"repository_id": record.id, "tier": tier, "when": AFTER, "retention": dict(rule)}
        for record in chosen
    ]


def get(destination_id: int) -> Destination:
    """Return a destination of a config that is not deleted. Raises NotFound."""
    found = db.session.get(Destination, destination_id)
    if found is None or found.config.deleted_at is not None:
        raise NotFound(f"There is no destination {destination_id}.", "The config may have been changed.")
    return found


def check(given: Sequence[DestinationInput], zone: str) -> list[DestinationInput]:
    """Return the list with nothing left open. Raises Invalid by field, such as "destinations.1.when"."""
    if len(given) > LONGEST_LIST:
        raise Invalid({"destinations": f"A config has at most {LONGEST_LIST} destinations."})
    settled = [each.settled(place) for place, each in enumerate(given)]
    for place, each in enumerate(settled):
        if each.repository_id in {other.repository_id for other in settled[:place]}:
            raise Invalid(
                {f"destinations.{place}.repository_id": "This repository is a destination already."}
            )
        each.when = AFTER if place == 0 else _check_when(each.when, zone, f"destinations.{place}.when")
    return settled


def apply(session: Session, config: Config, given: Sequence[DestinationInput]) -> None:
    """Make these the destinations of a config, in the caller's transaction; what stays keeps its row.

    Copies on a repository that is no destination any more stay there. Raises Invalid for an unknown one.
    """
    records = [
        repository(session, each.repository_id, f"destinations.{place}.repository_id")
        for place, each in enumerate(given)
    ]
    present = {row.repository_id: row for row in config.destinations}
    for place, row in enumerate(config.destinations):
        row.position = -1 - place  # out of the way: (config, position) is unique, row by row
    session.flush()
    rows = []
    for place, (each, record) in enumerate(zip(given, records, strict=True)):
        row = present.get(record.id) or Destination(repository=record, repository_id=record.id)
        _fill(row, each, place)
        rows.append(row)
    config.destinations = rows
    session.flush()
    for repository_id in present.keys() - {record.id for record in records}:
        for subject in ("copy", "brake"):  # nothing about it needs a person any more
            alerts.resolve_in(session, f"{subject}:{config.id}:{repository_id}")


def inputs_of(config: Config) -> list[DestinationInput]:
    """Return what a person decided about a config's destinations."""
    return [
        DestinationInput.model_construct(
            repository_id=row.repository_id, tier=row.tier, when=row.copy_when,
            retention=RetentionRule.model_validate(row.retention),
        )
        for row in config.destinations
    ]  # fmt: skip


def with_first(
    current: Sequence[DestinationInput], repository_id: str | None, rule: RetentionRule
) -> list[DestinationInput]:
    """Return the list with another first one: this repository (None: as it is) and this rule."""
    chosen = repository_id or current[0].repository_id
    tier = current[0].tier if current[0].retention == rule else _tier_of(rule)
    first = DestinationInput(repository_id=chosen, tier=tier, retention=rule)
    moved = any(each.repository_id == chosen for each in current)
    rest = [each for each in (current if moved else current[1:]) if each.repository_id != chosen]
    return [first, *rest]


def first_repository(session: Session) -> RepositoryRecord:
    """Return the repository that was made first. Raises Refused if there is none."""
    record = session.scalar(select(RepositoryRecord).order_by(RepositoryRecord.created_at).limit(1))
    if record is None:
        raise Refused("There is no storage yet.", "Finish set-up first: choose where to keep backups.")
    return record


def repository(session: Session, repository_id: str, field: str) -> RepositoryRecord:
    """Return the row of a repository. Raises Invalid by `field`."""
    record = session.get(RepositoryRecord, repository_id)
    if record is None:
        raise Invalid({field: f"There is no repository {repository_id!r}."})
    return record


def _tier_of(rule: RetentionRule) -> TierName:
    return "hot" if rule == RetentionRule.model_validate(TIERS["hot"].rule) else "custom"


def _fill(row: Destination, given: DestinationInput, place: int) -> None:
    assert given.tier is not None  # `check` has settled both
    assert given.retention is not None
    if row.copy_when != given.when or row.scheduled_since is None:
        row.scheduled_since = utc_now()
    row.position, row.tier, row.copy_when = place, given.tier, given.when
    row.retention = given.retention.document()


def _check_when(when: str, zone: str, field: str) -> str:
    if when == AFTER:
        return when
    try:
        return fire_times.validate(when, zone)
    except Invalid as error:
        raise Invalid({field: " ".join(error.fields.values())}) from error
