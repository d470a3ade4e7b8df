"""Where a repository is, as the command line names it: a folder, s3:…, sftp:…, with restic's options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import unquote, urlsplit

from repository.errors import NoRepository
from storage_adapters import local
from storage_adapters.base import StorageAdapter
from storage_adapters.open import open_local, open_s3, open_sftp

if TYPE_CHECKING:
    from storage_adapters.s3 import S3Settings
    from storage_adapters.sftp import SftpSettings

_OTHERS = ("gs", "azure", "b2", "rest", "rclone", "swift")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+\Z")
_HIDDEN_LOGIN = re.compile(r"[^/]*@[^/:]+:")  # the rest of user:password@host:path, cut at its first colon
_LOOKUPS = {"auto": None, "path": True, "dns": False}
_OPTIONS = ("s3.bucket-lookup", "s3.region", "s3.storage-class")

_NO_KEYS = (
    "give the keys for S3 in the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; profiles, credential "
    "files and roles of a machine are not read"
)
_IN_PLACE = (
    "write no password and no keys into the place, where everybody on this machine sees them in the list of "
    "processes: {instead}"
)


class BadPlace(Exception):
    """A place, or an option about it, cannot be understood; says what to write. Shows no secret."""


class Place(Protocol):
    """Somewhere a repository can be."""

    @property
    def shown(self) -> str:
        """How to call it to people; no secret is in it."""

    def create(self) -> None:
        """Make what is missing of it, for `init` only. Raises a StorageError."""

    def open(self) -> StorageAdapter:
        """Return its storage. Raises NoRepository or a StorageError where it cannot be there."""


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A folder of this machine."""

    shown: str
    path: str

    def create(self) -> None:
        """See Place."""
        local.create_root(self.path)

    def open(self) -> StorageAdapter:
        """See Place."""
        if not os.path.isdir(self.path):
            raise NoRepository(f"there is no folder {self.path}, so no repository. Is its disk mounted?")
        return open_local(self.path)


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket, or a part of one."""

    shown: str
    settings: S3Settings

    def create(self) -> None:
        """See Place."""
        from storage_adapters.s3 import S3Adapter

        adapter = S3Adapter(self.settings)
        adapter.make_bucket()
        adapter.close()

    def open(self) -> StorageAdapter:
        """See Place."""
        return open_s3(self.settings)


@dataclass(frozen=True, slots=True)
class SftpPlace:
    """A folder of an SFTP server."""

    shown: str
    settings: SftpSettings

    def create(self) -> None:
        """See Place."""
        from storage_adapters import sftp

        sftp.create_root(self.settings)

    def open(self) -> StorageAdapter:
        """See Place."""
        return open_sftp(self.settings)


def parse_place(
    text: str, environ: Mapping[str, str], options: Sequence[str] = (), ca_file: str | None = None
) -> Place:
    """Return what `text` means, in restic's ways to write it. `options` are of `-o`. Raises BadPlace."""
    wanted = _parse_options(options)
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "s3":
        return S3Place(_s3_shown(rest), _parse_s3(rest, environ, wanted, ca_file or ""))
    if colon and scheme == "sftp":
        settings = _parse_sftp(rest)
        return SftpPlace(f"sftp:{settings.user}@{settings.host}:{settings.path}", settings)
    if colon and scheme == "local":
        return LocalPlace(rest, rest)
    if colon and scheme in _OTHERS:
        raise BadPlace(f"repositories at {scheme}: are not served: name a folder, s3:… or sftp:…")
    if colon and rest.startswith("//") and _SCHEME.match(scheme):
        raise BadPlace(f"{scheme}: is no kind of storage: name a folder, s3:… or sftp:…")
    path = os.path.expanduser(text)
    return LocalPlace(path, path)


def _parse_options(options: Sequence[str]) -> dict[str, str]:
    """Return name -> value of `-o NAME=VALUE`."""
    wanted = {}
    for option in options:
        name, _, value = option.partition("=")
        if name == "sftp.command":
            raise BadPlace(
                "-o sftp.command is not served: this program speaks SFTP itself; see ~/.ssh/config"
            )
        if name not in _OPTIONS:
            raise BadPlace(f"-o {name} is not known here; known are {', '.join(_OPTIONS)}")
        wanted[name] = value
    lookup = wanted.get("s3.bucket-lookup", "auto")
    if lookup not in _LOOKUPS:
        raise BadPlace(f"-o s3.bucket-lookup is one of {', '.join(_LOOKUPS)}, not {lookup!r}")
    return wanted


def _s3_parts(rest: str) -> tuple[str, str, str]:
    """Return endpoint, bucket and prefix of what follows `s3:`, as restic reads it."""
    scheme, address = "https", rest.removeprefix("//")
    if rest.startswith(("http://", "https://")):
        scheme, _, address = rest.partition("://")
    host, _, path = address.partition("/")
    bucket, _, prefix = path.strip("/").partition("/")
    return f"{scheme}://{host}", bucket, prefix


def _s3_shown(rest: str) -> str:
    endpoint, bucket, prefix = _s3_parts(rest)
    return f"s3:{endpoint}/{bucket}/{prefix}".rstrip("/")


def _parse_s3(rest: str, environ: Mapping[str, str], wanted: Mapping[str, str], ca_file: str) -> S3Settings:
    from storage_adapters.s3 import S3Settings

    endpoint, bucket, prefix = _s3_parts(rest)
    if "@" in endpoint:
        raise BadPlace(
            _IN_PLACE.format(instead="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment")
        )
    if not bucket or not urlsplit(endpoint).hostname:
        raise BadPlace("name server and bucket, as s3:https://server/bucket/prefix")
    access, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    if not access or not secret:
        raise BadPlace(_NO_KEYS)
    region = wanted.get("s3.region") or environ.get("AWS_DEFAULT_REGION") or environ.get("AWS_REGION", "")
    return S3Settings(
        endpoint=endpoint,
        bucket=bucket,
        access_key=access,
        secret_key=secret,
        prefix=prefix,
        region=region,
        path_style=_LOOKUPS[wanted.get("s3.bucket-lookup", "auto")],
        ca_file=ca_file,
        storage_class=wanted.get("s3.storage-class", ""),
        session_token=environ.get("AWS_SESSION_TOKEN", ""),
    )


def _parse_sftp(rest: str) -> SftpSettings:
    from storage_adapters.sftp import settings_like_ssh

    if rest.startswith("//"):
        user, host, port, path = _sftp_url(rest)
    else:
        login, colon, path = rest.partition(":")
        user, _, host = login.rpartition("@")
        port = None
        if not colon:
            raise BadPlace("name server and folder, as sftp:user@host:/path or sftp://user@host:port//path")
    if ":" in user or _HIDDEN_LOGIN.match(path):
        raise BadPlace(_IN_PLACE.format(instead="use a key, by ssh-agent or ~/.ssh/config"))
    if not host:
        raise BadPlace("name the server, as sftp:user@host:/path or sftp://user@host:port//path")
    if path.startswith("~"):
        raise BadPlace("leave out ~: a path that does not begin with / is below the home folder there")
    return settings_like_ssh(host, user or None, port, path or ".")


def _sftp_url(rest: str) -> tuple[str, str, int | None, str]:
    """Return user, host, port and path of `//user@host:port//path`; after one `/` it is below the home."""
    try:
        parts = urlsplit("sftp:" + rest)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadPlace("the port in sftp://user@host:port//path must be a number up to 65535") from error
    login = parts.netloc.rpartition("@")[0]
    return unquote(login), host, port, unquote(parts.path).removeprefix("/")
