"""Configs: what is backed up, when, where to. One schema for forms, API and commands: ConfigInput."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from sqlalchemy import func, select
from sqlalchemy.orm import Session, load_only, selectinload

from core import app_state, input_sentences
from core.alerting import alerts
from core.configs import config_ids, config_names, config_source, destinations
from core.configs.config_ids import Metadata
from core.configs.config_source import AnySource
from core.configs.destinations import DestinationInput
from core.configs.source_config import offered_paths
from core.configs.source_database import DatabasePreview
from core.configs.timing import TimingFields
from core.db import db, utc_now, write
from core.errors import Invalid, NotFound, Refused
from core.hosts.host_source import HostPreview
from core.models import Config, Destination, Job, RepositoryRecord
from core.models.job import PENDING
from core.retention.retention_rules import RetentionRule as RetentionRule
from core.retention.retention_rules import blank_is_none
from core.schedules import fire_times
from sources.preview import Preview

DEFAULT_CRON = "0 3 * * *"
DEFAULT_DAYS = 14
# By type: name, cron line, days kept, source.
_OFFERED: Mapping[str, tuple[str, str, int, Mapping[str, Any]]] = {
    "files": ("Daily Files", DEFAULT_CRON, DEFAULT_DAYS, {}),
    "database": ("Daily Database", "0 2 * * *", 30, {"host": "localhost"}),
    "config": ("Weekly Configuration", "0 4 * * 0", 90, {}),
}
# The field that a sentence about a whole source goes to, by type.
_MAIN_FIELD = {"database": "host"}


class ConfigInput(TimingFields):
    """All that a person decides about a config; when it runs beside the schedule: see TimingFields.

    `destinations`: the first is written by the job. Empty, `repository_id` (None: as it is, or the first
    repository there is) and `retention` are about the first one, and the others stay as they are.
    """

    # What was typed may hold a password: no error shows it.
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    name: str = Field(min_length=1, max_length=config_names.LONGEST)
    type: Literal["files", "database", "config"] = "files"
    enabled: bool = True
    source: AnySource
    cron: str = ""
    timezone: str = "UTC"
    retention: RetentionRule = RetentionRule(days=DEFAULT_DAYS)
    repository_id: Annotated[str | None, BeforeValidator(blank_is_none)] = None
    destinations: list[DestinationInput] = []
    compression: Literal["auto", "off", "max"] = "auto"
    full_read_days: int = Field(default=7, ge=1, le=365)
    metadata: Metadata = None

    @model_validator(mode="before")
    @classmethod
    def _type_of_source(cls, data: Any) -> Any:
        """Let a source's fields be those of the config's type."""
        source = data.get("source") if isinstance(data, Mapping) else None
        if isinstance(source, Mapping):
            return {**data, "source": {**source, "type": data.get("type", "files")}}
        return data if source is None else {**data, "type": source.type}

    @field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not name.isprintable():
            raise ValueError("a name has only visible characters, on one line")
        return name

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        self.cron = fire_times.validate(self.cron, self.timezone)
        self.destinations = destinations.check(self.destinations, self.timezone)
        return self


def parse(data: Mapping[str, Any]) -> ConfigInput:
    """Return the input that `data` describes. Raises Invalid with a sentence by field.

    Fields of the source go by their own name ("paths"), those of the retention as "retention.days".
    """
    try:
        return ConfigInput.model_validate(data)
    except ValidationError as error:
        raise Invalid(input_sentences.of(error, _MAIN_FIELD) | _schedule_sentences(data)) from error


def offered(kind: str = "files") -> dict[str, Any]:
    """Return what a new config of a type is proposed to be: product.md's, with the environment's values."""
    settings = app_state.settings()
    kind = kind if kind in _OFFERED else "files"
    name, cron, days, source = _OFFERED[kind]
    no_rule_given = settings.retention_days is None and settings.max_backups is None
    rule = {
        "days": days if no_rule_given else settings.retention_days,
        "max_backups": settings.max_backups,
    }
    return {
        "name": config_names.free(name),
        "type": kind,
        "enabled": True,
        "source": {**source, **_offered_paths(kind)},
        "cron": cron,
        "timezone": settings.timezone,
        "retention": rule,
        "destinations": destinations.offered(rule),
        "compression": settings.compression or "auto",
    }


def _offered_paths(kind: str) -> dict[str, list[str]]:
    if kind == "database":
        return {}
    settings = app_state.settings()
    given = settings.backup_paths if kind == "files" else settings.config_paths or offered_paths()
    return {"paths": list(given)}


def create(data: ConfigInput, config_id: str | None = None) -> Config:
    """Make a config. Raises Invalid for a taken name or an excluded path, Refused without a repository.

    `config_id`: chosen by a client, None for a new one; see core.configs.config_ids.
    """
    config_source.check(data.source)
    with write() as session:
        config_ids.require_free(session, config_id)
        return insert(session, data, config_id)


def insert(session: Session, data: ConfigInput, config_id: str | None = None) -> Config:
    """Add a config in the caller's writing transaction."""
    config = Config(id=config_id, scheduled_since=utc_now())
    config_names.require_free(session, data.name, None)
    _fill(config, data)
    session.add(config)
    session.flush()
    config_source.keep_secrets(config, data.source)
    _set_destinations(session, config, data)
    return config


