"""A fresh copy of the project, started as a new user starts it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from pathlib import Path

from tests.conftest import PROJECT
from tests.ports import free_port

START_S = 600  # it installs all packages, on a machine that is busy
STOP_S = 60


class Installed:
    """`make run` in a copy of what git tracks, with its output read as it comes."""

    def __init__(self, folder: Path, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.port = free_port()
        self.lines: list[str] = []
        self._env = {**_bare_environment(), "PORT": str(self.port), **(environment or {})}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Run it and wait until it says where it is; fails with its output if it does not."""
        self.lines = []
        self._process = subprocess.Popen(
            ["make", "run"], cwd=self.folder, env=self._env, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        threading.Thread(target=self._read, daemon=True).start()
        self.wait_for_line("Holdfast is running at")

    def setup_link(self) -> str:
        """Return the one-time link, which stands alone on a line."""
        return self.wait_for_line(r"http://\S+/setup\?token=\S+$")

    def wait_for_line(self, start: str) -> str:
        """Return the first line that begins with what this pattern fits."""
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            found = [line for line in self.lines if re.match(start, line)]
            if found:
                return found[0]
            assert self._process is not None
            assert self._process.poll() is None, "it ended:\n" + "\n".join(self.lines)
            time.sleep(0.1)
        raise AssertionError(f"no line {start!r} in:\n" + "\n".join(self.lines))

    def stop(self) -> int:
        """Press Ctrl-C, as a terminal does: the whole process group gets SIGINT. Return the exit code."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        os.killpg(process.pid, signal.SIGINT)
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    def flask(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a `flask` command of this copy."""
        command = [str(self.folder / ".venv/bin/flask"), *arguments]
        env = {**self._env, **environment}
        return subprocess.run(command, cwd=self.folder, env=env, text=True, capture_output=True, check=False)

    def _read(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line.rstrip("\n"))
        process.stdout.close()


def copy_project(folder: Path) -> Path:
    """Copy what git tracks or would track, as it is now, into `folder`: no data, no .venv."""
    listed = subprocess.run(
        ["git", "ls-files", "-coz", "--exclude-standard"], cwd=PROJECT, capture_output=True, check=True
    ).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (PROJECT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    return folder


def _bare_environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TZ", "PIP_", "SSL_", "http_proxy", "https_proxy", "no_proxy", "TMPDIR")
    return {name: value for name, value in os.environ.items() if name.startswith(kept)}
