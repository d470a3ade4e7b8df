"""Between the form of a storage and core's one schema; and the keys of a server, to be confirmed in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.errors import HoldfastError, Invalid
from core.models import Storage
from core.storages import providers
from webapp.forms import Form

MEDIA = (
    ("", "As usual for its kind"),
    ("disk", "Disk"),
    ("object", "Object storage"),
    ("offline", "Offline: tape, a disk in a drawer"),
)
PATH_STYLES = (
    ("auto", "Automatic"),
    ("yes", "In the path: host/bucket"),
    ("no", "As a host: bucket.host"),
)

_COMMON = (
    "name",
    "quota",
    "site",
    "offsite",
    "media",
    "price_per_gb_month",
    "currency",
    "upload_limit",
    "download_limit",
    "limit_hours",
    "immutable_days",
)
_OWN: dict[str, tuple[str, ...]] = {
    "local": ("path",),
    "s3": ("endpoint", "bucket", "region", "prefix", "path_style", "storage_class", "ca"),
    "sftp": ("host", "port", "user", "path"),
}


@dataclass(frozen=True, slots=True)
class Provider:
    """A kind of storage to choose, with its icon and what it is good for."""

    key: str
    label: str
    icon: str
    help: str


_CHOICES = {
    "local": ("hard-drive", "Another disk, a USB drive, a network folder that is mounted here."),
    "s3": ("cloud", "AWS, MinIO, or any service that speaks S3. Good for the copy that is elsewhere."),
    "sftp": ("server", "Any machine with SSH: a NAS, a rented server, a friend’s house."),
}
PROVIDERS = [
    Provider(key, providers.PROVIDERS[key], icon, text)
    for key, (icon, text) in _CHOICES.items()
    if key in providers.PROVIDERS
]
ICONS = {one.key: one.icon for one in PROVIDERS}


def empty(provider: str) -> Form:
    """Return the form of a new storage, filled with what is usual."""
    usual: dict[str, dict[str, Any]] = {"s3": {"path_style": "auto"}, "sftp": {"port": 22}}
    return Form({"provider": provider, **usual.get(provider, {})})


def of(storage: Storage) -> Form:
    """Return the form filled with a storage as it is; no secret is in it."""
    return Form(providers.to_form(storage))


def to_input(form: Form, known: Storage | None = None) -> providers.StorageInput:
    """Return what the form asks for, checked by core's schema; a secret left blank is that of `known`.

    Raises Invalid with a sentence by field.
    """
    return providers.parse(_sent(form), known)


def ask_host_keys(form: Form) -> list[Any]:
    """Return the keys that the server of a form shows. Raises Invalid, Unreachable."""
    host, port = form.value("host").strip(), form.value("port").strip() or "22"
    if not host:
        raise Invalid({"host": "Name the server first."})
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise Invalid({"port": "Give a number from 1 to 65535."})
    return list(providers.host_keys(host, int(port)))


def pinned_keys(form: Form) -> list[Any]:
    """Return the keys that are ticked; lines that are no key are left out: core says so when it is sent."""
    found = []
    for line in _key_lines(form):
        try:
            found.append(providers.host_key(line))
        except HoldfastError:
            continue
    return found


def _sent(form: Form) -> Mapping[str, Any]:
    provider = form.value("provider")
    names = (*_COMMON, *_OWN.get(provider, ()), *providers.SECRETS)
    data: dict[str, Any] = {name: form.value(name) for name in names if form.has(name)}
    if provider == "sftp":
        data["host_keys"] = "\n".join(_key_lines(form))
    return data | {"provider": provider, "offsite": form.value("offsite")}


def _key_lines(form: Form) -> list[str]:
    return [line for text in form.values("host_keys") for line in text.splitlines() if line.strip()]
