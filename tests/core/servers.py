"""Storages on the real servers of the tests, as a person would fill their forms in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

from core.models import Storage
from core.storages import providers, recovery, storage_setup
from core.storages.storage_inputs import StorageInput
from storage_adapters.s3 import S3Settings
from tests.servers.sshd import Sshd


def s3_form(settings: S3Settings, name: str = "Bucket", **more: Any) -> dict[str, Any]:
    """Return the fields of a storage in a bucket."""
    return {
        "provider": "s3", "name": name, "endpoint": settings.endpoint, "bucket": settings.bucket,
        "prefix": settings.prefix, "region": settings.region, "access_key": settings.access_key,
        "secret_key": settings.secret_key, **more,
    }  # fmt: skip


def sftp_form(sshd: Sshd, path: Path, name: str = "Server", **more: Any) -> dict[str, Any]:
    """Return the fields of a storage on an SFTP server, its host keys confirmed."""
    settings = sshd.settings(path)
    return {
        "provider": "sftp", "name": name, "host": settings.host, "port": str(settings.port),
        "user": settings.user, "path": str(path), "host_keys": "\n".join(settings.known_host_keys),
        "private_key": settings.private_key, **more,
    }  # fmt: skip


def create(form: dict[str, Any]) -> Storage:
    """Set a storage up from its form."""
    return storage_setup.create(parse(form))


def parse(form: dict[str, Any]) -> StorageInput:
    """Return what a form says."""
    return providers.parse(form)


def restic_on(storage: Storage, sshd: Sshd, *arguments: str) -> str:
    """Run the real restic on a storage's repository, by the place that pages show; it must succeed."""
    command = ["restic", "--no-cache", "-r", providers.restic_place(storage), *arguments]
    if storage.provider == "sftp":
        command[1:1] = ["-o", f"sftp.command={' '.join(sshd.ssh_command())} -s sftp"]
    credentials = providers.credentials_of(storage)
    environment = {
        **os.environ, "RESTIC_PASSWORD": recovery.stored() or "",
        "AWS_ACCESS_KEY_ID": credentials.get("access_key", ""),
        "AWS_SECRET_ACCESS_KEY": credentials.get("secret_key", ""),
        "AWS_DEFAULT_REGION": storage.settings.get("region", ""),
    }  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
