"""A shell on the host that stays, and runs the few programs that read files: a login for each would be slow.

Asked by a line `KIND BYTES` and that many bytes, names ended by NUL. Answers with the program's output and,
on both channels, a line with a mark that nobody else knows, and the program's exit code.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from sources.ssh.dialects import Dialect
from sources.ssh.host import SshHost, read_all
from ssh.errors import Unreachable
from ssh.process import Output, Process

Kind = Literal["tar", "status", "follow"]

_SCRIPT = rb"""
LC_ALL=C; TZ=UTC0; export LC_ALL TZ
while read -r kind count; do
    head -c "$count" | {
        case $kind in
        tar) %s ;;
        status) %s ;;
        follow) %s ;;
        esac
        code=$?
        cat >/dev/null  # names that it did not read
        exit $code
    }
    code=$?
    printf '\n%%s %%d\n' "$1" "$code"
    printf '\n%%s\n' "$1" >&2
done
"""
_READ_BYTES = 256 * 1024


class Worker:
    """One such shell. For one thread. An answer must be read to its end before the next question."""

    def __init__(self, host: SshHost, dialect: Dialect) -> None:
        """Start it. Raises Unreachable."""
        self._host = host.name
        self._mark = secrets.token_hex(16).encode()
        script = _SCRIPT % (dialect.tar, dialect.status, dialect.follow)
        command = [b"sh", b"-c", script, b"holdfast", self._mark, dialect.format]
        self._process: Process = host.start(command)
        self._rest = b""
        self._code: int | None = 0

    @property
    def idle(self) -> bool:
        """Tell whether it has answered all that it was asked."""
        return self._code is not None

    def ask(self, kind: Kind, names: bytes) -> None:
        """Start a program on these names, each ended by NUL. Raises Unreachable."""
        assert self.idle
        self._code = None
        self._process.write(b"%s %d\n%s" % (kind.encode(), len(names), names))

    def read(self, most: int) -> bytes:
        """Return some of the answer, b"" at its end. Raises Unreachable."""
        end = b"\n" + self._mark + b" "
        while self._code is None:
            at = self._rest.find(end)
            if at > 0 or (at < 0 and len(self._rest) > len(end)):
                stop = min(most, at if at > 0 else len(self._rest) - len(end))
                data, self._rest = self._rest[:stop], self._rest[stop:]
                return data
            if at == 0 and self._rest.endswith(b"\n") and len(self._rest) > len(end):
                self._code = int(self._rest[len(end) :])
                self._rest = b""
                return b""
            more = self._process.read(_READ_BYTES)
            if not more:
                raise Unreachable(self._why_ended())
            self._rest += more
        return b""

    def finish(self) -> Output:
        """Read the answer to its end; return it, with what the program complained of. Raises Unreachable."""
        text = read_all(self.read, self._host)
        complaints = self._process.stderr_until(b"\n" + self._mark + b"\n")
        return Output(self._code or 0, text, complaints)

    def close(self) -> None:
        """End it."""
        self._process.close()

    def _why_ended(self) -> str:
        output = self._process.output()
        said = output.stderr.decode("utf-8", "replace").strip()
        return f"the shell on the host ended with code {output.code}{': ' + said if said else ''}"


class Workers:
    """As many of them as are needed at a time."""

    def __init__(self, host: SshHost, dialect: Dialect) -> None:
        self._host = host
        self.dialect = dialect
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    @contextmanager
    def lend(self) -> Iterator[Worker]:
        """Lend one; it is closed if it is left in the middle of an answer. Raises Unreachable."""
        with self._lock:
            worker = self._idle.pop() if self._idle else None
        worker = worker or Worker(self._host, self.dialect)
        usable = False
        try:
            yield worker
            usable = worker.idle
        finally:
            if usable:
                with self._lock:
                    self._idle.append(worker)
            else:
                worker.close()

    def run(self, kind: Kind, names: bytes) -> Output:
        """Run a program to its end. Raises Unreachable."""
        with self.lend() as worker:
            worker.ask(kind, names)
            return worker.finish()

    def close(self) -> None:
        """End those that are not lent."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
