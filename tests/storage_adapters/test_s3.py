"""What only S3 can show: its errors in words, its settings, and what a wire does to requests."""

from __future__ import annotations

import io
import os
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from storage_adapters.base import StorageAdapter
from storage_adapters.errors import (
    InvalidSettings,
    NoBucket,
    ObjectNotFound,
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
    CutReply,
    CutRequest,
    Fault,
    FlipReply,
    FlipRequest,
    Reply,
    Truncate,
    Wire,
    always,
    wire_to,
)

SECRET = "a-secret-that-nobody-may-see"
Call = Callable[[StorageAdapter], object]

CALLS: dict[str, Call] = {
    "put": lambda storage: storage.put("object", b"0123456789"),
    "get": lambda storage: storage.get("object"),
    "range": lambda storage: storage.get("object", 2, 3),
    "stat": lambda storage: storage.stat("object"),
    "list": lambda storage: list(storage.list("")),
    "delete": lambda storage: storage.delete("object"),
}
each_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.fixture
def wire(s3_server: S3Server) -> Iterator[Wire]:
    with wire_to(s3_server.settings.endpoint) as wire:
        yield wire


@pytest.fixture
def over_wire(wire: Wire, s3_settings: S3Settings) -> Iterator[S3Adapter]:
    adapter = S3Adapter(replace(s3_settings, endpoint=wire.url))
    adapter.put("object", b"0123456789")
    yield adapter
    adapter.close()


def fails(settings: S3Settings, call: Call) -> StorageError:
    """Return the error that the call raises; no secret is in it, nor in what led to it."""
    adapter = S3Adapter(settings)
    with pytest.raises(StorageError) as caught:
        call(adapter)
    adapter.close()
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = None if error.__suppress_context__ and not error.__cause__ else error.__cause__
    return caught.value


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


@pytest.mark.parametrize(
    "fault", [CutRequest(), CutRequest(5), FlipRequest(), CutReply()], ids=lambda fault: str(fault)
)
def test_an_upload_that_the_wire_spoils_is_refused(over_wire: S3Adapter, wire: Wire, fault: Fault) -> None:
    """A put that ends in an error may have been done, whole; one that was altered never is."""
    data = os.urandom(100_000)
    wire.plan = always(fault)
    with pytest.raises(StorageError) as caught:
        over_wire.put("object", data)
    assert caught.value.retryable
    wire.plan = lambda request: None
    assert over_wire.get("object") in (b"0123456789", data)


@pytest.mark.parametrize("fault", [CutReply(), CutReply(0), CutReply(2)], ids=lambda fault: str(fault))
def test_a_download_that_is_cut_can_be_repeated(over_wire: S3Adapter, wire: Wire, fault: Fault) -> None:
    wire.plan = always(fault)
    for read in ((), (2,), (2, 5)):
        with pytest.raises(StorageError) as caught:
            over_wire.get("object", *read)
        assert caught.value.retryable


def test_a_range_that_comes_shorter_than_it_is_can_be_repeated(over_wire: S3Adapter, wire: Wire) -> None:
    wire.plan = always(Truncate(2))
    with pytest.raises(TransientStorageError, match="sent 2 bytes only"):
        over_wire.get("object", 2, 5)


