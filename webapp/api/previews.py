"""Calls that look ahead: what a backup would read, what a rule would remove. Nothing is changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.configs import configs
from core.configs.config_source import AnySource, Preview
from core.configs.source_database import DatabasePreview
from core.errors import Invalid
from core.hosts.host_source import HostPreview
from core.models import Destination
from core.points.tokens import printable
from core.retention import retention
from core.retention.retention_rules import RetentionRule, rule_from
from webapp.api import config_input, door
from webapp.api.answers import Out
from webapp.api.door import Body


class SourceWanted(BaseModel):
    """What would be read. `configId`: the config that it changes, whose stored password counts then."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Literal["files", "database", "config"] = "files"
    source: AnySource
    config_id: str | None = None


class FolderOut(Out):
    """All that would be read below a folder."""

    path: str
    files: int
    bytes: int


class LeftOutOut(Out):
    """What a rule leaves out, or a database that is left out, with the first examples."""

    rule: str
    count: int
    examples: list[str]


class DatabaseOut(Out):
    """A database that would be dumped."""

    name: str
    bytes: int | None


class SourcePreviewOut(Out):
    """What a backup would read; a lower bound unless `complete`. `problems`: what it could not read or keep.

    `stops`: a backup would fail.
    """

    complete: bool
    stops: bool
    files: int
    bytes: int
    biggest: list[FolderOut]
    databases: list[DatabaseOut]
    left_out: list[LeftOutOut]
    problems: list[str]


class RuleWanted(BaseModel):
    """Which rule is tried on which destination, by its repository; none: each as it is."""

    model_config = ConfigDict(extra="forbid")

    config_id: str = Field(min_length=1)
    repository_id: str | None = None
    retention: RetentionRule | None = None


class DecisionOut(Out):
    """What becomes of one point on one destination, and why."""

    point_id: int
    taken_at: datetime
    keep: bool
    reason: str


class RulePreviewOut(Out):
    """What a clean-up would do on one destination. `braked`: only after a confirmation."""

    repository_id: str
    storage_name: str
    kept: int
    removed: int
    oldest_before: datetime | None
    oldest_after: datetime | None
    braked: bool
    decisions: list[DecisionOut]


class RulePreviewsOut(Out):
    """The same for each destination."""

    destinations: list[RulePreviewOut]


@door.operation(
    "POST", "/backup/previews/source", "admin", body=Body(SourceWanted, parse=dict), answer=SourcePreviewOut,
    also=(404, 409, 503),
)  # fmt: skip
def preview_source(body: dict[str, Any]) -> SourcePreviewOut:
    """Say what a backup of a source would read, by listing it for a few seconds."""
    data = config_input.source_alone(body)
    config_id = body.get("config_id")
    if config_id is not None:
        configs.get(config_id)
    try:
        found = configs.preview(data, config_id=config_id)
    except Invalid as error:
        raise Invalid({f"source.{name}": text for name, text in error.fields.items()}) from error
    return shown(found)


@door.operation(
    "POST", "/backup/previews/retention", "viewer", body=Body(RuleWanted), answer=RulePreviewsOut, also=(404,)
)
def preview_retention(body: RuleWanted) -> RulePreviewsOut:
    """Say which points a clean-up would remove, now or with another rule, and why each stays or goes."""
    config = configs.get(body.config_id)
    chosen = [each for each in config.destinations if body.repository_id in (None, each.repository_id)]
    if not chosen:
        raise Invalid({"repository_id": "The config has no destination there."})
    rule = rule_from(body.retention) if body.retention is not None else None
    return RulePreviewsOut(
        destinations=[_of_rule(each, retention.preview(config, rule, each)) for each in chosen]
    )


def shown(found: Preview | DatabasePreview | HostPreview) -> SourcePreviewOut:
    """Return as it is given what a look at a source has found."""
    if isinstance(found, DatabasePreview):
        return _of_databases(found)
    return _of_host(found) if isinstance(found, HostPreview) else _of_tree(found)


def _of_rule(destination: Destination, found: retention.Preview) -> RulePreviewOut:
    return RulePreviewOut(
        repository_id=destination.repository_id, storage_name=destination.repository.storage.name,
        kept=found.kept, removed=found.removed, oldest_before=found.oldest_before,
        oldest_after=found.oldest_after, braked=found.braked,
        decisions=[
            DecisionOut(
                point_id=each.point.id, taken_at=each.point.taken_at, keep=each.keep, reason=each.reason
            )
            for each in found.decisions
        ],
    )  # fmt: skip


def _of_tree(found: Preview) -> SourcePreviewOut:
    return SourcePreviewOut(
        complete=found.complete, stops=False, files=found.files, bytes=found.bytes, databases=[],
        biggest=[
            FolderOut(path=printable(each.path), files=each.files, bytes=each.bytes) for each in found.biggest
        ],
        left_out=[
            LeftOutOut(rule=each.rule, count=each.count, examples=[printable(path) for path in each.examples])
            for each in found.left_out
        ],
        problems=[f"{printable(each.path)}: {each.message}" for each in found.problems],
    )  # fmt: skip


def _of_host(found: HostPreview) -> SourcePreviewOut:
    if found.counted is None:
        text = f"{found.host} was still listing after {found.waited_s:.0f} seconds."
        return SourcePreviewOut(
            complete=False, stops=False, files=0, bytes=0, databases=[], biggest=[], left_out=[],
            problems=[text, *found.limits],
        )  # fmt: skip
    counted = _of_tree(found.counted)
    return counted.model_copy(update={"problems": [*counted.problems, *found.limits]})


def _of_databases(found: DatabasePreview) -> SourcePreviewOut:
    there = found.found
    said = [f"{each.database}: {each.text}" if each.database else each.text for each in found.findings]
    return SourcePreviewOut(
        complete=True, stops=found.stops, files=0, bytes=there.bytes, biggest=[],
        databases=[DatabaseOut(name=each.name, bytes=each.size_bytes) for each in there.databases],
        left_out=[LeftOutOut(rule=each.reason, count=1, examples=[each.name]) for each in there.left_out],
        problems=[*there.problems, *said],
    )  # fmt: skip
