"""A shell on the host that stays, and runs the few programs that read files: a login for each would be slow.

Asked by a line `KIND BYTES NUMBER PACKER` and that many bytes, names ended by NUL. Answers with the
program's output, packed if asked so, and, on both channels, a line with a mark that nobody else knows, and
the program's exit code.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from sources.ssh.dialects import Dialect
from sources.ssh.host import SshHost, read_all
from sources.ssh.packing import Packing, is_fast
from sources.ssh.unpacked import BadlyPacked, Packer, unpacked
from ssh.connection import WINDOW_BYTES
from ssh.errors import Unreachable
from ssh.process import Output, Process

Kind = Literal["tar", "status", "follow", "rest", "run", "noise"]

# `head` leaves what a program that ends early does not read: whoever asks then ends the shell. A pipe has the
# code of its last program alone, so that of the first goes another way: `packed` returns it, or else 99.
_SCRIPT = rb"""
LC_ALL=C; TZ=UTC0; QUOTING_STYLE=literal; export LC_ALL TZ QUOTING_STYLE
read -r mark || exit 9
set -- "$mark" "$1"
printf '\n%%s\n' "$1" >&2
noatime=
test "$(id -u)" = 0 && noatime=--atime-preserve=system  # others may not, for files that are not theirs
tar_of_names() { head -c "$count" | %s; }
run_words() { head -c "$count" | xargs -0 -x env; }
packed() {
    case $packer in
    -) "$1"; return ;;
    gzip) pack='gzip -c -1' ;;
    zstd) pack='zstd -q -c -1' ;;
    *) exit 9 ;;
    esac
    { codes=$({ { "$1" 3>&- 4>&-; echo $? >&3; } | $pack >&4 3>&- || echo 99 >&3; } 3>&1); } 4>&1
    set -- $codes
    return "${2:-${1:-99}}"
}
while read -r kind count number packer; do
    case $kind in
    tar) packed tar_of_names ;;
    run) packed run_words ;;
    status) head -c "$count" | %s ;;
    follow) head -c "$count" | %s ;;
    rest) head -c "$count" | xargs -0 sh -c 'exec tail -c "+$0" "$1"' "$number" ;;
    noise) head -c "$number" /dev/urandom ;;
    *) exit 9 ;;
    esac
    code=$?
    printf '\n%%s %%d\n' "$1" "$code"
    printf '\n%%s\n' "$1" >&2
