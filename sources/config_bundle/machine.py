"""A machine whose configuration is asked for: this one, or one made of a few files."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TIME_LIMIT_S = 60

Kind = Literal["file", "other", "none"]


@dataclass(frozen=True, slots=True)
class Output:
    """What a program wrote, and how it ended."""

    code: int
    stdout: bytes
    stderr: bytes


class Machine(Protocol):
    """Files by absolute paths, and programs. `root`: where its files begin, as its own programs see them.

    All raise OSError where it lets nobody look.
    """

    @property
    def root(self) -> str: ...

    @property
    def kernel(self) -> str:
        """The release of its kernel."""

    def kind(self, path: str) -> Kind:
        """Tell what stands at a path: a file, also at the end of a link; nothing; or something else."""

    def text(self, path: str) -> str:
        """Return a file's text; bytes that are no UTF-8 as surrogates."""

    def names(self, path: str) -> list[str]:
        """Return the names in a folder; none where there is no folder."""

    def find(self, program: str) -> str | None:
        """Return the path of a program of the system."""

    def run(self, command: Sequence[str]) -> Output:
        """Run a program to its end, its messages in English."""


class ThisMachine:
    """This machine, or the part of it below `root`."""

    def __init__(self, root: str = "/") -> None:
        self._root = root

    @property
    def root(self) -> str:
        """Where its files begin."""
        return self._root

    @property
    def kernel(self) -> str:
        """The release of the kernel."""
        return os.uname().release

    def kind(self, path: str) -> Kind:
        """Tell what stands at a path."""
        place = self._at(path)
        if not os.path.lexists(place):
            return "none"
        return "file" if os.path.isfile(place) else "other"

    def text(self, path: str) -> str:
        """Return a file's text."""
        with open(self._at(path), encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    def names(self, path: str) -> list[str]:
        """Return the names in a folder."""
        place = self._at(path)
        return os.listdir(place) if os.path.isdir(place) else []

    def find(self, program: str) -> str | None:
        """Return the path of a program."""
        return shutil.which(program, path=PATH)

    def run(self, command: Sequence[str]) -> Output:
        """Run a program, for a minute at most."""
        environment = {"PATH": PATH, "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                command, capture_output=True, env=environment, check=False, timeout=TIME_LIMIT_S
            )
        except subprocess.TimeoutExpired as err:
            raise OSError(errno.ETIMEDOUT, str(err)) from err
        return Output(done.returncode, done.stdout, done.stderr)

    def _at(self, path: str) -> str:
        return os.path.join(self._root, path.lstrip("/"))
