"""The command line as a real process that gets a signal at a chosen moment of its writing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import PROJECT
from tests.repository.engine import Restic

# Runs the command line, and signals itself at the k-th moment at which a file is synced, named or deleted.
DRIVER = """
import os, sys, threading
k, number, seen, mutex = int(sys.argv.pop(1)), int(sys.argv.pop(1)), 0, threading.Lock()

def counted(call):
    def instead(*args, **kwargs):
        global seen
        with mutex:
            seen += 1
            if seen == k:
                os.kill(os.getpid(), number)
        return call(*args, **kwargs)
    return instead

for name in ("fsync", "replace", "rename", "link", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
from repository.cli import main
code = main(sys.argv[1:])
print("moments", seen)
sys.exit(code)
"""


def start(top: Path, *arguments: str, k: int = 0, number: int = signal.SIGKILL) -> subprocess.Popen[str]:
    """Start a command on the repository `repo` in `top`, in that folder; 0 as `k`: no signal."""
    environment = Restic("", top).env(PYTHONPATH=str(PROJECT))
    place = ("-r", str(top / "repo"), "--no-cache")
    command = [sys.executable, "-c", DRIVER, str(k), str(int(number)), *place, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=top, env=environment, stdout=pipe, stderr=pipe, text=True)


def run(top: Path, *arguments: str, k: int = 0, number: int = signal.SIGKILL) -> tuple[int, int, str]:
    """Run it to its end; return its exit code, how many moments it had, and what it said on stderr."""
    process = start(top, *arguments, k=k, number=number)
    out, errors = process.communicate(timeout=240)
    return process.returncode, int(out.split()[-1]) if "moments" in out else 0, errors


def wait_until_stopped(process: subprocess.Popen[str]) -> None:
    """Wait until SIGSTOP has reached it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with open(f"/proc/{process.pid}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] == b"T":
                return
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    raise AssertionError("it was not stopped")


def resume(process: subprocess.Popen[str]) -> str:
    """Let it go on to its end; return what it said on stderr."""
    os.kill(process.pid, signal.SIGCONT)
    return process.communicate(timeout=240)[1]