done
"""
_BLOCKS, _MANY_BLOCKS = 20, 128  # of 512 bytes, in a record of an archive
_MANY_BYTES = 1024 * 1024
XARGS_FAILED = 123  # some of what it ran said no; other codes: it was killed, or never began
_TAIL_BYTES = 80  # longer than the line at the end


class Worker:
    """One such shell. For one thread. An answer must be read to its end before the next question."""

    def __init__(self, host: SshHost, dialect: Dialect) -> None:
        """Start it. Raises Unreachable."""
        self._host = host.name
        self._mark = secrets.token_hex(16).encode()
        self._end = b"\n" + self._mark + b" "
        script = _SCRIPT % (dialect.tar, dialect.status, dialect.follow)
        command = [b"sh", b"-c", script, b"holdfast", dialect.format]
        self._process: Process = host.start(command)
        self._process.write(self._mark + b"\n")  # everybody on a host may see a program's arguments
        self._rest = b""
        self._unpacked: Callable[[], bytes] | None = None
        self._code: int | None = 0
        self._finished = True
        self._began = False
        self._usable_until = dialect.code_of_failure
        self._kind: Kind = "status"

    @property
    def idle(self) -> bool:
        """Tell whether it has answered all that it was asked."""
        return self._code is not None

    @property
    def usable(self) -> bool:
        """Tell whether it may be asked again."""
        if self._code is None or not self._finished or not self._process.alive:
            return False  # what was not read would be taken for a part of the next answer
        # xargs has read all of its input if only what it ran has failed.
        return self._code < self._usable_until or (self._kind != "tar" and self._code == XARGS_FAILED)

    def ask(self, kind: Kind, names: bytes, number: int = 0, packer: Packer = "") -> None:
        """Start a program on these names, or, for `run`, one of these words, each ended by NUL.

        `number`: how much `tar` is to send, about; the byte to start from, counted from 1, for `rest`; how
        many bytes of `noise`. `packer` packs what `tar` and `run` send, on its way. Raises Unreachable.
        """
        assert self.idle
        self._code, self._kind, self._finished = None, kind, False
        self._unpacked = unpacked(self._read_as_sent, packer) if packer else None
        if kind == "tar":
            number = _MANY_BLOCKS if number >= _MANY_BYTES else _BLOCKS
        words = b"%s %d %d %s\n" % (kind.encode(), len(names), number, packer.encode() or b"-")
        self._process.write(words + names)

    def read(self, most: int = WINDOW_BYTES) -> bytes:
        """Return some of the answer, b"" at its end. Raises Unreachable, BadlyPacked."""
        if self._unpacked is None:
            return self._read_as_sent(most)
        if data := self._unpacked():
            return data
        if self._read_as_sent(most):
            raise BadlyPacked("more comes after its end")
        return b""

    def _read_as_sent(self, most: int = WINDOW_BYTES) -> bytes:
        while self._code is None:
            more = self._process.read(most)
            if not more:
                raise Unreachable(self._why_ended())
            data, self._rest = self._without_end(self._rest + more if self._rest else more)
            if data:
                return data
        return b""

    def _without_end(self, data: bytes) -> tuple[bytes, bytes]:
        """Split off what is, or may be the start of, the line that ends an answer: nothing follows it."""
        tail = data[-_TAIL_BYTES:]
        at = tail.find(b"\n")
        while at >= 0:
            line = tail[at:]
            if line.startswith(self._end) and line.endswith(b"\n"):
                self._code = int(line[len(self._end) :])
                return data[: len(data) - len(line)], b""
            if line.startswith(self._end) or self._end.startswith(line):
                return data[: len(data) - len(line)], line
            at = tail.find(b"\n", at + 1)
        return data, b""

    def finish(self) -> Output:
        """Read the answer to its end; return it, with what the program complained of.

        Raises Unreachable, BadlyPacked.
        """
        text = read_all(self.read, self._host)
        if not self._began:  # what was said before, as of a missing home, is about no file
            self._complaints()
            self._began = True
        complaints = self._complaints()
        self._finished = True
        return Output(self._code or 0, text, complaints)

    def close(self) -> None:
        """End it."""
        self._process.close()

    def _complaints(self) -> bytes:
        return self._process.stderr_until(b"\n" + self._mark + b"\n")

    def _why_ended(self) -> str:
        output = self._process.output()
        said = output.stderr.decode("utf-8", "replace").strip()
        return f"the shell on the host ended with code {output.code}{': ' + said if said else ''}"


class Workers:
    """As many of them as are needed at a time."""

    def __init__(self, host: SshHost, dialect: Dialect, packing: Packing | None = None) -> None:
        self._host = host
        self.dialect = dialect.marked()
        self._packing = packing or Packing()
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    @contextmanager
    def lend(self) -> Iterator[Worker]:
        """Lend one; it is closed if it is left in the middle of an answer. Raises Unreachable."""
        worker = self._pop() or Worker(self._host, self.dialect)
        usable = False
        try:
            yield worker
            usable = worker.usable
        finally:
            if usable:
                with self._lock:
                    self._idle.append(worker)
            else:
                worker.close()

    def _pop(self) -> Worker | None:
        with self._lock:
            while self._idle:
                worker = self._idle.pop()
                if worker.usable:
                    return worker
                worker.close()
        return None

    @property
    def text_packer(self) -> Packer:
        """What a long listing is packed by."""
        return self._packing.listing

    def file_packer(self, size: int) -> Packer:
        """Return what so many bytes of files are packed by on this link. Raises Unreachable."""
        return self._packing.of_files(size, self._is_fast)

    def _is_fast(self, bytes_a_second: int) -> bool:
        with self.lend() as worker:
            return is_fast(worker, bytes_a_second)

    def run(self, words: Sequence[bytes], packer: Packer = "") -> Output:
        """Run a program of these words, with no input. Raises Unreachable, BadlyPacked."""
        return self.ask("run", b"".join(word + b"\0" for word in words), packer)

    def ask(self, kind: Kind, names: bytes, packer: Packer = "") -> Output:
        """Ask one of them, and read the whole answer. Raises Unreachable, BadlyPacked."""
        with self.lend() as worker:
            worker.ask(kind, names, packer=packer)
            return worker.finish()

    def close(self) -> None:
        """End those that are not lent."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.close()
