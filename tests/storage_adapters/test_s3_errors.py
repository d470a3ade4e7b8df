"""What goes wrong with S3 is said in words: what happened, and what to do about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from storage_adapters.errors import (
    NoBucket,
    PermissionDenied,
    StorageError,
    StorageFull,
    StorageUnavailable,
    StorageUnreachable,
    TransientStorageError,
)
from storage_adapters.s3 import S3Adapter, S3Settings
from tests.servers.s3 import S3Server
from tests.servers.wire import (
    SLOW_DOWN,
    Reply,
    Wire,
    always,
)
from tests.storage_adapters.s3_calls import CALLS, SECRET, Call, fails

each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@each_call
def test_a_wrong_secret_key_is_said_to_be_that(s3_settings: S3Settings, call: Call) -> None:
    error = fails(replace(s3_settings, secret_key=SECRET), call)
    assert isinstance(error, PermissionDenied)
    assert "the secret access key does not fit" in str(error)


@each_call
def test_a_wrong_access_key_is_said_to_be_that(s3_settings: S3Settings, call: Call) -> None:
    error = fails(replace(s3_settings, access_key="AKIANOBODY"), call)
    assert isinstance(error, PermissionDenied)
    assert "check the access key ID" in str(error)


@each_call
def test_a_missing_bucket_is_unavailable(s3_settings: S3Settings, call: Call) -> None:
    error = fails(replace(s3_settings, bucket="no-such-bucket-here"), call)
    assert isinstance(error, NoBucket)
    assert "no such bucket" in str(error)
    assert "no-such-bucket-here" in str(error)


@each_call
def test_a_port_where_nobody_listens(s3_settings: S3Settings, call: Call) -> None:
    error = fails(replace(s3_settings, endpoint="http://127.0.0.1:1"), call)
    assert isinstance(error, StorageUnreachable)
    assert error.retryable
    assert "refuses connections" in str(error)


def test_a_name_that_nobody_knows(s3_settings: S3Settings) -> None:
    error = fails(replace(s3_settings, endpoint="http://nowhere.invalid"), CALLS["get"])
    assert isinstance(error, StorageUnreachable)
    assert "not known here" in str(error)


def test_https_to_a_server_of_plain_http(s3_server: S3Server, s3_settings: S3Settings) -> None:
    plain = s3_server.settings.endpoint
    if not plain.startswith("http://"):
        pytest.skip("the server speaks TLS")
    error = fails(replace(s3_settings, endpoint=plain.replace("http:", "https:")), CALLS["get"])
    assert isinstance(error, StorageUnavailable)
    assert "is its address http://?" in str(error)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("RequestTimeTooSkewed", PermissionDenied, "clock"),
        ("ExpiredToken", PermissionDenied, "session token"),
        ("AccessDenied", PermissionDenied, "may not do this"),
        ("QuotaExceeded", StorageFull, "quota"),
        ("XMinioStorageFull", StorageFull, "full"),
        ("InternalError", TransientStorageError, "may pass"),
        ("InvalidStorageClass", StorageError, "storage class"),
    ],
)
@pytest.mark.parametrize("content_type", ["application/xml", "text/xml; charset=utf-8"])
def test_codes_of_the_server_become_advice(
    over_wire: S3Adapter, wire: Wire, code: str, kind: type[StorageError], words: str, content_type: str
) -> None:
    body = f"<Error><Code>{code}</Code><Message>Said the server.</Message></Error>".encode()
    wire.plan = always(Reply(403, body, content_type))
    for name in ("put", "get", "stat", "list", "delete"):
        with pytest.raises(kind, match=words) as caught:
            CALLS[name](over_wire)
        assert code in str(caught.value)


STATUSES: list[tuple[Reply, type[StorageError], str]] = [
    (Reply(503, SLOW_DOWN), TransientStorageError, "throttled"),
    (Reply(503), TransientStorageError, "throttled"),
    (Reply(429, b"slow down, please", "text/plain"), TransientStorageError, "throttled"),
    (Reply(500, b""), TransientStorageError, "may pass"),
    (
        Reply(502, b"<html><title>Bad Gateway</title></html>", "text/html"),
        TransientStorageError,
        "Bad Gateway",
    ),
    (Reply(507, b"no room", "text/plain"), StorageFull, "no room"),
    (Reply(403, b"<html><title>Blocked</title></html>", "text/html"), PermissionDenied, "proxy"),
    (Reply(407, b"who are you", "text/plain"), PermissionDenied, "proxy"),
    (
        Reply(400, b"Client sent an HTTP request to an HTTPS server.\n", "text/plain"),
        StorageUnavailable,
        "https",
    ),
    (Reply(301, b"", headers=(("Location", "https://127.0.0.1/"),)), StorageUnavailable, "https://"),
    (
        Reply(400, b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-9</Region></Error>"),
        StorageUnavailable,
        "check endpoint and region",
    ),
    (
        Reply(
            301,
            b"<Error><Code>PermanentRedirect</Code><Message>moved</Message></Error>",
            headers=(("x-amz-bucket-region", "eu-west-9"),),
        ),
        StorageUnavailable,
        "set the region eu-west-9",
    ),
    (Reply(418, b"<html><title>Teapot</title></html>", "text/html"), StorageError, "S3 server"),
]


@pytest.mark.parametrize(("reply", "kind", "words"), STATUSES, ids=lambda value: str(value)[:40])
def test_answers_of_whatever_stands_there_become_advice(
    over_wire: S3Adapter, wire: Wire, reply: Reply, kind: type[StorageError], words: str
) -> None:
    wire.plan = always(reply)
    for name in ("put", "get", "range", "list"):
        with pytest.raises(kind, match=words):
            CALLS[name](over_wire)


@pytest.mark.parametrize(
    "body", [b"", b"<a>", b"\xff\xfe", b"<Error>", b"x" * 100_000, b"<ListBucketResult>"]
)
@pytest.mark.parametrize("content_type", ["application/xml", "text/html", ""])
@pytest.mark.parametrize("status", [200, 404, 500])
def test_nonsense_is_an_error_of_ours(
    over_wire: S3Adapter, wire: Wire, status: int, body: bytes, content_type: str
) -> None:
    wire.plan = always(Reply(status, body, content_type))
    with pytest.raises(StorageError) as caught:
        list(over_wire.list(""))
    assert len(str(caught.value)) < 500
