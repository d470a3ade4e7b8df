"""Objects in a bucket of AWS, MinIO, or any other server that speaks S3."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit
from xml.etree.ElementTree import ParseError

from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError
from minio.helpers import check_bucket_name
from urllib3.exceptions import HTTPError

from storage_adapters.base import ObjectInfo, is_valid_key, validate_key, validate_prefix
from storage_adapters.errors import (
    InvalidSettings,
    NoBucket,
    ObjectNotFound,
    ObjectTruncated,
    StorageError,
    TransientStorageError,
)
from storage_adapters.s3_errors import Answer, explain, explain_connection, read_body, region_in
from storage_adapters.s3_http import make_pool

T = TypeVar("T")

MAX_OBJECT_BYTES = 5 * 1024**3  # what one request may carry

_DEFAULT_REGION = "us-east-1"
_AWS_HOST = re.compile(r"\.amazonaws\.com(\.cn)?\Z")
_COLD_CLASSES = ("GLACIER", "DEEP_ARCHIVE")


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where a bucket is and who may use it.

    `endpoint`: http://host:port or https://host; without a scheme, https. `prefix`: put before all keys, such
    as `backups/`. `region` "": us-east-1, or for AWS what the bucket says. `path_style` None: the bucket goes
    into the host name at AWS, into the path elsewhere. `ca_file` or `ca_pem`: the authorities to trust in
    place of the known ones. `storage_class` "": the bucket's.
    """

    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    prefix: str = ""
    region: str = ""
    path_style: bool | None = None
    ca_file: str = ""
    ca_pem: str = field(default="", repr=False)
    storage_class: str = ""
    session_token: str = field(default="", repr=False)


class S3Adapter:
    """A StorageAdapter in a bucket that exists. A bucket that is missing is StorageUnavailable.

    The constructor sends nothing; it raises InvalidSettings. `connect_s`, `answer_s`: how long a server is
    waited for, if not as long as usual.
    """

    parallel_calls = 5  # as restic's: enough to fill a line while others compute

    def __init__(
        self, settings: S3Settings, *, connect_s: float | None = None, answer_s: float | None = None
    ) -> None:
        self.settings = settings
        self._bucket = settings.bucket
        self._prefix = _checked_prefix(settings.prefix)
        self._place = f"the bucket {settings.bucket} at {_url(settings.endpoint)}"
        self._headers = _headers(settings.storage_class)
        secure = _url(settings.endpoint).startswith("https:")
        self._pool = make_pool(
            secure=secure, ca_file=settings.ca_file, ca_pem=settings.ca_pem,
            connect_s=connect_s, answer_s=answer_s,
        )  # fmt: skip
        self._client = _make_client(settings, self._pool)

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter: one request with the content's MD5, at most 5 GiB. Makes no copy of it."""
        name = self._name(key)
        body = memoryview(data).cast("B")
        if len(body) > MAX_OBJECT_BYTES:
            raise StorageError(f"{key} has {len(body)} bytes; one object in S3 can have {MAX_OBJECT_BYTES}")
        digest = hashlib.md5(body, usedforsecurity=False).digest()
        headers = {**self._headers, "Content-MD5": b64encode(digest).decode()}
        # Not put_object, which sends no MD5 without TLS: not every server checks the signed SHA-256 instead.
        self._call(lambda: self._client._put_object(self._bucket, name, body, headers), key)

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter: one request with a range."""
        name = self._name(key)
        if length == 0:
            return self._get_nothing(key, offset)
        return self._call(lambda: self._fetch(name, key, offset, length), key)

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        name = self._name(key)
        try:
            found = self._call(lambda: self._client.stat_object(self._bucket, name), key)
        except StorageError:
            self._look()  # an answer without a body does not tell a missing bucket or a wrong key apart
            raise
        return ObjectInfo(key, found.size or 0)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter; asked in pages of 1000."""
        pages = self._client.list_objects(
            self._bucket, self._prefix + validate_prefix(prefix), recursive=True, fetch_owner=False
        )
        while (found := self._call(lambda: next(pages, None))) is not None:
            key = found.object_name.removeprefix(self._prefix)
            if is_valid_key(key):
                yield ObjectInfo(key, found.size)

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        name = self._name(key)
        try:
            self._call(lambda: self._client.remove_object(self._bucket, name), key)
        except ObjectNotFound:
            self._look()

    def close(self) -> None:
        """See StorageAdapter."""
        self._pool.clear()

    def make_bucket(self) -> None:
        """Make the bucket if it is missing, for set-up and `init` only."""
        try:
            self._look()
        except NoBucket:
            self._call(lambda: self._client.make_bucket(self._bucket))

    def _name(self, key: str) -> str:
        return self._prefix + validate_key(key)

    def _look(self) -> None:
        """Ask for the bucket in a way that is answered with a reason. Raises that."""
        self._call(lambda: next(self._client.list_objects(self._bucket, self._prefix + "config"), None))

    def _get_nothing(self, key: str, offset: int) -> bytes:
        """Return no bytes if the object reaches to `offset`: S3 has no range for that."""
        size = self.stat(key).size_bytes
        if offset > size:
            raise ObjectTruncated(f"{key} has {size} bytes, wanted up to {offset}")
        return b""

    def _fetch(self, name: str, key: str, offset: int, length: int | None) -> bytes:
        response = self._client.get_object(self._bucket, name, offset, length or 0)
        try:
            data: bytes = response.read()
        finally:
            response.close()
            response.release_conn()
        if "Content-Range" not in response.headers and (offset or length):  # it does not know ranges
            data = data[offset:] if length is None else data[offset : offset + length]
        if length is not None and len(data) != length:
            raise self._too_short(key, offset + length, len(data), response.headers)
        return data

    def _too_short(self, key: str, end: int, got: int, headers: Any) -> StorageError:
        """Tell an object that is too short from an answer that was cut."""
        total = headers.get("Content-Range", "").rpartition("/")[2]
        if total.isdigit() and int(total) >= end:
            return TransientStorageError(f"{self._place} sent {got} bytes only of a part of {key}")
        return ObjectTruncated(f"{key} ends before {end}; {got} bytes came")

    def _call(self, call: Callable[[], T], key: str = "") -> T:
        """Return what the client does; raise its errors as ours, which hold no secret."""
        try:
            return call()
        except S3Error as error:
            raise explain(_read_error(error), self._place, key) from error
        except InvalidResponseError as error:
            # Not `from error`: its text holds the whole body, where a server may repeat signed headers.
            raise explain(read_body(error._code, error._body or ""), self._place, key) from None
        except ServerError as error:
            raise explain(Answer(error.status_code), self._place, key) from error
        except HTTPError as error:
            raise explain_connection(error, self._place) from error
        except (ParseError, ValueError, OSError) as error:
            message = f"{self._place} gave an answer that cannot be understood: {type(error).__name__}"
            raise TransientStorageError(message) from error


