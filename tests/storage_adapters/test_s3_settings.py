"""Where a bucket is, whose certificate is trusted, and what is refused before anything is sent."""

from __future__ import annotations

import io
import os
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from storage_adapters.errors import (
    InvalidSettings,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
)
from storage_adapters.s3 import S3Adapter, S3Settings
from tests.servers.s3 import S3Server
from tests.servers.wire import (
    FlipRequest,
    Wire,
    always,
)
from tests.storage_adapters.s3_calls import CALLS, SECRET, fails


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
    foreign = [s3_settings.prefix + name for name in ("with space", "half-tmp-1", "umlaut-ä")]
    for name in foreign:  # other programs write such names; the adapter itself refuses
        adapter._client.put_object(s3_settings.bucket, name, io.BytesIO(), 0)
    assert [found.key for found in adapter.list("")] == ["object"]
    for name in foreign:
        adapter._client.remove_object(s3_settings.bucket, name)
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
