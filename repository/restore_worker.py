"""A helper process of a restore: writes batches of small files, whose sealed content it is given.

It holds the master key, which came over its pipe, and no storage. What it cannot open, the process that
started it tries elsewhere. It ends when its pipe ends, so it outlives a killed parent by a batch at most.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from repository.child import become_child
from repository.collector import rare_collections
from repository.crypto import MasterKey
from repository.entries import Entry, Problem, Target, TargetError, TargetFull
from repository.errors import Damaged
from repository.pipe import Pipe
from repository.restore_measure import measure, require_size
from repository.sealing import open_sealed


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to know: the first message it gets. All later ones are Orders."""

    target: Target
    key: MasterKey
    verify: bool


class SealedBlob(NamedTuple):
    """Where in the bytes that were read a blob lies."""

    id: bytes
    start: int
    length: int
    uncompressed_length: int | None


class Order(NamedTuple):
    """Files to write: path, the values of the Entry, blobs. One message of bytes follows for each of `reads`.

    Bytes that could not be read are empty.
    """

    number: int
    files: list[tuple[bytes, tuple[Any, ...], Sequence[bytes]]]
    reads: list[list[SealedBlob]]


class Written(NamedTuple):
    """What became of an order; files by their place in it, those that are not named are written and whole.

    `failed`: refused by the target. `unread`: content missing or damaged, not touched. `full`: no space is
    left, and the rest was not tried.
    """

    number: int
    problems: list[Problem]
    failed: list[tuple[int, str]]
    unread: list[int]
    full: str = ""


class Failed(NamedTuple):
    """The worker's last message: what went wrong."""

    text: str


class Worker:
    """Writes what it is told to; `stopped` is asked before each file."""

    def __init__(self, pipe: Pipe, setup: Setup, stopped: Callable[[], bool]) -> None:
        self._pipe = pipe
        self._target = setup.target
        self._key = setup.key
        self._measure = measure(setup.target) if setup.verify else None
        self._stopped = stopped

    def run(self) -> None:
        """Work until the pipe ends."""
        while True:
            order: Order = self._pipe.receive()
            self._pipe.send(self._write(order, self._receive(order)))

    def _receive(self, order: Order) -> dict[bytes, tuple[memoryview, int | None]]:
        """Return the sealed bytes of each blob that could be read."""
        found: dict[bytes, tuple[memoryview, int | None]] = {}
        for blobs in order.reads:
            view = memoryview(self._pipe.receive_bytes())
            for blob_id, start, length, uncompressed_length in blobs if view else ():
                found[blob_id] = view[start : start + length], uncompressed_length
        return found

    def _write(self, order: Order, sealed: dict[bytes, tuple[memoryview, int | None]]) -> Written:
        done = Written(order.number, [], [], [])
        for number, (path, values, content) in enumerate(order.files):
            if self._stopped():
                raise EOFError
            try:
                entry = Entry(*values)
                chunks = self._open(content, sealed, entry.size)
                done.problems.extend(self._target.write_file(path, entry, chunks))
                if self._measure:
                    require_size(self._measure, path, entry.size)
            except TargetFull as error:
                return done._replace(full=str(error))
            except TargetError as error:
                done.failed.append((number, str(error)))
            except (Damaged, KeyError):
                done.unread.append(number)
        return done

    def _open(
        self, content: Sequence[bytes], sealed: dict[bytes, tuple[memoryview, int | None]], size: int
    ) -> list[bytes]:
        """Return the chunks of a file. Raises Damaged, also if they are not as long as it should be."""
        chunks = [open_sealed(self._key, blob, *sealed[blob]) for blob in content]
        if sum(map(len, chunks)) != size:
            raise Damaged("its content is not as long as the snapshot says")
        return chunks


def main(fd: int) -> None:
    """Serve the process at the other end of the socket `fd` until it is gone, or has told us to end."""
    become_child()
    stopped: list[int] = []
    # Not at once: a file that is being written is finished, so that no temporary name stays.
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    pipe = Pipe(socket.socket(fileno=fd))
    with contextlib.suppress(EOFError):  # the parent is gone, or has no use for us any more
        _serve(pipe, lambda: bool(stopped))
    if stopped:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)  # so that the parent learns what it was


def _serve(pipe: Pipe, stopped: Callable[[], bool]) -> None:
    try:
        with rare_collections():
            Worker(pipe, pipe.receive(), stopped).run()
    except EOFError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it and stop
        pipe.send(Failed(f"{type(error).__name__}: {error}"))
