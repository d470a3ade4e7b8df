"""The default configs as the environment gives them: made at first start, corrected until they have a point.

After that the config counts, and where the environment says something else, a sentence says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import instance, words
from core.configs import config_source, configs, environment_s3
from core.configs.configs import ConfigInput
from core.configs.source_database import DatabaseSource
from core.db import db, write
from core.errors import Invalid, Refused
from core.jobs.outcomes import sentence
from core.models import Config, Point, Storage
from core.settings import Settings
from sources.postgres.errors import BadConnection
from sources.postgres.server import parse_url

# What was made of it: {"config": its id, "paths": those last taken from the environment}.
_APPLIED = "environment_applied"


def check(settings: Settings) -> None:
    """Raise Refused if a variable would become a config or a storage now, and cannot."""
    if _any_config(db.session()):
        return
    environment_s3.check(settings)
    _refuse_missing("BACKUP_PATHS", settings.backup_paths)
    _refuse_missing("BACKUP_CONFIG_PATHS", settings.config_paths)
    _defaults(settings)


def apply(settings: Settings) -> None:
    """Make the second storage, and the default configs whose source is given, while there is no config;
    correct Daily Files while it has no point. Raises Refused."""
    if not _any_config(db.session()):
        environment_s3.apply(settings)
        _make(settings)
    if settings.backup_paths:
        _correct(settings)


def _make(settings: Settings) -> None:
    wanted = _defaults(settings)
    with write() as session:
        if _any_config(session):
            return  # somebody was faster
        made = {data.type: configs.insert(session, data) for data in wanted}
        if "files" in made:
            _note(session, made["files"], settings)


def _defaults(settings: Settings) -> list[ConfigInput]:
    """Return the default configs whose source the environment gives. Raises Refused, without a secret."""
    given = (
        ("BACKUP_PATHS", "files", settings.backup_paths),
        ("SUPABASE_DB_URL", "database", settings.supabase_db_url),
        ("BACKUP_CONFIG_PATHS", "config", settings.config_paths),
    )
    return [_default(name, kind, settings) for name, kind, value in given if value]


def _default(name: str, kind: str, settings: Settings) -> ConfigInput:
    offered = configs.offered(kind)
    try:
        if kind == "database":
            offered["source"] = _database_of(settings.supabase_db_url or "")
        return configs.parse(offered)
    except Invalid as error:
        raise Refused(f"{name} cannot become a config. {error.message}") from error


def _database_of(url: str) -> dict[str, Any]:
    """Return the source that a URL means: the one database that it names."""
    try:
        name = parse_url(url).database
    except BadConnection as error:
        raise Invalid({"url": sentence(str(error))}) from error
    return {"url": url, "which": "chosen", "databases": [name]}


def differences(settings: Settings) -> list[str]:
    """Return a sentence for each variable that says something else than what is stored, which counts."""
    sentences = [*_of_storage(settings), *environment_s3.differences(settings)]
    if settings.s3_bucket and environment_s3.made() is None and _any_config(db.session()):
        sentences.append(
            "BACKUP_S3_BUCKET came after first start and is not used: add the storage on its page."
        )
    config = _default_config()
    if config is not None:
        sentences += _of_config(settings, config)
    if _any_config(db.session()):
        sentences += [*_of_database(settings), *_of_configuration(settings)]
    return sentences


def _of_database(settings: Settings) -> Iterator[str]:
    if not settings.supabase_db_url:
        return
    try:
        server = parse_url(settings.supabase_db_url)
    except BadConnection as error:
        yield f"SUPABASE_DB_URL is not used: {sentence(str(error))}"
        return
    for config in configs.list_all():
        source = config_source.source_of(config) if config.type == "database" else None
        if isinstance(source, DatabaseSource) and source.place == (
            None,
            server.host,
            server.port,
            server.user,
        ):
            if config_source.password_of(config) != server.password:
                yield (
                    f"SUPABASE_DB_URL has another password than the config {config.name}; the config counts. "
                    "Change it on its page."
                )
            return
    yield "SUPABASE_DB_URL names a server that no config backs up: make a config of type database for it."


def _of_configuration(settings: Settings) -> Iterator[str]:
    paths = list(settings.config_paths)
    stored = [config.source["paths"] for config in configs.list_all() if config.type == "config"]
    if paths and paths not in stored:
        yield "BACKUP_CONFIG_PATHS differs from what the configs of type config back up; these count."


def _correct(settings: Settings) -> None:
    """Take over paths that were changed in the environment (not on the page), until a backup has run."""
    config = _default_config()
    paths = list(settings.backup_paths)
    if config is None or paths == (instance.get(_APPLIED) or {}).get("paths") or _has_point(config):
        return
    if paths != config.source["paths"]:
        _refuse_missing("BACKUP_PATHS", settings.backup_paths)
        data = configs.to_input(config)
        source = data.source.model_copy(update={"paths": paths})
        configs.update(config.id, data.model_copy(update={"source": source}))
    with write() as session:
        _note(session, config, settings)


def _note(session: Session, config: Config, settings: Settings) -> None:
    instance.set_in(session, _APPLIED, {"config": config.id, "paths": list(settings.backup_paths)})


def _refuse_missing(name: str, paths: Sequence[str]) -> None:
    for path in paths:
        if not os.path.lexists(path):
            raise Refused(
                f"{name} names {path}, which does not exist, so nothing was saved.",
                "Correct it: absolute paths, separated by colons.",
            )


def _default_config() -> Config | None:
    """Return the config that the environment made, unless it was deleted."""
    applied = instance.get(_APPLIED)
    if not isinstance(applied, dict):
        return None  # none was made, or by a version that did not note which
    config = db.session.get(Config, applied["config"], populate_existing=True)
    return config if config is not None and config.deleted_at is None else None


def _any_config(session: Session) -> bool:
    return session.scalar(select(Config.id).limit(1)) is not None


def _has_point(config: Config) -> bool:
    return db.session.scalar(select(Point.id).where(Point.config_id == config.id).limit(1)) is not None


def _of_storage(settings: Settings) -> Iterator[str]:
    if not settings.backup_dir_given:
        return
    local = select(Storage).where(Storage.provider == "local").order_by(Storage.created_at)
    storage = db.session.scalar(local.limit(1))
    if storage is not None and storage.settings.get("path", settings.backup_dir) != settings.backup_dir:
        yield (
            f"BACKUP_DIR differs from the storage {storage.name}, which is at {storage.settings['path']}; "
            "the storage counts."
        )


def _of_config(settings: Settings, config: Config) -> Iterator[str]:
    paths, rule = config.source["paths"], config.retention
    wanted = (
        ("BACKUP_PATHS", list(settings.backup_paths) or paths, paths, f"backs up {', '.join(paths)}"),
        ("BACKUP_RETENTION_DAYS", settings.retention_days, rule.get("days"), _keeps(rule.get("days"), "day")),
        (
            "BACKUP_MAX_BACKUPS", settings.max_backups, rule.get("max_backups"),
            _keeps(rule.get("max_backups"), "point"),
        ),
        ("BACKUP_COMPRESSION", settings.compression, config.compression, f"has {config.compression}"),
    )  # fmt: skip
    for name, given, stored, does in wanted:
        if given is not None and given != stored:
            yield (
                f"{name} differs from the config {config.name}, which {does}; the config counts. "
                "Change it on its page, or set the variable to the same."
            )


def _keeps(number: int | None, noun: str) -> str:
    return f"keeps {words.count(number, noun)}" if number else f"sets no limit in {noun}s"
