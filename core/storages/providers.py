"""Providers: the adapter for a storage's place, its sealed credentials, and how people and restic call it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core import secrets
from core.db import db
from core.errors import Invalid, Unreachable
from core.models import Storage
from core.storages import storage_inputs
from core.storages.live_limits import RowLimits
from core.storages.storage_inputs import PROVIDERS as PROVIDERS
from core.storages.storage_inputs import SECRETS as SECRETS
from core.storages.storage_inputs import StorageInput as StorageInput
from core.storages.storage_inputs import to_form as to_form
from ssh.errors import SshError
from ssh.host_keys import HostKey
from ssh.host_keys import parse as parse_host_key
from storage_adapters import open as opening
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError
from storage_adapters.local import LocalAdapter, create_root
from storage_adapters.patience import BoundedAdapter as BoundedAdapter
from storage_adapters.patience import Patience as Patience
from storage_adapters.retry import RetryingAdapter, RetryPolicy
from storage_adapters.throttle import Limit

if TYPE_CHECKING:
    from storage_adapters.s3 import S3Settings
    from storage_adapters.sftp import SftpSettings

# For whoever has other copies to try: one more try, not a minute of them.
QUICK = Patience(RetryPolicy(attempts=2, first_wait_s=0.2), connect_s=5, answer_s=10)
# For whoever waits at a page, where a browser, or a proxy before us, gives up sooner or later.
A_GLANCE = Patience(RetryPolicy(attempts=1), in_all_s=5)  # at a folder: a sleeping disk wakes up in that time
AT_A_PAGE = Patience(RetryPolicy(attempts=2, first_wait_s=0.2), connect_s=4, answer_s=6, in_all_s=12)
_AWS = "https://s3.amazonaws.com"

_ADVICE: Mapping[str, str] = {
    "local": "Check that its disk is connected and mounted there, then try again.",
    "s3": "Check its endpoint, bucket and keys, and that this machine reaches it; then test the storage.",
    "sftp": "Check that the server runs, that the login still holds and the folder is there; then test the "
    "storage.",
}


@dataclass(frozen=True, slots=True)
class Place:
    """All that is needed to reach a storage. The limits are asked before each object, and while one waits."""

    provider: str
    settings: Mapping[str, Any]
    credentials: Mapping[str, str] = field(repr=False)
    upload: Limit | None = field(default=None, repr=False)
    download: Limit | None = field(default=None, repr=False)


def parse(data: Mapping[str, Any], known: Storage | None = None) -> StorageInput:
    """Return the input that flat form fields describe; with `known`, blank credentials are those it has.

    Raises Invalid by field, and secrets.SealBroken.
    """
    if known is not None:
        data = {**data, "provider": known.provider}
    found = storage_inputs.parse(data, credentials_of(known) if known is not None else None)
    for line in found.settings.get("host_keys", ()):
        host_key(line)
    return found


def place_of(given: Storage | StorageInput) -> Place:
    """Return where a storage is and how to get in. Raises secrets.SealBroken."""
    if isinstance(given, StorageInput):  # a look before it is saved: a few small objects
        return Place(given.provider, given.settings, given.credentials)
    limits = RowLimits(db.engine, given)
    return Place(
        given.provider, given.settings, credentials_of(given), limits.upload, limits.download
    )  # fmt: skip


def credentials_of(storage: Storage) -> dict[str, str]:
    """Return the secrets of a storage, by field. Raises secrets.SealBroken."""
    if not storage.credentials_sealed:
        return {}
    text = secrets.unseal(
        storage.credentials_sealed, table="storages", row=storage.id, column="credentials_sealed"
    )
    found: dict[str, str] = json.loads(text)
    return found


def seal_credentials(storage_id: str, credentials: Mapping[str, str]) -> str:
    """Return the secrets sealed for the row of a storage; "" if there are none."""
    if not credentials:
        return ""
    text = json.dumps(dict(credentials))
    return secrets.seal(text, table="storages", row=storage_id, column="credentials_sealed")


def stored_secrets(storage: Storage) -> list[str]:
    """Return which secret fields are stored. Raises secrets.SealBroken."""
    return sorted(credentials_of(storage))


def make_adapter(place: Place, patience: Patience | None = None) -> StorageAdapter:
    """Return an adapter, with retries and within the limits. Sends nothing yet. Raises StorageError."""
    adapter = _make_adapter(place, patience)
    if patience is None or patience.in_all_s is None:
        return adapter
    return BoundedAdapter(adapter, patience.in_all_s, f"{place.provider}:{place.settings}")


def _make_adapter(place: Place, patience: Patience | None) -> StorageAdapter:
    if place.provider == "local":
        return RetryingAdapter(LocalAdapter(place.settings["path"]), patience.retries if patience else None)
    patience = patience or Patience(opening.NETWORK_RETRIES)
    inner: StorageAdapter
    if place.provider == "s3":
        from storage_adapters.s3 import S3Adapter

        inner = S3Adapter(_s3_settings(place), connect_s=patience.connect_s, answer_s=patience.answer_s)
    else:
        from storage_adapters.sftp import SftpAdapter, time_limits

        limits = time_limits(patience.connect_s, patience.answer_s)
        inner = SftpAdapter(_sftp_settings(place), limits=limits)
    return opening.over_network(inner, place.upload, place.download, patience.retries)


def make_root(place: Place) -> None:
    """Make the root folder where the provider has folders. Raises StorageError."""
    if place.provider == "local":
        create_root(place.settings["path"])
    elif place.provider == "sftp":
        from storage_adapters import sftp

        sftp.create_root(_sftp_settings(place))


def host_keys(host: str, port: int = 22) -> list[HostKey]:
    """Return the keys that an SFTP server shows, for a person to confirm. Raises Invalid, Unreachable."""
    from storage_adapters import sftp

    host = host.strip()
    if not host:
        raise Invalid({"host": "This is needed."})
    try:
        return sftp.host_keys(host, port, sftp.time_limits(AT_A_PAGE.connect_s, AT_A_PAGE.answer_s))
    except StorageError as error:
        raise Unreachable(
            f"{host}, port {port}, does not answer as an SSH server: {error}".rstrip(".") + ".",
            "Check the address and the port, and that a firewall lets this machine through.",
        ) from error


def host_key(line: str) -> HostKey:
    """Return the key in a "type base64" line. Raises Invalid (`host_keys`)."""
    try:
        return parse_host_key(line)
    except SshError as error:
        raise Invalid({"host_keys": f"{line[:60]!r} is not a host key: {error}."}) from error


def where(given: Storage | StorageInput) -> str:
    """Say where a storage is, as people call it; no secrets."""
    settings = given.settings
    if given.provider == "local":
        return str(settings["path"])
    if given.provider == "s3":
        return f"s3:{_endpoint(settings)}/{settings['bucket']}/{settings['prefix']}".rstrip("/")
    port = "" if settings["port"] == 22 else f":{settings['port']}"
    return f"sftp:{settings['user']}@{settings['host']}{port}:{settings['path']}"


def restic_place(given: Storage | StorageInput, prefix: str = "repository/") -> str:
    """Return what `restic -r` takes for a repository under `prefix`."""
    settings, below = given.settings, prefix.rstrip("/")
    if given.provider != "sftp":
        return f"{where(given)}/{below}".rstrip("/")
    host = f"[{settings['host']}]" if ":" in settings["host"] else settings["host"]
    path = f"{settings['path'].rstrip('/')}/{below}".rstrip("/")
    return f"sftp://{settings['user']}@{host}:{settings['port']}/{path}"


def advice(provider: str) -> str:
    """Say what to do when a storage of this provider cannot be reached."""
    return _ADVICE[provider]


def endpoint_of(given: Storage | StorageInput) -> str:
    """Return the address of an S3 server, with its scheme."""
    return _endpoint(given.settings)


def _endpoint(settings: Mapping[str, Any]) -> str:
    endpoint = settings["endpoint"] or _AWS
    return endpoint if "://" in endpoint else f"https://{endpoint}"


def _s3_settings(place: Place) -> S3Settings:
    from storage_adapters.s3 import S3Settings

    settings, credentials = place.settings, place.credentials
    return S3Settings(
        endpoint=_endpoint(settings), bucket=settings["bucket"], prefix=settings["prefix"],
        region=settings["region"], storage_class=settings["storage_class"], ca_pem=settings["ca"],
        path_style={"auto": None, "yes": True, "no": False}[settings["path_style"]],
        access_key=credentials["access_key"], secret_key=credentials["secret_key"],
        session_token=credentials.get("session_token", ""),
    )  # fmt: skip


def _sftp_settings(place: Place) -> SftpSettings:
    from storage_adapters.sftp import SftpSettings

    settings, credentials = place.settings, place.credentials
    return SftpSettings(
        host=settings["host"], user=settings["user"], path=settings["path"], port=settings["port"],
        known_host_keys=tuple(settings["host_keys"]), password=credentials.get("password"),
        private_key=credentials.get("private_key"), passphrase=credentials.get("passphrase"),
    )  # fmt: skip