def test_a_listing_that_is_cut_is_an_error_and_never_shorter(over_wire: S3Adapter, wire: Wire) -> None:
    for number in range(20):
        over_wire.put(f"data/{number}", b"x")
    wire.restart_counting()
    size = len(list(over_wire.list(""))) and wire.received
    for fault in (*(Truncate(to) for to in range(0, size, 101)), CutReply(size // 2)):
        wire.plan = always(fault)
        with pytest.raises(StorageError):
            list(over_wire.list(""))


def test_a_listing_with_wrong_bytes_is_no_crash(over_wire: S3Adapter, wire: Wire) -> None:
    wire.plan = always(FlipReply())
    try:
        found = list(over_wire.list(""))
    except StorageError:
        return
    assert len(found) <= 1


def test_a_server_that_never_answers_is_given_up(
    s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage_adapters.s3_http.READ_TIMEOUT_S", 0.2)
    never = threading.Event()

    class Silent(BaseRequestHandler):
        def handle(self) -> None:
            never.wait(20)

    with ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        error = fails(replace(s3_settings, endpoint=endpoint), CALLS["get"])
        never.set()
        server.shutdown()
    assert isinstance(error, TransientStorageError)
    assert "stopped answering" in str(error)


def test_a_slow_line_is_no_reason_to_give_up(
    s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body takes longer than the time-out for a connection; each piece of it does not."""
    monkeypatch.setattr("storage_adapters.s3_http.CONNECT_TIMEOUT_S", 0.5)
    data = os.urandom(8_000_000)

    class Slow(BaseRequestHandler):
        def handle(self) -> None:
            left = len(data)
            while left > 0:
                left -= len(self.request.recv(300_000))
                threading.Event().wait(0.04)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with ThreadingTCPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        adapter = S3Adapter(replace(s3_settings, endpoint=f"http://127.0.0.1:{server.server_address[1]}"))
        adapter.put("object", data)
        adapter.close()
        server.shutdown()


def test_settings_show_no_secret() -> None:
    settings = S3Settings(
        "http://x", "bucket", "AKIA-" + SECRET, SECRET, session_token=SECRET, ca_pem="-----" + SECRET
    )
    assert SECRET not in repr(settings)
    assert SECRET not in repr(S3Adapter(replace(settings, ca_pem="")))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"endpoint": "http://host/with/path"}, "path"),
        ({"endpoint": "ftp://host"}, "scheme"),
        ({"endpoint": f"http://user:{SECRET}@host"}, "username"),
        ({"bucket": ""}, "bucket"),
        ({"bucket": "UPPER..case"}, "bucket"),
        ({"prefix": "../up"}, "prefix"),
        ({"prefix": "a b"}, "prefix"),
        ({"access_key": ""}, "access key"),
        ({"secret_key": ""}, "secret key"),
        ({"storage_class": "GLACIER"}, "cannot be read at once"),
        ({"endpoint": "https://host", "ca_file": "/nowhere.pem"}, "nowhere.pem"),
        ({"endpoint": "https://host", "ca_pem": "no certificate"}, "certificate"),
        ({"region": "no region!"}, "region"),
    ],
)
def test_settings_that_cannot_be_right_are_refused_at_once(change: dict[str, str], words: str) -> None:
    settings = S3Settings("http://127.0.0.1:1", "bucket", "AKIA", "x")
    with pytest.raises(InvalidSettings, match=words) as caught:
        S3Adapter(replace(settings, **change))
    assert SECRET not in str(caught.value)


def test_a_prefix_hides_what_is_beside_it(s3_settings: S3Settings) -> None:
    whole = S3Adapter(s3_settings)
    part = S3Adapter(replace(s3_settings, prefix=f"/{s3_settings.prefix}part"))
    whole.put("beside", b"x")
    part.put("data/object", b"xy")
    assert [found.key for found in part.list("")] == ["data/object"]
    assert whole.get("part/data/object") == b"xy"
    with pytest.raises(ObjectNotFound):
        part.get("beside")
    whole.close()
    part.close()


def test_names_that_are_no_keys_are_not_listed(s3_server: S3Server, s3_settings: S3Settings) -> None:
    adapter = S3Adapter(s3_settings)
    adapter.put("object", b"x")
    for name in ("with space", "half-tmp-1", "umlaut-ä"):
        adapter._client.put_object(  # foreign programs write such names; the adapter itself refuses
            s3_settings.bucket, s3_settings.prefix + name, io.BytesIO(), 0
        )
    assert [found.key for found in adapter.list("")] == ["object"]
    adapter.close()


def test_a_missing_bucket_is_made_only_when_asked(s3_server: S3Server, s3_settings: S3Settings) -> None:
    if s3_server.folder is None:
        pytest.skip("a server of others: no buckets are made there")
    adapter = S3Adapter(replace(s3_settings, bucket="made-by-a-test"))
    adapter.make_bucket()
    adapter.make_bucket()
    adapter.put("object", b"x")
    assert adapter.get("object") == b"x"
    adapter.close()


@pytest.mark.parametrize(
    ("endpoint", "path_style", "host"),
    [
        ("https://s3.eu-west-1.amazonaws.com", None, "bucket.s3.eu-west-1.amazonaws.com"),
        ("https://s3.eu-west-1.amazonaws.com", True, "s3.eu-west-1.amazonaws.com"),
        ("https://minio.example", None, "minio.example"),
        ("https://minio.example", False, "bucket.minio.example"),
    ],
)
def test_the_bucket_stands_where_the_server_wants_it(
    endpoint: str, path_style: bool | None, host: str
) -> None:
    settings = S3Settings(endpoint, "bucket", "AKIA", "x", region="eu-west-1", path_style=path_style)
    adapter = S3Adapter(settings)
    url = adapter._client.get_presigned_url("GET", "bucket", "object")
    assert url.startswith(f"https://{host}/")
    adapter.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of 127.0.0.1, with its key, in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    key = path.with_name("key.pem")
    subprocess.run([*command, "-keyout", key, "-out", path], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


@pytest.fixture
def tls_wire(wire: Wire, certificate: Path) -> Wire:
    """The proxy, speaking TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    wire.speak_tls(context)
    return wire


def test_an_authority_of_ones_own_is_trusted_when_given(
    tls_wire: Wire, s3_settings: S3Settings, certificate: Path
) -> None:
    data = os.urandom(300_000)
    for trust in (
        {"ca_file": str(certificate)},
        {"ca_pem": certificate.read_text().partition("-----BEGIN PRI")[0]},
    ):
        adapter = S3Adapter(replace(s3_settings, endpoint=tls_wire.url, **trust))
        adapter.put("object", data)
        assert adapter.get("object") == data
        tls_wire.plan = always(FlipRequest())
        with pytest.raises(StorageError) as caught:  # over TLS the content is not signed: its MD5 is
            adapter.put("object", data)
        assert caught.value.retryable
        tls_wire.plan = lambda request: None
        adapter.close()


def test_a_certificate_that_nobody_vouches_for_is_refused(tls_wire: Wire, s3_settings: S3Settings) -> None:
    error = fails(replace(s3_settings, endpoint=tls_wire.url), CALLS["get"])
    assert isinstance(error, StorageUnavailable)
    assert not error.retryable
    assert "certificate is not trusted" in str(error)


def test_a_certificate_for_another_name_is_refused(
    tls_wire: Wire, s3_settings: S3Settings, certificate: Path
) -> None:
    endpoint = tls_wire.url.replace("127.0.0.1", "localhost")
    error = fails(replace(s3_settings, endpoint=endpoint, ca_file=str(certificate)), CALLS["get"])
    assert "another name" in str(error)
