"""The programs that are compared. Each step is one command line; a contender without it returns None."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import postgres_server
from bench.ssh_server import SshServer

PASSWORD = "bench only"
PROJECT = Path(__file__).parent.parent
OWN_BORG = PROJECT / ".cache" / "borg" / "bin" / "borg"  # made by bench/install_borg.sh


@dataclass(slots=True)
class Contender:
    """One program with its own folder for repository and cache; runs at most `rounds` times a step.

    `place` is the repository as its command line names it, if that is not a folder of this machine.
    """

    name: str
    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    rounds: int = 1_000
    place: str = ""

    @property
    def repository(self) -> str:
        """Where its repository is."""
        return self.place or str(self.home / "repository")

    def env(self) -> dict[str, str]:
        """Return the environment of its commands, with the secret in it and not on a command line."""
        environment = {**os.environ, **self.environment}
        # Where it is set, every process compiles all its modules anew: nobody installs it so.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        return environment

    def init(self) -> None:
        """Start with an empty repository and no cache. One that is elsewhere must be empty already."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        if command := self.init_command():
            subprocess.run(command, env=self.env(), cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)

    def size_bytes(self) -> int:
        """Return what its repository takes on this machine."""
        files = (file for file in self.home.rglob("*") if "cache" not in file.parts)
        return sum(file.lstat().st_size for file in files if file.is_file())

    def init_command(self) -> Sequence[str] | None:
        """Return the command that makes the repository, None if there is none."""
        return None

    def backup(self, path: Path) -> Sequence[str] | None:
        """Return the command that backs `path` up."""
        return None

    def restore(self, path: Path, target: Path) -> Sequence[str] | None:
        """Return the command that restores the newest backup of `path` below `target`, an empty folder."""
        return None

    def check(self) -> Sequence[str] | None:
        """Return the command that reads and checks everything."""
        return None

    def dump(self, url: str) -> Sequence[str] | None:
        """Return the command that takes a database into the repository."""
        return None


class Restic(Contender):
    """Debian's restic, with its cache, as people run it."""

    def _command(self, *arguments: str) -> list[str]:
        return [
            "restic",
            "--quiet",
            "-r",
            self.repository,
            "--cache-dir",
            str(self.home / "cache"),
            *arguments,
        ]

    def init_command(self) -> Sequence[str]:
        return self._command("init")

    def backup(self, path: Path) -> Sequence[str]:
        return self._command("backup", str(path))

    def restore(self, path: Path, target: Path) -> Sequence[str] | None:
        return self._command("restore", "latest", "--path", str(path), "--target", str(target))

    def check(self) -> Sequence[str] | None:
        return self._command("check", "--read-data")

    def dump(self, url: str) -> Sequence[str] | None:
        return _piped(url, self._command("backup", "--stdin", "--stdin-filename", "pgbench.dump"))


class Holdfast(Restic):
    """This project's engine through its own command line, with its cache, as people run it."""

    def _command(self, *arguments: str) -> list[str]:
        cache = ["--cache-dir", str(self.home / "cache")]
        return [sys.executable, "-m", "repository", "--quiet", "-r", self.repository, *cache, *arguments]


class ResticOverSftp(Restic):
    """restic with a login of its own for `ssh`, which its SFTP goes through."""

    def _command(self, *arguments: str) -> list[str]:
        program, *rest = super()._command(*arguments)
        return [program, "-o", f"sftp.command={self.environment['BENCH_SSH']}", *rest]


class HoldfastJob(Holdfast):
    """The engine as a backup job uses it: it runs pg_dump, and counts the rows in the dump's snapshot."""

    def dump(self, url: str) -> Sequence[str]:
        return [sys.executable, "-m", "bench.dump_into", self.repository, url, postgres_server.DATABASE]


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
        return [borg(), "init", "--encryption", "repokey-blake2", self.repository]

    def backup(self, path: Path) -> Sequence[str]:
        archive = f"{self.repository}::{{now:%s.%f}}"
        return [borg(), "create", "--compression", "zstd,3", archive, str(path)]

    def restore(self, path: Path, target: Path) -> Sequence[str]:
        newest = f"$('{borg()}' list --last 1 --short '{self.repository}')"
        script = f"cd '{target}' && exec '{borg()}' extract --sparse \"{self.repository}::{newest}\""
        return ["sh", "-c", script]

    def check(self) -> Sequence[str]:
        return [borg(), "check", "--verify-data", self.repository]


