"""Run programs on this machine, as sources.ssh.host does on others."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from repository.entries import SourceUnavailable

_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Output:
    """What a program wrote, and its exit code."""

    stdout: bytes
    stderr: bytes
    code: int


class Here:
    """This machine."""

    @property
    def name(self) -> str:
        """Return how messages call it."""
        return socket.gethostname()

    def run(self, command: Sequence[bytes], stdin: bytes = b"") -> Output:
        """Run a program to its end. Raises SourceUnavailable if it cannot be, or takes too long."""
        try:
            done = subprocess.run(command, input=stdin, capture_output=True, timeout=_LIMIT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise SourceUnavailable(f"{self.name}: {command[0]!r} took too long") from error
        except OSError as error:
            raise SourceUnavailable(f"{self.name}: a program cannot be run: {error.strerror}") from error
        return Output(done.stdout, done.stderr, done.returncode)
