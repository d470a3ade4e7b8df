"""Find PostgreSQL's client programs in the version that fits a server, and run them."""

from __future__ import annotations

import fcntl
import glob
import os
import re
import select
import shutil
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from sources.postgres.errors import ProgramMissing
from sources.postgres.server import Server

# Debian keeps the versions side by side here; /usr/bin has a wrapper that picks one by its own rules.
FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql*/bin")
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)(\S*)")
_KEPT_OUTPUT = 256 * 1024
_LAST_WAIT_S = 5.0
_LOOK_EVERY_S = 0.5
_PIPE_BYTES = 1 << 20
_MUCH_BYTES = _PIPE_BYTES // 4
_GATHER_S = 0.001  # what a fast program writes meanwhile has room in the pipe


@dataclass(frozen=True, slots=True)
class Program:
    """An installed client program; `version` is as it tells it, such as 15.8."""

    path: str
    version: str
    major: int


def find_program(name: str, at_least: int, folders: Sequence[str] = FOLDERS) -> Program:
    """Return the oldest installed version of a program that is at least of this major version.

    The oldest: a newer pg_restore sends settings that an older server does not know. Raises ProgramMissing.
    """
    found = list(installed(name, folders))
    fitting = [program for program in found if program.major >= at_least]
    if fitting:
        return min(fitting, key=lambda program: program.major)
    advice = (
        f"install PostgreSQL's client programs {at_least} or newer (Debian: postgresql-client-{at_least})"
    )
    if not found:
        raise ProgramMissing(f"{name} is not installed; {advice}")
    newest = max(found, key=lambda program: program.major)
    raise ProgramMissing(
        f"{name} {at_least} or newer is needed, and the newest one here is {newest.version} ({newest.path}): "
        f"an older one cannot be trusted with what a newer server holds; {advice}"
    )


def installed(name: str, folders: Sequence[str] = FOLDERS) -> Iterator[Program]:
    """Yield every version of a program that is installed, in the usual folders or on the PATH."""
    paths = [path for folder in folders for path in sorted(glob.glob(os.path.join(folder, name)))]
    on_path = shutil.which(name)
    for path in [*paths, *([on_path] if on_path else [])]:
        try:
            told = subprocess.run(
                [path, "--version"], capture_output=True, text=True, check=False, timeout=30
            )
        except OSError:
            continue  # not a program of this machine; there may be others
        match = _VERSION.search(told.stdout)
        if match:
            yield Program(path, match[1] + match[2], int(match[1]))


class Child:
    """A running client program. Its password comes by its environment, its messages are kept (256 KiB).

    It has the connection's address and user in its arguments, and nothing else of ours.
    """

    def __init__(
        self, program: Program, arguments: Sequence[str], server: Server, *, stdin: bool = False
    ) -> None:
        self._server = server
        self._process = subprocess.Popen(
            [program.path, *arguments],
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if stdin else subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(server),
            bufsize=0,
            cwd="/",
        )
        self._poll = select.poll()
        if self._process.stdout is not None:
            _enlarge(self._process.stdout.fileno())
            self._poll.register(self._process.stdout, select.POLLIN)
        self._messages = bytearray()
        self._reader = threading.Thread(target=self._keep_messages, name="messages", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def stdout(self) -> IO[bytes]:
        """What it writes, unbuffered."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def stdin(self) -> IO[bytes]:
        """What it reads, unbuffered."""
        assert self._process.stdin is not None
        return self._process.stdin

    def wait(self, waiting: Callable[[], None] = lambda: None) -> int:
        """Wait until it has ended; return its exit code. `waiting` is called twice a second and may raise."""
        while True:
            try:
                code = self._process.wait(_LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                waiting()
                continue
            self._reader.join()
            return code

    def await_output(self, waiting: Callable[[], None]) -> None:
        """Wait until it wrote something or closed its output; `waiting` is called meanwhile and may raise."""
        while not self._poll.poll(_LOOK_EVERY_S * 1000):
            waiting()

    def read_much(self, buffer: memoryview, waiting: Callable[[], None]) -> int:
        """Fill `buffer` with what it writes, once there is much of it or it writes no more; 0 at the end.

        It writes a few KiB at a time: whoever takes each of them at once spends more on that than on the
        content, and keeps waking it.
        """
        self.await_output(waiting)
        fd = self.stdout.fileno()
        if _waiting_bytes(fd) < _MUCH_BYTES:
            time.sleep(_GATHER_S)
        return os.readv(fd, [buffer])

    def has_output(self) -> bool:
        """Tell whether something waits to be read now."""
        return any(event & select.POLLIN for _, event in self._poll.poll(0))

    def read_all(self, waiting: Callable[[], None]) -> bytes:
        """Return all that it writes until it closes its output; for what is small."""
        pieces: list[bytes] = []
        while True:
            self.await_output(waiting)
            piece = os.read(self.stdout.fileno(), 65536)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def feed(self, pieces: Iterable[bytes], waiting: Callable[[], None]) -> None:
        """Write all to it and close its input. Raises what `pieces` and `waiting` raise.

        If it ends before it has read all, the rest is not asked for: its exit code and messages say why.
        """
        fd = self.stdin.fileno()
        os.set_blocking(fd, False)
        try:
            for piece in pieces:
                _write(fd, piece, waiting)
        except BrokenPipeError:
            return
        finally:
            self.stdin.close()

    def stop(self) -> None:
        """End it, at once if it does not end when asked to, and close its pipes."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_LAST_WAIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def messages(self) -> list[str]:
        """Return the lines it wrote for people, without secrets."""
        lines = bytes(self._messages).decode("utf-8", "replace").splitlines()
        return [self._server.scrub(line) for line in lines if line.strip()]

    def _keep_messages(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stream:
            while piece := stream.read(65536):
                self._messages += piece[: _KEPT_OUTPUT - len(self._messages)]


def _enlarge(fd: int) -> None:
    """Give a pipe all the room that a user may have; the kernel may refuse, and its own will do."""
    with suppress(OSError):
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _waiting_bytes(fd: int) -> int:
    """Return how much waits in a pipe to be read."""
    (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    return int(count)


def _write(fd: int, data: bytes, waiting: Callable[[], None]) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    left = memoryview(data)
    while left:
        if poll.poll(_LOOK_EVERY_S * 1000):
            left = left[os.write(fd, left) :]  # something fits: it never blocks, nor raises BlockingIOError
        waiting()


def in_short(messages: Sequence[str], most: int = 6) -> str:
    """Return the last lines of a program's messages, where it says why it ended, as one line."""
    return " / ".join(messages[-most:]) or "it gave no reason"


def _environment(server: Server) -> dict[str, str]:
    """Return all that a client program gets to see: nothing of ours but the password."""
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    return {**environment, "PGPASSWORD": server.password} if server.password else environment
