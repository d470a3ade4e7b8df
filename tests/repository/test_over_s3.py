"""The engine and its command line on a real S3 server, beside the real restic, and how much it sends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from repository.locks import lock_repository
from repository.repository import Repository
from storage_adapters.s3 import S3Adapter, S3Settings
from tests.conftest import PROJECT
from tests.repository.engine import PASSWORD, Restic, make_backup, new_repo
from tests.repository.upkeep import fill
from tests.servers.s3 import S3Server
from tests.servers.sshd import descendants
from tests.servers.wire import wire_to


@dataclass
class ResticInS3(Restic):
    """The real restic on a bucket."""

    keys: dict[str, str]

    def env(self, **more: str) -> dict[str, str]:
        return super().env(**self.keys, **more)


@dataclass
class Ours:
    """Our command line on a bucket."""

    place: str
    environment: dict[str, str]
    settings: S3Settings

    def start(self, *args: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "repository", "-r", self.place, *map(str, args)]
        return subprocess.Popen(
            command,
            cwd=PROJECT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def make(self) -> None:
        """Make a repository that opens at once: one that `init` makes takes a second each time."""
        new_repo(S3Adapter(self.settings)).close()

    def run(self, *args: str | Path) -> str:
        """Return the output; the error's text if it fails."""
        process = self.start(*args)
        out, err = process.communicate(timeout=240)
        return err if process.returncode else out


@pytest.fixture
def ours(s3_server: S3Server, s3_settings: S3Settings, tmp_path: Path) -> Ours:
    own = {"PATH": os.environ["PATH"], "RESTIC_PASSWORD": PASSWORD, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    own |= {"TZ": "UTC", **s3_server.environment()}
    return Ours(s3_server.place(s3_settings), own, s3_settings)


@pytest.fixture
def theirs(s3_server: S3Server, s3_settings: S3Settings, restic: str) -> ResticInS3:
    return ResticInS3(restic, s3_server.place(s3_settings), keys=s3_server.environment())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    fill(tmp_path / "tree", seed=1, files=30)
    return tmp_path / "tree"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_repository_for_both(ours: Ours, theirs: ResticInS3, tree: Path, tmp_path: Path) -> None:
    assert "made at s3:" in ours.run("init")
    assert "saved" in ours.run("backup", tree)
    fill(tree, seed=2)
    theirs.run("backup", tree)
    assert "no errors were found" in ours.run("check", "--read-data")
    assert "1 snapshots" in ours.run("forget", "--keep-last", "1", "--prune")
    theirs.check()
    theirs.run("restore", "latest", "--target", tmp_path / "theirs")
    ours.run("restore", "latest", "--target", tmp_path / "ours")
    assert files(tmp_path / "theirs" / str(tree)[1:]) == files(tree)
    assert files(tmp_path / "ours" / str(tree)[1:]) == files(tree)


def test_a_repository_of_restic_is_carried_on(ours: Ours, theirs: ResticInS3, tree: Path) -> None:
    theirs.run("init")
    theirs.run("backup", tree)
    fill(tree, seed=2)
    assert "saved" in ours.run("backup", tree)
    theirs.run("forget", "--keep-last", "1", "--prune")
    assert "no errors were found" in ours.run("check", "--read-data")
    assert len(json.loads(ours.run("snapshots", "--json"))) == 1


def test_both_at_the_same_time(ours: Ours, theirs: ResticInS3, tree: Path, tmp_path: Path) -> None:
    """Four writers at once, two of each kind, on content that is partly the same."""
    ours.make()
    trees = [tree] + [tmp_path / f"tree{number}" for number in range(3)]
    for number, folder in enumerate(trees[1:]):
        fill(folder, seed=1)
        fill(folder, seed=10 + number)
    running = [ours.start("backup", trees[0]), ours.start("backup", trees[1])]
    threads = [threading.Thread(target=theirs.run, args=("backup", folder)) for folder in trees[2:]]
    for thread in threads:
        thread.start()
    for process in running:
        _, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
    for thread in threads:
        thread.join()
    theirs.check()
    assert "no errors were found" in ours.run("check", "--read-data")
    assert len(json.loads(ours.run("snapshots", "--json"))) == 4


def test_prune_waits_for_whoever_reads_and_the_other_way(ours: Ours, theirs: ResticInS3, tree: Path) -> None:
    """Locks are files in the bucket that both programs list and respect."""
    ours.make()
    reading = Repository.open(S3Adapter(ours.settings), PASSWORD)
    with lock_repository(reading):
        assert "locked" in theirs.run("prune", check=False).stderr
        assert "locked" in ours.run("prune")
    with lock_repository(reading, exclusive=True):
        assert "locked" in theirs.run("backup", tree, check=False).stderr
        assert "locked" in ours.run("backup", tree)
    reading.close()
    theirs.run("prune")
    assert list_locks(ours) == []


def list_locks(ours: Ours) -> list[str]:
    storage = S3Adapter(ours.settings)
    found = [each.key for each in storage.list("locks/")]
    storage.close()
    return found


@pytest.mark.parametrize("state", ["warm", "cold"])
def test_an_unchanged_run_sends_little(
    s3_server: S3Server, s3_settings: S3Settings, tmp_path: Path, state: str
) -> None:
    """With a warm cache nothing is fetched but lists; without one, the index and the trees are too."""
    for number in range(40):
        fill(tmp_path / "tree" / f"{number}", seed=number, files=8)
    with wire_to(s3_server.settings.endpoint) as wire:
        storage = S3Adapter(replace(s3_settings, endpoint=wire.url))
        new_repo(storage)
        repo = Repository.open(storage, PASSWORD, cache_folder=str(tmp_path / "warm"))
        make_backup(repo, "tree", cwd=tmp_path)
        assert wire.sent > 10_000_000
        make_backup(repo, "tree", cwd=tmp_path)
        wire.restart_counting()
        again = Repository.open(storage, PASSWORD, cache_folder=str(tmp_path / state))
        made = make_backup(again, "tree", cwd=tmp_path)
        print(
            f"unchanged, {state}: {len(wire.requests)} requests, {wire.sent} bytes up, {wire.received} down"
        )
        again.close()
        repo.close()
    assert made.result.files_unmodified == 320
    assert wire.sent + wire.received < (30_000 if state == "warm" else 200_000)
    assert len(wire.requests) < (30 if state == "warm" else 150)


def test_no_secret_is_in_a_process_list(ours: Ours, tree: Path) -> None:
    """Look at the command lines of our process and all below it, for as long as it runs."""
    ours.make()
    secret = ours.environment["AWS_SECRET_ACCESS_KEY"]
    fill(tree, seed=5, files=40)
    process = ours.start("backup", tree)
    seen: set[str] = set()
    while process.poll() is None:
        seen |= set(map(_command_line, [process.pid, *descendants(process.pid)]))
    process.communicate()
    assert any("repository" in line and ours.place in line for line in seen)
    assert not [line for line in seen if secret in line or PASSWORD in line]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""  # it has ended


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "the secret access key does not fit"),
        ({"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_PROFILE": "mine"}, "profiles"),
    ],
)
def test_the_command_line_says_what_is_wrong(ours: Ours, change: dict[str, str], words: str) -> None:
    secret = ours.environment["AWS_SECRET_ACCESS_KEY"]
    ours.environment.update(change)
    said = ours.run("snapshots")
    assert words in said
    assert secret not in said
    assert "Traceback" not in said
