"""The storage that the short shape of a config names: found among those there are, or made."""

from __future__ import annotations

import os
from typing import Any

from core import app_state
from core.configs.configs import ConfigInput
from core.configs.source_files import TreeSource
from core.db import write
from core.errors import Invalid
from core.models import RepositoryRecord, Storage
from core.settings import PROJECT_DIR
from core.storages import storage_inputs, storage_setup, storages
from core.storages.storage_inputs import StorageInput, parse_size, write_size
from webapp.api.config_shape import ShortPlace, ShortStorage


def find_or_make(short: ShortStorage, data: ConfigInput) -> RepositoryRecord:
    """Return the repository of the storage that is named. Raises Invalid by field, and as making one does."""
    found = _find(short)
    if found is None:
        given = _input(short)
        _refuse_source_below(given, data)
        found = _make(given)
    elif short.config.max_size is not None:
        _take_quota(found, _quota(short.config))
    return found.repositories[0]


def _make(given: StorageInput) -> Storage:
    try:
        return storage_setup.create(given)
    except Invalid as error:
        raise Invalid({_field(name): text for name, text in error.fields.items()}) from None


def _find(short: ShortStorage) -> Storage | None:
    every = storages.list_all()
    if short.id is not None:
        chosen = next((each for each in every if each.id == short.id), None)
        if chosen is None:
            raise Invalid({"storage.id": f"There is no storage {short.id!r}."})
        return chosen
    if short.provider not in storage_inputs.PROVIDERS:
        known = ", ".join(storage_inputs.PROVIDERS)
        raise Invalid({"storage.provider": f"This version knows {known}, not {short.provider}."})
    fitting = (each for each in every if each.provider == short.provider and _is_at(each, short.config))
    return next(fitting, None)


def _is_at(storage: Storage, place: ShortPlace) -> bool:
    """Tell whether a storage is at the place; what is not said fits any."""
    settings = storage.settings
    if storage.provider == "local":
        return not place.path or os.path.realpath(settings["path"]) == os.path.realpath(_absolute(place.path))
    if storage.provider == "s3":
        return bool(place.bucket) and _fits(settings, {
            "bucket": place.bucket, "region": place.region, "prefix": _folder(place.prefix),
            "endpoint": place.endpoint and place.endpoint.rstrip("/"),
        })  # fmt: skip
    return bool(place.host) and _fits(
        settings, {"host": place.host, "port": place.port, "user": place.user, "path": place.path}
    )


def _fits(settings: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(settings.get(name) == value for name, value in wanted.items() if value is not None)


def _folder(prefix: str | None) -> str | None:
    return None if prefix is None else (f"{prefix.strip('/')}/" if prefix.strip("/") else "")


def _absolute(path: str) -> str:
    """Return a path as the environment's are taken: relative ones from the project's folder."""
    return os.path.normpath(os.path.join(PROJECT_DIR, path))


def _input(short: ShortStorage) -> StorageInput:
    place = short.config
    data: dict[str, Any] = {
        "provider": short.provider,
        "name": short.name or _name(short),
        "quota": _quota(place),
    }
    if short.provider == "local":
        data["path"] = _absolute(place.path) if place.path else ""
    elif short.provider == "s3":
        data |= _bucket(place)
    else:
        raise Invalid({"storage.provider": "Make this storage first: its server's key has to be confirmed."})
    try:
        return storage_inputs.parse(data)
    except Invalid as error:
        raise Invalid({_field(name): text for name, text in error.fields.items()}) from None


def _bucket(place: ShortPlace) -> dict[str, Any]:
    """Return the fields of a bucket; keys, region and endpoint that are not sent are the environment's."""
    env = app_state.settings()
    return {
        "bucket": place.bucket or "", "prefix": place.prefix or "",
        "region": place.region or env.aws_region,
        "endpoint": place.endpoint if place.endpoint is not None else env.s3_endpoint,
        "access_key": place.access_key or env.aws_access_key or "",
        "secret_key": place.secret_key or env.aws_secret_key or "",
    }  # fmt: skip


def _name(short: ShortStorage) -> str:
    """Return a name that no storage has."""
    place = short.config
    wanted = (place.bucket or os.path.basename(_absolute(place.path or "")) or short.provider)[:80]
    taken = {each.name for each in storages.list_all()}
    names = (wanted if number == 1 else f"{wanted} {number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _field(name: str) -> str:
    if name in ("name", "provider"):
        return f"storage.{name}"
    return f"storage.config.{'max_size' if name == 'quota' else name}"


def _quota(place: ShortPlace) -> int | None:
    if place.max_size is None:
        return None
    try:
        return parse_size(place.max_size) if isinstance(place.max_size, str) else _positive(place.max_size)
    except ValueError as error:
        raise Invalid({"storage.config.max_size": f"{str(error)[0].upper()}{str(error)[1:]}."}) from error


def _positive(size: int) -> int:
    if size < 1:
        raise ValueError("the size must be more than nothing, such as 100GB")
    return size


def _take_quota(storage: Storage, quota: int | None) -> None:
    """Give a storage that has no quota this one; refuse to change one, which other configs share."""
    if quota == storage.quota_bytes or quota is None:
        return
    if storage.quota_bytes is not None:
        now = write_size(storage.quota_bytes)
        text = (
            f"{storage.name} has a quota of {now}, which other configs may share. Change the storage itself."
        )
        raise Invalid({"storage.config.max_size": text})
    with write() as session:
        session.get_one(Storage, storage.id).quota_bytes = quota


def _refuse_source_below(given: StorageInput, data: ConfigInput) -> None:
    """Refuse a new folder for backups that the config would back up, or that holds what it backs up."""
    if given.provider != "local" or not isinstance(data.source, TreeSource):
        return
    root = os.path.realpath(given.settings["path"])
    for path in data.source.paths:
        if (os.path.realpath(path) + "/").startswith(root + "/"):
            text = f"{path} lies in it, and a storage is never backed up. Choose another folder."
            raise Invalid({"storage.config.path": text})
