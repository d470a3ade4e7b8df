"""A real S3 server on loopback for the time of a benchmark: `rclone serve s3` over a folder."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUCKET = "bench"


def rclone() -> str:
    """Return the path of rclone (requirements-dev.txt has it), empty if it is not installed."""
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone") or ""


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, dict[str, str], int]]:
    """Serve an empty bucket kept in `folder`; yield its URL, the variables with the keys, and the process."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / BUCKET).mkdir(parents=True)
    key, secret, port = secrets.token_hex(10), secrets.token_hex(20), _free_port()
    command = [rclone(), "serve", "s3", "--config", "", "--addr", f"127.0.0.1:{port}"]
    command += ["--vfs-read-wait", "0s"]  # else each read of a range waits for 20 ms
    # Else it reads every object anew to hash it when it is listed, and hashes what it sends: no S3 does.
    command += ["--etag-hash", "", "--no-checksum", str(folder)]
    with open(folder.with_suffix(".log"), "wb") as log:
        process = subprocess.Popen(
            command, env={"RCLONE_AUTH_KEY": f'"{key},{secret}"'}, stdout=log, stderr=log
        )
    try:
        _wait_for(port, process)
        keys = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1"}
        yield f"http://127.0.0.1:{port}/{BUCKET}", keys, process.pid
    finally:
        process.terminate()
        process.wait(20)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit("rclone does not serve S3: see its log beside the bucket's folder")
