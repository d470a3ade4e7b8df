"""kill -9 in the middle of a real run on a real disk: also between a file's content and its name."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from repository.check import check
from repository.locks import remove_stale_locks
from tests.conftest import PROJECT
from tests.repository.engine import Restic, new_local_repo, open_local
from tests.repository.upkeep import Contents, back_up, contents, fill, make_odd

# Runs the command line, and ends itself at the k-th moment at which a file is synced, named or deleted.
DRIVER = """
import os, signal, sys, threading
k, seen, mutex = int(sys.argv.pop(1)), 0, threading.Lock()

def counted(call):
    def instead(*args, **kwargs):
        global seen
        with mutex:
            seen += 1
            if seen == k:
                os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **kwargs)
    return instead

for name in ("fsync", "replace", "rename", "link", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
from repository.cli import main
code = main(sys.argv[1:])
print("moments", seen)
sys.exit(code)
"""
ARGUMENTS = {"prune": ["prune", "--max-unused", "0"], "backup": ["backup", "source"]}


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a repository that has much to prune, and what was backed up last."""
    top = tmp_path_factory.mktemp("original")
    repo = new_local_repo(top / "repo")
    fill(top / "source", 1, files=8)
    back_up(repo, top / "source")
    fill(top / "source", 2, files=4)
    back_up(repo, top / "source")
    make_odd(repo, 3)
    fill(top / "source", 4, files=3)
    return top


def run_killed(top: Path, k: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = Restic("", top).env(PYTHONPATH=str(PROJECT))
    command = [sys.executable, "-c", DRIVER, str(k), "-r", str(top / "repo"), *arguments]
    return subprocess.run(command, cwd=top, env=environment, capture_output=True, text=True, timeout=60)


def held(path: Path) -> dict[bytes, Contents]:
    repo = open_local(path)
    return {snapshot.tree: contents(repo, snapshot) for _, snapshot in repo.list_snapshots()}


@pytest.mark.parametrize("share", [0.1, 0.35, 0.5, 0.65, 0.8, 0.95])
@pytest.mark.parametrize("name", ["prune", "backup"])
def test_every_snapshot_survives(
    original: Path, tmp_path: Path, restic: str, name: str, share: float
) -> None:
    before, top = held(original / "repo"), tmp_path / "top"
    shutil.copytree(original, top, symlinks=True)
    whole = run_killed(shutil.copytree(top, tmp_path / "whole"), 0, *ARGUMENTS[name])
    moments = int(whole.stdout.split()[-1])
    killed = run_killed(top, max(1, int(moments * share)), *ARGUMENTS[name])
    assert killed.returncode == -signal.SIGKILL
    repo = open_local(top / "repo")
    remove_stale_locks(repo)  # of a process of this host that is gone
    assert list(repo.storage.list("locks/")) == []
    assert check(repo, read_data=True).errors == []
    Restic(restic, top / "repo").check()
    after = held(top / "repo")
    assert {tree: after.get(tree) for tree in before} == before
    assert run_killed(top, 0, *ARGUMENTS[name]).returncode == 0
    assert run_killed(top, 0, *ARGUMENTS["prune"]).returncode == 0
    final = check(open_local(top / "repo"), read_data=True)
    assert (final.errors, final.hints) == ([], [])
