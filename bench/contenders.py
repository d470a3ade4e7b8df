"""The programs that are compared. Each step is one command line; a contender without it returns None."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

PASSWORD = "bench only"
PROJECT = Path(__file__).parent.parent


@dataclass(slots=True)
class Contender:
    """One program with its own repository folder below `folder`."""

    name: str
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        """Where its repository is."""
        return self.folder / self.name.replace(" ", "-") / "repository"

    def env(self) -> dict[str, str]:
        """Return the environment of its commands, with the secret in it and not on a command line."""
        return {**os.environ, **self.environment}

    def init(self) -> None:
        """Start with an empty repository."""
        shutil.rmtree(self.repository.parent, ignore_errors=True)
        self.repository.parent.mkdir(parents=True)
        if command := self.init_command():
            subprocess.run(command, env=self.env(), cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)

    def init_command(self) -> Sequence[str] | None:
        """Return the command that makes the repository, None if there is none."""
        return None

    def backup(self, path: Path) -> Sequence[str] | None:
        """Return the command that backs `path` up."""
        return None

    def restore(self, path: Path, target: Path) -> Sequence[str] | None:
        """Return the command that restores the newest backup of `path` below `target`."""
        return None

    def check(self) -> Sequence[str] | None:
        """Return the command that reads and checks everything."""
        return None


class Restic(Contender):
    """Debian's restic, with its cache, as people run it."""

    def _command(self, *arguments: str) -> list[str]:
        cache = self.repository.parent / "cache"
        return ["restic", "--quiet", "-r", str(self.repository), "--cache-dir", str(cache), *arguments]

    def init_command(self) -> Sequence[str]:
        return self._command("init")

    def backup(self, path: Path) -> Sequence[str]:
        return self._command("backup", str(path))

    def restore(self, path: Path, target: Path) -> Sequence[str]:
        return self._command("restore", "latest", "--path", str(path), "--target", str(target))

    def check(self) -> Sequence[str]:
        return self._command("check", "--read-data")


class Holdfast(Contender):
    """This project's engine through its own command line, with its cache, as people run it."""

    def env(self) -> dict[str, str]:
        """Keep the cache beside the repository: each start from nothing begins without one."""
        return {**super().env(), "XDG_CACHE_HOME": str(self.repository.parent / "cache")}

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "repository", "--quiet", "-r", str(self.repository), *arguments]

    def init_command(self) -> Sequence[str]:
        return self._command("init")

    def backup(self, path: Path) -> Sequence[str]:
        return self._command("backup", str(path))

    def restore(self, path: Path, target: Path) -> Sequence[str]:
        return self._command("restore", "latest", "--path", str(path), "--target", str(target))

    def check(self) -> Sequence[str]:
        return self._command("check", "--read-data")


class HoldfastUnchecked(Holdfast):
    """The same, without opening again what was sealed."""

    def backup(self, path: Path) -> Sequence[str]:
        return self._command("backup", "--no-self-check", str(path))

    def restore(self, path: Path, target: Path) -> None:
        return None

    def check(self) -> None:
        return None


class Borg(Contender):
    """borgbackup with zstd 3."""

    def init_command(self) -> Sequence[str]:
        return ["borg", "init", "--encryption", "repokey-blake2", str(self.repository)]

    def backup(self, path: Path) -> Sequence[str]:
        return ["borg", "create", "--compression", "zstd,3", f"{self.repository}::{{now:%s.%f}}", str(path)]

    def check(self) -> Sequence[str]:
        return ["borg", "check", "--verify-data", str(self.repository)]


class Plain(Contender):
    """What the machine can do at all: tar, zstd and openssl in a pipe; `cp -a` for the way back."""

    def backup(self, path: Path) -> Sequence[str]:
        out = self.repository.with_suffix(".tar.zst.enc")
        seal = "openssl enc -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD"
        return ["sh", "-c", f"tar cf - '{path}' 2>/dev/null | zstd -q -3 -T2 | {seal} > '{out}'"]

    def restore(self, path: Path, target: Path) -> Sequence[str]:
        return ["sh", "-c", f"mkdir -p '{target}' && cp -a --sparse=always '{path}' '{target}'"]


def contenders(folder: Path, *, with_borg: bool) -> list[Contender]:
    """Return who takes part, restic first: it is the measure."""
    secret = {"RESTIC_PASSWORD": PASSWORD}
    found: list[Contender] = [
        Restic("restic", folder, secret),
        Holdfast("holdfast", folder, secret),
        HoldfastUnchecked("holdfast unchecked", folder, secret),
        Plain("plain", folder, {"BENCH_PASSWORD": PASSWORD}),
    ]
    if with_borg:
        base = {"BORG_PASSPHRASE": PASSWORD, "BORG_BASE_DIR": str(folder / "borg-home")}
        found.append(Borg("borg", folder, base))
    return found
