"""The real restic on a repository that opens fast, to hold our reading of trees against."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from repository.config import new_config
from repository.crypto import new_master_key, seal
from repository.keyfile import KdfParams, make_key_file
from tests.sources.nasty import make_nasty_tree

PASSWORD = "x"
_FOLDERS = ("data", "index", "keys", "locks", "snapshots")


@dataclass
class Restic:
    """restic 0.14 or later, with one repository; 50 ms a call, since its key is cheap."""

    program: str
    repo: Path

    def __call__(self, *args: str | bytes, cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        command = [self.program, "--no-cache", "-r", str(self.repo), *args]
        environ = {**os.environ, "RESTIC_PASSWORD": PASSWORD, "TZ": "UTC"}
        return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, check=False)

    def backup(self, *args: str | bytes, cwd: Path | None = None) -> set[bytes] | None:
        """Back up, always anew, and return the paths in the snapshot, None if it would be empty."""
        done = self("backup", "--force", *args, cwd=cwd)
        if done.returncode and b"snapshot is empty" in done.stderr:
            return None
        assert done.returncode == 0, done.stderr
        return set(self("ls", "latest").stdout.split(b"\n")[1:]) - {b""}


@pytest.fixture(scope="session")
def real_restic(restic: str, tmp_path_factory: pytest.TempPathFactory) -> Restic:
    repo = tmp_path_factory.mktemp("restic") / "repo"
    for folder in _FOLDERS:
        (repo / folder).mkdir(parents=True)
    master = new_master_key()
    (repo / "config").write_bytes(seal(master, new_config().encode()))
    kdf = KdfParams(n=1024, r=8, p=1)
    key = make_key_file(master, PASSWORD, kdf, username="", hostname="", created="2020-01-01T00:00:00Z")
    (repo / "keys" / hashlib.sha256(key).hexdigest()).write_bytes(key)
    return Restic(restic, repo)


def flags(name: str, values: Sequence[bytes]) -> list[bytes]:
    """Return `--name value` for each value."""
    return [word for value in values for word in (b"--" + name.encode(), value)]


@pytest.fixture
def nasty(tmp_path: Path) -> Path:
    """A tree with one of everything that this user may make."""
    return make_nasty_tree(tmp_path / "nasty")