def update(config_id: str, data: ConfigInput) -> Config:
    """Change a config; due times of the former schedule are not caught up. Raises Invalid, NotFound."""
    config_source.check(data.source)
    with write() as session:
        config = _get(session, config_id)
        if config.type != data.type:
            raise Invalid({"type": f"{config.name} stays of type {config.type}: make another config."})
        config_source.keep_secrets(config, data.source)
        config_names.require_free(session, data.name, config_id)
        if _when(config) != (data.cron, data.timezone, data.blackouts, data.spread) or (
            data.enabled > config.enabled
        ):
            config.scheduled_since = utc_now()
        _fill(config, data)
        _set_destinations(session, config, data)
        return config


def check_new(data: ConfigInput, own_id: str | None) -> None:
    """Raise Invalid for what `create` and `update` would not take, without storing anything."""
    config_source.check(data.source)
    config_names.require_free(db.session(), data.name, own_id)
    for place, each in enumerate(data.destinations):
        destinations.repository(db.session(), each.repository_id, f"destinations.{place}.repository_id")


def duplicate(config_id: str, name: str | None = None) -> Config:
    """Make a paused copy of a config; a stored password is copied, too. Raises NotFound, Invalid (`name`)."""
    row = get(config_id)
    password = config_source.password_of(row)
    data = to_input(row).model_dump(mode="json")
    data |= {"name": name or config_names.free(row.name, " copy"), "enabled": False}
    if password:
        data["source"]["password"] = password
    return create(parse(data))


def set_enabled(config_id: str, enabled: bool) -> Config:
    """Pause or resume a schedule; what was due while paused is not caught up. Raises NotFound."""
    with write() as session:
        config = _get(session, config_id)
        if enabled and not config.enabled:
            config.scheduled_since = utc_now()
        config.enabled, config.updated_at = enabled, utc_now()
        return config


def delete(config_id: str) -> None:
    """Stop the config for good and keep all its points. Refused while one of its jobs is going on.

    Its alerts are resolved: nothing about it needs a person any more.
    """
    with write() as session:
        config = _get(session, config_id)
        job = session.scalar(select(Job).where(Job.config_id == config_id, Job.status.in_(PENDING)).limit(1))
        if job is not None:
            raise Refused(
                f"Job {job.id} of {config.name} is still {job.status}.", "Cancel it first, or wait."
            )
        config.enabled, config.deleted_at = False, utc_now()
        alerts.resolve_of_config_in(session, config_id)


def get(config_id: str, *, deleted: bool = False) -> Config:
    """Return a config; a deleted one only if asked. Raises NotFound."""
    return _get(db.session(), config_id, deleted=deleted)


