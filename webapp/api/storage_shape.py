"""Storages as JSON: core's flat inputs with the place in `settings` and the secrets in `credentials`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from core.errors import Invalid
from core.models import Storage
from core.storages import providers, storage_inputs
from core.storages.storage_inputs import INPUTS, StorageInput, write_size
from webapp.api.answers import Out

_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)
_OPEN = ("id", "repository_ids", "has_credentials", "quota_bytes", "used_bytes", "measured_at", "created_at",
         "unreachable_since", "unreachable_reason", "tested_at", "test_ok", "test_result")  # fmt: skip


def _fields(kind: type[StorageInput], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: (kind.model_fields[name].annotation, kind.model_fields[name]) for name in names}


def _request(kind: type[StorageInput]) -> type[BaseModel]:
    """Return what is sent for a provider: described here, checked by core."""
    title = kind.__name__.removesuffix("Input")
    own = (*kind.places, *kind.secrets)
    common = tuple(name for name in kind.model_fields if name not in own)
    more = {
        "quota": (str | int | None, Field(default=None, description='Such as "100GB".')),
        "settings": (create_model(f"{title}Settings", __config__=_STRICT, **_fields(kind, kind.places)), ...),
    }
    if kind.secrets:
        secrets = create_model(f"{title}Credentials", __config__=_STRICT, **_fields(kind, kind.secrets))
        more["credentials"] = (secrets | None, None)
    return create_model(
        f"{title}Storage", __config__=_STRICT, __doc__=kind.__doc__, **(_fields(kind, common) | more)
    )


_LOCAL, _S3, _SFTP = (_request(INPUTS[name]) for name in ("local", "s3", "sftp"))


class StorageRequest(RootModel[Annotated[_LOCAL | _S3 | _SFTP, Field(discriminator="provider")]]):  # type: ignore[valid-type]
    """What a person decides about a storage. Credentials that are left out stay as they are."""


class StorageOut(Out):
    """Where bytes go. `settings` by provider; secrets are never given: `hasCredentials` tells of them."""

    id: str
    name: str
    provider: str
    settings: dict[str, Any]
    has_credentials: bool
    repository_ids: list[str]
    quota: str
    quota_bytes: int | None
    used_bytes: int | None
    measured_at: datetime | None
    site: str
    offsite: bool
    media: str
    price_per_gb_month: float | None
    currency: str
    upload_limit: int | None
    download_limit: int | None
    limit_hours: str
    immutable_days: int | None
    unreachable_since: datetime | None
    unreachable_reason: str
    tested_at: datetime | None
    test_ok: bool
    test_result: str
    created_at: datetime


def storage(row: Storage, *, full: bool) -> StorageOut:
    """Return a storage as it is given, without its secrets; `full`: with where it is, and reasons."""
    return StorageOut.model_validate(
        {name: getattr(row, name) for name in StorageOut.model_fields if hasattr(row, name)}
        | {
            "settings": dict(row.settings) if full else {},
            "unreachable_reason": row.unreachable_reason if full else "",
            "test_result": row.test_result if full else "",
            "has_credentials": bool(row.credentials_sealed),
            "repository_ids": [each.id for each in row.repositories],
            "quota": write_size(row.quota_bytes),
        }
    )


def parse(data: Mapping[str, Any], known: Storage | None = None) -> StorageInput:
    """Return core's input; what is not named stays as `known` has it. Raises Invalid by field."""
    kind = INPUTS.get(known.provider if known is not None else str(data.get("provider", "")))
    if known is not None and data.get("provider", known.provider) != known.provider:
        raise Invalid({"provider": "A storage keeps its provider: make another storage."})
    if kind is None:
        raise Invalid({"provider": f"There are: {', '.join(INPUTS)}."})
    flat = {"provider": data.get("provider"), **_flat(kind, data)}
    stored = storage_inputs.to_form(known) if known is not None else {}
    try:
        return providers.parse({**stored, **flat}, known)
    except Invalid as error:
        raise Invalid({_path(kind, name): text for name, text in error.fields.items()}) from None


def _flat(kind: type[StorageInput], data: Mapping[str, Any]) -> dict[str, Any]:
    common = {name: value for name, value in data.items() if name not in (*_OPEN, "settings", "credentials")}
    nested = {"settings": kind.places, "credentials": kind.secrets}
    _refuse_unknown(common, set(kind.model_fields) - {*kind.places, *kind.secrets}, "")
    for name, known in nested.items():
        inner = data.get(name) or {}
        if not isinstance(inner, dict):
            raise Invalid({name: "Send an object."})
        _refuse_unknown(inner, set(known), f"{name}.")
        common |= inner
    return common


def _refuse_unknown(given: Mapping[str, Any], known: set[str], before: str) -> None:
    for name in given:
        if name not in known:
            raise Invalid({f"{before}{name}": "This field is not known."})


def _path(kind: type[StorageInput], name: str) -> str:
    if name in kind.places:
        return f"settings.{name}"
    return f"credentials.{name}" if name in kind.secrets else name
