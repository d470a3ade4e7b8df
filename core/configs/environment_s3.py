"""The second storage as the environment gives it: BACKUP_S3_BUCKET and the AWS variables, at first start."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from core import instance
from core.configs.destinations import SECOND_STORAGE
from core.db import db, write
from core.errors import HoldfastError, Invalid, Refused
from core.models import Storage
from core.settings import Settings
from core.storages import providers, storage_setup
from core.storages.storage_inputs import StorageInput

_VARIABLES = {
    "bucket": "BACKUP_S3_BUCKET",
    "endpoint": "BACKUP_S3_ENDPOINT",
    "prefix": "BACKUP_S3_PREFIX",
    "region": "AWS_REGION",
    "access_key": "AWS_ACCESS_KEY_ID",
    "secret_key": "AWS_SECRET_ACCESS_KEY",
}


def check(settings: Settings) -> None:
    """Raise Refused, naming the variable, for values that cannot become a storage. Sends nothing."""
    if settings.s3_bucket and made() is None:
        _input(settings)


def apply(settings: Settings) -> None:
    """Set the storage up, unless that was done before. Raises Refused where that is not possible."""
    if not settings.s3_bucket or made() is not None:
        return
    data = _input(settings)
    storage = _at(providers.where(data))
    if storage is None:
        try:
            storage = storage_setup.create(data)
        except HoldfastError as error:
            raise Refused(
                f"BACKUP_S3_BUCKET cannot become the second storage. {error.message}",
                error.advice or "Correct the variables and start again.",
            ) from error
    storage_id = storage.id
    with write() as session:
        instance.set_in(session, SECOND_STORAGE, storage_id)


def made() -> Storage | None:
    """Return the storage that was made of the environment, if it is still there."""
    found = instance.get(SECOND_STORAGE)
    return db.session.get(Storage, found) if found else None


def differences(settings: Settings) -> list[str]:
    """Return a sentence if the variables name another place than the storage that was made of them."""
    storage = made()
    if not settings.s3_bucket or storage is None:
        return []
    try:
        given = providers.where(_input(settings, keys_needed=False))
    except Refused as error:
        return [f"{error.message} The storage {storage.name} was made of it earlier, and counts."]
    if given == providers.where(storage):
        return []
    return [
        f"BACKUP_S3_BUCKET and its kin differ from the storage {storage.name}, which is at "
        f"{providers.where(storage)}; the storage counts. Change it on its page."
    ]


def _input(settings: Settings, *, keys_needed: bool = True) -> StorageInput:
    unknown = "" if keys_needed else "unknown"
    given: dict[str, Any] = {
        "provider": "s3",
        "name": f"S3 {settings.s3_bucket}",
        "bucket": settings.s3_bucket,
        "endpoint": settings.s3_endpoint,
        "prefix": settings.s3_prefix,
        "region": settings.aws_region,
        "access_key": settings.aws_access_key or unknown,
        "secret_key": settings.aws_secret_key or unknown,
        "session_token": settings.aws_session_token or "",
        "offsite": True,
    }
    try:
        return providers.parse(given)
    except Invalid as error:
        field, sentence = next(iter(error.fields.items()))
        name = _VARIABLES.get(field, "BACKUP_S3_BUCKET")
        raise Refused(f"{name} cannot be used: {sentence}", "Correct it and start again.") from error


def _at(place: str) -> Storage | None:
    """Return the storage at a place: one that was made, and killed before that was noted."""
    found = db.session.scalars(select(Storage).where(Storage.provider == "s3"))
    return next((storage for storage in found if providers.where(storage) == place), None)