def _make_client(settings: S3Settings, pool: Any) -> Minio:
    url = urlsplit(_url(settings.endpoint))
    region = settings.region or (None if _is_aws(url) else _DEFAULT_REGION)
    if not settings.access_key or not settings.secret_key:
        raise InvalidSettings("an S3 storage needs an access key and its secret key")
    try:
        if url.scheme not in ("http", "https"):
            raise ValueError("the scheme of the endpoint must be http or https")
        check_bucket_name(settings.bucket, s3_check=_is_aws(url))
        client = Minio(
            url.netloc + url.path.rstrip("/"),
            access_key=settings.access_key,
            secret_key=settings.secret_key,
            session_token=settings.session_token or None,
            secure=url.scheme == "https",
            region=region,
            http_client=pool,
        )
    except ValueError as error:
        raise InvalidSettings(f"the settings of the S3 storage are not right: {error}") from error
    if settings.path_style is True:
        client.disable_virtual_style_endpoint()
    elif settings.path_style is False:
        client.enable_virtual_style_endpoint()
    return client


def _is_aws(url: SplitResult) -> bool:
    return _AWS_HOST.search(url.hostname or "") is not None


def _url(endpoint: str) -> str:
    """Return the endpoint with its scheme; https where none is written."""
    return endpoint if "://" in endpoint else f"https://{endpoint}"


def _checked_prefix(prefix: str) -> str:
    """Return the prefix ready to be put before a key: empty, or a path that ends in `/`."""
    path = prefix.strip("/")
    if path and not is_valid_key(path):
        raise InvalidSettings(f"{prefix!r} cannot be a prefix: use letters, digits, . _ - and single /")
    return f"{path}/" if path else ""


def _headers(storage_class: str) -> dict[str, str]:
    if storage_class.upper() in _COLD_CLASSES:
        raise InvalidSettings(
            f"objects of the class {storage_class} cannot be read at once, which a repository needs: choose "
            "STANDARD_IA, GLACIER_IR or another with instant reads"
        )
    headers = {"Content-Type": "application/octet-stream"}
    return headers | ({"x-amz-storage-class": storage_class} if storage_class else {})


def _read_error(error: S3Error) -> Answer:
    message, response = error.message or "", error.response
    region = region_in(message) or response.headers.get("x-amz-bucket-region", "")
    return Answer(response.status, error.code or "", message, region)