class Plain(Contender):
    """What the machine can do at all: tar, zstd and openssl in a pipe; `cp -a` for the way back."""

    def backup(self, path: Path) -> Sequence[str]:
        seal = "openssl enc -aes-256-ctr -pbkdf2 -pass env:BENCH_PASSWORD"
        return ["sh", "-c", f"tar cf - '{path}' 2>/dev/null | zstd -q -3 -T2 | {seal} > '{self.repository}'"]

    def restore(self, path: Path, target: Path) -> Sequence[str]:
        return ["cp", "-a", "--sparse=always", str(path), str(target)]


class PlainDump(Contender):
    """What PostgreSQL can do at all: pg_dump into nothing."""

    def dump(self, url: str) -> Sequence[str]:
        return ["sh", "-c", f"exec {shlex.join([*_PG_DUMP, f'--dbname={url}'])} > /dev/null"]


_PG_DUMP = [postgres_server.program("pg_dump"), "--format=custom", "--compress=0"]


def _piped(url: str, command: Sequence[str]) -> Sequence[str]:
    script = f"{shlex.join([*_PG_DUMP, f'--dbname={url}'])} | {shlex.join(command)}"
    return ["bash", "-o", "pipefail", "-c", script]


def borg() -> str:
    """Return the path of borg, empty if it is not installed."""
    return str(OWN_BORG) if OWN_BORG.exists() else shutil.which("borg") or ""


def on_disk(folder: Path, *, with_borg: bool) -> list[Contender]:
    """Return who takes part with a repository below `folder`, restic first: it is the measure."""
    secret = {"RESTIC_PASSWORD": PASSWORD}
    found: list[Contender] = [
        Restic("restic", folder / "restic", secret),
        Holdfast("holdfast", folder / "holdfast", secret),
        HoldfastUnchecked("holdfast unchecked", folder / "unchecked", secret),
        Plain("plain", folder / "plain", {"BENCH_PASSWORD": PASSWORD}, rounds=2),
    ]
    if with_borg and borg():
        base = {"BORG_PASSPHRASE": PASSWORD, "BORG_BASE_DIR": str(folder / "borg-home")}
        found.append(Borg("borg", folder / "borg", base, rounds=1))
    return found


def of_databases(folder: Path) -> list[Contender]:
    """Return who takes databases, with a repository below `folder`."""
    secret = {"RESTIC_PASSWORD": PASSWORD}
    return [
        Restic("restic", folder / "restic", secret),
        HoldfastJob("holdfast", folder / "holdfast", secret),
        Holdfast("holdfast --stdin", folder / "stdin", secret),
        PlainDump("plain", folder / "plain"),
    ]


def on_s3(folder: Path, bucket_url: str, secrets: dict[str, str]) -> list[Contender]:
    """Return who takes part with a repository in a bucket, with its cache below `folder`."""
    environment = {"RESTIC_PASSWORD": PASSWORD, **secrets}
    return [
        Restic("restic", folder / "s3-restic", environment, place=f"s3:{bucket_url}/restic"),
        Holdfast("holdfast", folder / "s3-holdfast", environment, place=f"s3:{bucket_url}/holdfast"),
    ]


def on_sftp(folder: Path, server: SshServer) -> list[Contender]:
    """Return who takes part with a repository on an SFTP server, with its cache below `folder`."""
    secret = {"RESTIC_PASSWORD": PASSWORD}
    there = server.folder / "storage"
    there.mkdir()
    ssh = secret | {"BENCH_SSH": f"{server.ssh_command()} {server.login} -s sftp"}
    url = f"sftp://{server.login}:{server.port}/{there}"
    return [
        ResticOverSftp("restic", folder / "sftp-restic", ssh, place=f"sftp:{server.login}:{there}/restic"),
        Holdfast(
            "holdfast", folder / "sftp-holdfast", secret | {"HOME": str(server.home)}, place=f"{url}/holdfast"
        ),
    ]
