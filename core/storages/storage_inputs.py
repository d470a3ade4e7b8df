"""What a person says about a storage, by provider: one schema for forms, commands and the environment.

Secrets are fields of the input and never part of `Storage.settings`, of a message or of a repr.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from core.errors import Invalid
from core.form_values import split_lines
from core.models import Storage
from core.retention.retention_rules import blank_is_none
from core.storages.limit_hours import parse as parse_hours

LONGEST_NAME = 100
PROVIDERS: Mapping[str, str] = {
    "local": "Disk of this machine",
    "s3": "S3 or MinIO",
    "sftp": "SFTP server",
}
Media = Literal["disk", "object", "offline"]

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)(i?)b\Z", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]\Z")
_PREFIX = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*\Z")
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?\Z")


def parse_size(text: str) -> int:
    """Return the bytes in "100GB" (10^9 each) or "1.5 GiB". Raises ValueError that says what to write."""
    found = _SIZE.match(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no size; write it as 100GB or 1.5 TiB")
    size = int(float(found[1]) * (1024 if found[3] else 1000) ** _POWERS[found[2].lower()])
    if size < 1:
        raise ValueError("the size must be more than nothing, such as 100GB")
    return size


def write_size(size_bytes: int | None) -> str:
    """Return a text that parse_size reads as the same."""
    if not size_bytes:
        return ""
    for base, infix in ((1000, ""), (1024, "i")):
        for unit, power in reversed(_POWERS.items()):
            if power and size_bytes % base**power == 0:
                return f"{size_bytes // base**power}{unit.upper()}{infix}B"
    return f"{size_bytes}B"


def _to_size(value: object) -> object:
    value = blank_is_none(value)
    return parse_size(value.removesuffix("/s")) if isinstance(value, str) else value


def _visible(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name has only visible characters, on one line")
    return name


def _check_endpoint(text: str) -> str:
    text = text.rstrip("/")
    if not text:
        return ""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    host = parts.hostname or ""
    is_host = ":" in host or _HOST.match(host) is not None
    if parts.scheme not in ("http", "https") or not is_host or parts.path or parts.query:
        raise ValueError("an endpoint is https://host, http://host:port, or empty for AWS")
    if parts.username or parts.password:
        raise ValueError("keys have fields of their own; an endpoint holds none")
    return text


def _check_bucket(text: str) -> str:
    if not _BUCKET.match(text):
        raise ValueError("a bucket's name has 3 to 63 letters, digits, dots and dashes")
    return text


def _check_prefix(text: str) -> str:
    text = text.strip("/")
    if text and (not _PREFIX.match(text) or {".", ".."} & set(text.split("/"))):
        raise ValueError("a prefix has letters, digits, dots, dashes and slashes, such as backups/office")
    return f"{text}/" if text else ""


def _check_host(text: str) -> str:
    if not _HOST.match(text):
        raise ValueError("a host is a name or an address, such as backup.example.org")
    return text


def _check_remote_path(text: str) -> str:
    if not text.isprintable():
        raise ValueError("the path holds a character that cannot be shown")
    return text.rstrip("/") or "/"


def _pem(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    return f"{text}\n" if text else ""


Size = Annotated[int | None, BeforeValidator(_to_size)]
Price = Annotated[Annotated[float, Field(ge=0, le=1000)] | None, BeforeValidator(blank_is_none)]
Days = Annotated[Annotated[int, Field(ge=1, le=36_500)] | None, BeforeValidator(blank_is_none)]
Secret = Annotated[str, Field(repr=False)]
PemSecret = Annotated[str, AfterValidator(_pem), Field(repr=False)]


class StorageInput(BaseModel):
    """What every storage has. `quota` in bytes, limits in bytes a second; `media` None: as is usual.

    `limit_hours`: when the limits hold, as core.storages.limit_hours reads it; "" for always.
    """

    # No input in errors: it may be a secret.
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)
    secrets: ClassVar[tuple[str, ...]] = ()
    needed: ClassVar[tuple[str, ...]] = ()  # of the secrets
    places: ClassVar[tuple[str, ...]] = ()  # the fields that become Storage.settings
    usual_media: ClassVar[Media] = "disk"

    provider: str
    name: Annotated[str, AfterValidator(_visible)] = Field(min_length=1, max_length=LONGEST_NAME)
    quota: Size = None
    site: Annotated[str, AfterValidator(_visible)] = Field(default="", max_length=LONGEST_NAME)
    offsite: Annotated[bool, BeforeValidator(lambda value: value or False)] = False
    media: Annotated[Media | None, BeforeValidator(blank_is_none)] = None
    price_per_gb_month: Price = None
    currency: str = Field(default="", pattern=r"^([A-Za-z]{3})?$")
    upload_limit: Size = None
    download_limit: Size = None
    limit_hours: Annotated[str, AfterValidator(parse_hours)] = ""
    immutable_days: Days = None

    @property
    def settings(self) -> dict[str, Any]:
        """What is stored openly about the place."""
        return self.model_dump(include=set(self.places))

    @property
    def credentials(self) -> dict[str, str]:
        """The secrets that are given; to be sealed."""
        return {name: value for name in self.secrets if (value := getattr(self, name))}


class LocalInput(StorageInput):
    """A folder of this machine; whether it may be used is looked at when it is set up."""

    places = ("path",)

    provider: Literal["local"] = "local"
    path: str = Field(min_length=1)


class S3Input(StorageInput):
    """A bucket, or a part of one. `endpoint` "": AWS. `ca`: PEM text of the authorities to trust."""

    secrets = ("access_key", "secret_key", "session_token")
    needed = ("access_key", "secret_key")
    places = ("endpoint", "bucket", "region", "prefix", "path_style", "storage_class", "ca")
    usual_media = "object"

    provider: Literal["s3"] = "s3"
    endpoint: Annotated[str, AfterValidator(_check_endpoint)] = ""
    bucket: Annotated[str, AfterValidator(_check_bucket)]
    region: str = Field(default="", pattern=r"^[A-Za-z0-9-]*$")
    prefix: Annotated[str, AfterValidator(_check_prefix)] = ""
    path_style: Annotated[Literal["auto", "yes", "no"], BeforeValidator(lambda value: value or "auto")] = (
        "auto"
    )
    storage_class: str = Field(default="", pattern=r"^[A-Z0-9_]*$")
    ca: Annotated[str, AfterValidator(_pem)] = ""
    access_key: Secret = ""
    secret_key: Secret = ""
    session_token: Secret = ""


class SftpInput(StorageInput):
    """A folder of an SFTP server. `host_keys`: "type base64" lines, as a person has confirmed them."""

    secrets = ("password", "private_key", "passphrase")
    places = ("host", "port", "user", "path", "host_keys")

    provider: Literal["sftp"] = "sftp"
    host: Annotated[str, AfterValidator(_check_host)]
    port: Annotated[int, BeforeValidator(lambda value: value or 22)] = Field(default=22, ge=1, le=65_535)
    user: Annotated[str, AfterValidator(_visible)] = Field(min_length=1)
    path: Annotated[str, AfterValidator(_check_remote_path)] = Field(min_length=1)
    host_keys: Annotated[list[str], BeforeValidator(split_lines)] = []
    password: Secret = ""
    private_key: PemSecret = ""
    passphrase: Secret = ""


INPUTS: Mapping[str, type[StorageInput]] = {"local": LocalInput, "s3": S3Input, "sftp": SftpInput}
SECRETS = tuple(name for kind in INPUTS.values() for name in kind.secrets)


def parse(data: Mapping[str, Any], known: Mapping[str, str] | None = None) -> StorageInput:
    """Return the input that flat `data` describes. Raises Invalid with a sentence by field.

    `known` are the secrets stored already: a blank one keeps what is stored.
    """
    kind = INPUTS.get(str(data.get("provider", "")))
    if kind is None:
        raise Invalid({"provider": f"Choose where it is: {', '.join(PROVIDERS.values())}."})
    given = {name: value for name, value in data.items() if name in kind.model_fields}
    for name in kind.secrets:
        given[name] = given.get(name) or (known or {}).get(name, "")
    problem: ValidationError | None = None
    try:
        found = kind.model_validate(given)
    except ValidationError as error:
        problem = error
    if problem is not None:  # not from inside the handler: nothing of the input may hang on the error
        raise Invalid(_sentences(problem))
    _require_secrets(found)
    return found


def to_form(storage: Storage) -> dict[str, Any]:
    """Return the fields of a storage as a form shows them; no secrets."""
    settings = dict(storage.settings)
    if "host_keys" in settings:
        settings["host_keys"] = "\n".join(settings["host_keys"])
    price = storage.price_per_gb_month
    return settings | {
        "name": storage.name, "provider": storage.provider, "quota": write_size(storage.quota_bytes),
        "site": storage.site, "offsite": storage.offsite, "media": storage.media,
        "price_per_gb_month": "" if price is None else f"{price:g}", "currency": storage.currency,
        "upload_limit": write_size(storage.upload_limit),
        "download_limit": write_size(storage.download_limit),
        "limit_hours": storage.limit_hours, "immutable_days": storage.immutable_days or "",
    }  # fmt: skip


def fill(storage: Storage, data: StorageInput) -> None:
    """Write what an input says to a row: all but the credentials, which providers.py seals."""
    storage.name, storage.provider, storage.settings = data.name, data.provider, data.settings
    storage.quota_bytes, storage.site, storage.offsite = data.quota, data.site, data.offsite
    storage.media = data.media or data.usual_media
    storage.price_per_gb_month, storage.currency = data.price_per_gb_month, data.currency.upper()
    storage.upload_limit, storage.download_limit = data.upload_limit, data.download_limit
    storage.limit_hours, storage.immutable_days = data.limit_hours, data.immutable_days


def _require_secrets(found: StorageInput) -> None:
    fields = {name: "This is needed." for name in found.needed if not getattr(found, name)}
    if isinstance(found, SftpInput) and not (found.password or found.private_key):
        fields["password"] = "Give a password, or a private key."  # noqa: S105  (a sentence)
    if fields:
        raise Invalid(fields)


def _sentences(error: ValidationError) -> dict[str, str]:
    fields: dict[str, str] = {}
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else "name"
        fields.setdefault(name, _sentence(problem["msg"], problem["type"]))
    return fields


def _sentence(message: str, kind: str) -> str:
    if kind in ("missing", "string_too_short"):
        return "This is needed."
    if kind == "string_pattern_mismatch":
        return "This has characters that cannot stand here."
    text = message.removeprefix("Value error, ").removeprefix("Input ").strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}."
