"""backup --stdin: what a program writes becomes one file, whole, or there is no snapshot."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.repository.engine import PASSWORD, Restic, latest, new_local_repo, open_local


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    new_local_repo(tmp_path / "repo")
    return tmp_path / "repo"


def back_up(repo: Path, data: bytes, *options: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "repository", "--no-cache", "-r", str(repo), "backup", *options]
    env = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    return subprocess.run(command, cwd=PROJECT, env=env, input=data, capture_output=True, check=False)


def test_a_stream_larger_than_any_buffer_is_stored_whole(repo: Path, restic: str) -> None:
    data = os.urandom(9_000_001)
    done = back_up(repo, data, "--stdin", "--stdin-filename", "dumps/all.sql", "--host", "db")
    assert (done.returncode, done.stderr) == (0, b"")
    snapshot = latest(open_local(repo))
    assert (snapshot.paths, snapshot.hostname) == (["/dumps/all.sql"], "db")
    real = Restic(restic, repo)
    command = [restic, "-r", str(repo), "--no-cache", "dump", "latest", "/dumps/all.sql"]
    assert subprocess.run(command, env=real.env(), capture_output=True, check=True).stdout == data
    real.check()


def test_the_same_stream_again_adds_nothing(repo: Path) -> None:
    data = os.urandom(3_000_000)
    back_up(repo, data, "--stdin")
    stored = sum(file.stat().st_size for file in (repo / "data").rglob("*"))
    assert back_up(repo, data, "--stdin").returncode == 0
    assert sum(file.stat().st_size for file in (repo / "data").rglob("*")) < stored + 10_000
    assert latest(open_local(repo)).paths == ["/stdin"]


def test_a_small_stream_is_read_too(repo: Path, restic: str) -> None:
    assert back_up(repo, b"x", "--stdin").returncode == 0
    assert Restic(restic, repo).run("dump", "latest", "/stdin").stdout == "x"


def test_an_empty_stream_is_refused_unless_it_is_allowed(repo: Path) -> None:
    done = back_up(repo, b"", "--stdin")
    assert done.returncode == 1
    assert b"did the program before fail" in done.stderr
    assert open_local(repo).list_snapshots() == []
    assert back_up(repo, b"", "--stdin", "--allow-empty").returncode == 0


@pytest.mark.parametrize("options", [[], ["--stdin", "/etc"]])
def test_paths_and_stdin_exclude_each_other(repo: Path, options: list[str]) -> None:
    done = back_up(repo, b"x", *options)
    assert done.returncode == 2
    assert b"not both" in done.stderr


def test_a_name_that_is_none_is_refused(repo: Path) -> None:
    assert back_up(repo, b"x", "--stdin", "--stdin-filename", "../..").returncode == 1
