"""The default config as the environment gives it: made at first start, corrected until it has a point.

After that the config counts, and where the environment says something else, a sentence says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import configs, environment_s3, instance, words
from core.db import db, write
from core.errors import Invalid, Refused
from core.models import Config, Point, Storage
from core.settings import Settings

# What was made of it: {"config": its id, "paths": those last taken from the environment}.
_APPLIED = "environment_applied"


def check(settings: Settings) -> None:
    """Raise Refused if BACKUP_PATHS would become a config now, or BACKUP_S3_BUCKET a storage, and cannot."""
    if not _any_config(db.session()):
        environment_s3.check(settings)
    if settings.backup_paths and not _any_config(db.session()):
        _refuse_missing(settings)
        try:
            configs.parse(configs.offered())
        except Invalid as error:
            raise Refused(f"BACKUP_PATHS cannot become a config. {error.message}") from error


def apply(settings: Settings) -> None:
    """Make the second storage, and Daily Files from BACKUP_PATHS, while there is no config; correct that
    while it has no point. Raises Refused."""
    if not _any_config(db.session()):
        environment_s3.apply(settings)
    if not settings.backup_paths:
        return
    data = configs.parse(configs.offered())
    with write() as session:
        if not _any_config(session):
            config = configs.insert(session, data)
            _note(session, config, settings)
    _correct(settings)


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
    return sentences


def _correct(settings: Settings) -> None:
    """Take over paths that were changed in the environment (not on the page), until a backup has run."""
    config = _default_config()
    paths = list(settings.backup_paths)
    if config is None or paths == (instance.get(_APPLIED) or {}).get("paths") or _has_point(config):
        return
    if paths != config.source["paths"]:
        _refuse_missing(settings)
        data = configs.to_input(config)
        source = data.source.model_copy(update={"paths": paths})
        configs.update(config.id, data.model_copy(update={"source": source}))
    with write() as session:
        _note(session, config, settings)


def _note(session: Session, config: Config, settings: Settings) -> None:
    instance.set_in(session, _APPLIED, {"config": config.id, "paths": list(settings.backup_paths)})


def _refuse_missing(settings: Settings) -> None:
    for path in settings.backup_paths:
        if not os.path.lexists(path):
            raise Refused(
                f"BACKUP_PATHS names {path}, which does not exist, so nothing was saved.",
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
