"""Places on the command line: in restic's ways to write them, and never with a secret in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository import cli_place
from repository.cli_place import BadPlace, LocalPlace, S3Place, SftpPlace, parse_place

SECRET = "not-to-be-seen"
KEYS = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": SECRET}


def s3(text: str, *options: str, **environ: str) -> S3Place:
    place = parse_place(text, {**KEYS, **environ}, options)
    assert isinstance(place, S3Place)
    return place


@pytest.mark.parametrize(
    ("text", "endpoint", "bucket", "prefix"),
    [
        ("s3:http://127.0.0.1:9000/bucket/some/prefix", "http://127.0.0.1:9000", "bucket", "some/prefix"),
        ("s3:https://minio.example/bucket", "https://minio.example", "bucket", ""),
        ("s3:https://minio.example/bucket/", "https://minio.example", "bucket", ""),
        ("s3:s3.amazonaws.com/bucket/prefix/", "https://s3.amazonaws.com", "bucket", "prefix"),
        ("s3://s3.eu-west-1.amazonaws.com/bucket/p", "https://s3.eu-west-1.amazonaws.com", "bucket", "p"),
        ("s3:http://[::1]:9000/bucket", "http://[::1]:9000", "bucket", ""),
    ],
)
def test_s3_as_restic_writes_it(text: str, endpoint: str, bucket: str, prefix: str) -> None:
    place = s3(text)
    assert (place.settings.endpoint, place.settings.bucket, place.settings.prefix) == (
        endpoint,
        bucket,
        prefix,
    )
    assert place.shown == f"s3:{endpoint}/{bucket}/{prefix}".rstrip("/")
    assert SECRET not in repr(place)


def test_variables_and_options_are_restics() -> None:
    place = s3(
        "s3:host/bucket",
        "s3.storage-class=STANDARD_IA",
        "s3.bucket-lookup=path",
        AWS_REGION="eu-1",
        AWS_SESSION_TOKEN="token",
    )
    settings = place.settings
    assert (settings.access_key, settings.secret_key, settings.session_token) == ("AKIA", SECRET, "token")
    assert (settings.storage_class, settings.path_style, settings.region) == ("STANDARD_IA", True, "eu-1")
    assert s3("s3:host/bucket", AWS_REGION="a", AWS_DEFAULT_REGION="b").settings.region == "b"
    assert s3("s3:host/bucket", "s3.region=c", AWS_DEFAULT_REGION="b").settings.region == "c"
    assert s3("s3:host/bucket", "s3.bucket-lookup=dns").settings.path_style is False
    assert s3("s3:host/bucket").settings.path_style is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"s3:https://AKIA:{SECRET}@host/bucket", "environment"),
        (f"s3:AKIA:{SECRET}@host/bucket", "environment"),
        (f"sftp://user:{SECRET}@host//path", "ssh-agent"),
        (f"sftp:user:{SECRET}@host:/path", "server|ssh-agent"),
        ("s3:host", "server and bucket"),
        ("s3:https:///bucket", "server and bucket"),
        ("sftp:host", "server and folder"),
        ("sftp://host:port//path", "port"),
        ("sftp:@:/path", "name the server"),
        ("sftp:user@host:~/path", "leave out ~"),
        (f"rest:https://user:{SECRET}@host/", "rest: are not served"),
        (f"webdav://user:{SECRET}@host/", "webdav: is no kind"),
    ],
)
def test_what_cannot_be_is_refused_in_words_without_the_secret(text: str, words: str) -> None:
    with pytest.raises(BadPlace, match=words) as caught:
        parse_place(text, KEYS)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("s3.layout=x", "known are"),
        ("s3.bucket-lookup=x", "one of auto, path, dns"),
        ("sftp.command=ssh", "speaks SFTP itself"),
    ],
)
def test_options_that_are_not_known_are_refused(option: str, words: str) -> None:
    with pytest.raises(BadPlace, match=words):
        parse_place("/folder", {}, [option])


def test_missing_keys_are_asked_for() -> None:
    with pytest.raises(BadPlace, match="AWS_ACCESS_KEY_ID"):
        parse_place("s3:host/bucket", {"AWS_PROFILE": "mine"})


def test_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/of/me")
    for text, path in {
        "/some/folder": "/some/folder",
        "~/backups": "/home/of/me/backups",
        "local:/some/folder": "/some/folder",
        "with:colon": "with:colon",
        "./a:b/c": "./a:b/c",
    }.items():
        place = parse_place(text, {})
        assert isinstance(place, LocalPlace)
        assert place.path == path


@pytest.mark.parametrize(
    ("text", "host", "user", "port", "path"),
    [
        ("sftp:user@host:/some/path", "host", "user", None, "/some/path"),
        ("sftp:host:relative", "host", None, None, "relative"),
        ("sftp://user@host:2222//some/path", "host", "user", 2222, "/some/path"),
        ("sftp://host/relative", "host", None, None, "relative"),
        ("sftp://user@[::1]:2222//path", "::1", "user", 2222, "/path"),
        ("sftp:host:", "host", None, None, "."),
    ],
)
def test_sftp_as_restic_writes_it(
    monkeypatch: pytest.MonkeyPatch, text: str, host: str, user: str | None, port: int | None, path: str
) -> None:
    asked: list[object] = []

    def like_ssh(host: str, user: str | None, port: int | None, path: str) -> object:
        asked.append((host, user, port, path))
        return SftpSettings(host, user or "me", path)

    from storage_adapters.sftp import SftpSettings

    monkeypatch.setattr("storage_adapters.sftp.settings_like_ssh", like_ssh)
    place = parse_place(text, {})
    assert isinstance(place, SftpPlace)
    assert asked == [(host, user, port, path)]
    assert place.shown == f"sftp:{user or 'me'}@{host}:{path}"
    assert cli_place.SftpPlace is SftpPlace