def list_all(*, deleted: bool = False) -> Sequence[Config]:
    """Return the configs by name; `deleted`: those that were deleted instead."""
    which = Config.deleted_at.is_not(None) if deleted else Config.deleted_at.is_(None)
    storages = selectinload(Config.destinations).selectinload(Destination.repository)
    query = select(Config).where(which).options(storages.joinedload(RepositoryRecord.storage))
    return db.session.scalars(query.order_by(func.lower(Config.name))).all()


def names() -> Sequence[Config]:
    """Return all configs to choose from by their name, the deleted ones last: their points and jobs stay."""
    few = load_only(Config.id, Config.name, Config.deleted_at)
    gone = Config.deleted_at.is_not(None)
    return db.session.scalars(select(Config).options(few).order_by(gone, func.lower(Config.name))).all()


def types_in_use() -> set[str]:
    """Return the types of the configs there are."""
    return set(db.session.scalars(select(Config.type).where(Config.deleted_at.is_(None)).distinct()))


def to_input(config: Config) -> ConfigInput:
    """Return what a person decided about a config, to be shown in a form and changed."""
    return ConfigInput.model_construct(
        name=config.name,
        type=config.type,
        enabled=config.enabled,
        source=config_source.as_stored(config),
        cron=config.cron,
        timezone=config.timezone,
        retention=RetentionRule.model_validate(config.retention),
        repository_id=config.destinations[0].repository_id,
        destinations=destinations.inputs_of(config),
        compression=config.compression,
        full_read_days=config.full_read_days,
        metadata=config.extra or None,
        **dict(TimingFields.stored(config)),
    )


def preview(
    data: ConfigInput, limit_s: float = 5.0, *, config_id: str | None = None
) -> Preview | DatabasePreview | HostPreview:
    """Return what a backup would read and what the rules leave out; `config_id`: the config it changes.

    Raises Invalid if a path is missing, or a server lets nobody in.
    """
    return config_source.preview(data.source, _password(data, config_id), limit_s)


def _password(data: ConfigInput, config_id: str | None) -> str:
    """Return the password given, or else the one stored, if it is for the same server and user."""
    given = getattr(data.source, "password", None)
    if given is not None or config_id is None:
        return given.get_secret_value() if given is not None else ""
    config = get(config_id)
    same = getattr(config_source.source_of(config), "place", None) == getattr(data.source, "place", None)
    return config_source.password_of(config) if same else ""


def _get(session: Session, config_id: str, *, deleted: bool = False) -> Config:
    config = session.get(Config, config_id)
    if config is None or (config.deleted_at is not None and not deleted):
        raise NotFound(f"There is no config {config_id!r}.", "It may have been deleted.")
    return config


def _when(config: Config) -> tuple[str, str, list[str], int | None]:
    """Return all that decides when runs begin."""
    fields = TimingFields.stored(config)
    return config.cron, config.timezone, fields.blackouts, fields.spread


def _fill(config: Config, data: ConfigInput) -> None:
    config.name, config.type, config.enabled = data.name, data.type, data.enabled
    config.source = config_source.document(data.source)
    config.cron, config.timezone = data.cron, data.timezone
    config.compression, config.full_read_days = data.compression, data.full_read_days
    if data.metadata is not None:
        config.extra = data.metadata
    config.timing, config.updated_at = data.timing(), utc_now()


def _set_destinations(session: Session, config: Config, data: ConfigInput) -> None:
    given = data.destinations
    if not given:
        if data.repository_id is not None:
            destinations.repository(session, data.repository_id, "repository_id")
        current = destinations.inputs_of(config) or [
            DestinationInput(repository_id=destinations.first_repository(session).id)
        ]
        given = destinations.with_first(current, data.repository_id, data.retention)
    destinations.apply(session, config, destinations.check(given, config.timezone))


def _schedule_sentences(data: Mapping[str, Any]) -> dict[str, str]:
    """Say what is wrong with the schedule, too, when other fields kept it from being looked at."""
    try:
        fire_times.validate(str(data.get("cron", "")), str(data.get("timezone", "UTC")))
    except Invalid as error:
        return error.fields
    return {}
