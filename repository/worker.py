"""A helper process of a backup: reads directories and small files, and makes packs of what is new in them.

It holds the master key, which came over its pipe, and no storage: packs go back to the process that started
it, which alone writes. It asks that process which blobs are new, so that no two store the same. It ends when
its pipe ends, so never outlives a killed parent by more than a batch.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Any, Literal, NamedTuple

from repository.bloblist import BlobList
from repository.child import become_child
from repository.chunker import Chunk, Chunker
from repository.collector import rare_collections
from repository.content_reader import ContentReader, Reading
from repository.dir_reader import DirReader
from repository.entries import Problem, SourceUnavailable, SplittableSource
from repository.errors import RepositoryError
from repository.gotext import LocalZone
from repository.ids import hash_bytes
from repository.packer import Packer
from repository.pipe import Pipe
from repository.read_results import ReadDir, ReadFile, read_file
from repository.sealing import BlobSealer

# Of chunks that are asked about at once: what was read is still in the processor's cache then.
HOLD_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker needs to know: the first message it gets. All later ones are Work, or None at the end."""

    source: SplittableSource
    polynomial: str
    sealer: BlobSealer
    zone: tzinfo = UTC


class Files(NamedTuple):
    """Files to be read, and what the source said about them, if it is one that briefs its copies."""

    paths: list[bytes]
    brief: object = None


class Dirs(NamedTuple):
    """Directories to be read, the same way."""

    paths: list[bytes]
    brief: object = None


class Batch(NamedTuple):
    """What became of files, each with its path, or of directories, in order. Counts: new blobs."""

    files: list[tuple[bytes, ReadFile | Problem]]
    dirs: list[ReadDir | Problem]
    blobs: int
    plain_bytes: int
    stored_bytes: int


class Claim(NamedTuple):
    """Asks which of these blobs are new; the answer is a byte for each."""

    ids: bytes


class Pack(NamedTuple):
    """A finished pack; the descriptor of the memory with its bytes follows."""

    id: bytes
    blobs: BlobList
    size_bytes: int


class Failed(NamedTuple):
    """The worker's last message: what went wrong; `error` if it is one that callers know."""

    error: BaseException | None
    text: str


class Ended(NamedTuple):
    """The worker's last message: every pack was sent."""

    kind: Literal["ended"] = "ended"


Work = Files | Dirs


@dataclass(slots=True, eq=False)
class _Chunk:
    """A chunk: `data` until it was asked about; `stored_bytes` stays 0 if it was known already."""

    id: bytes
    length: int
    data: Chunk | None
    stored_bytes: int = 0


class Worker:
    """Reads batches and packs what is new."""

    def __init__(self, pipe: Pipe, setup: Setup) -> None:
        self._pipe = pipe
        self._source: Any = setup.source  # BriefedSource, where work comes with a brief
        self._sealer = setup.sealer
        self._reader = ContentReader(
            setup.source, Chunker(setup.polynomial), self._take, lambda path, count: None
        )
        self._dir_reader = DirReader(setup.source, self._reader, LocalZone(setup.zone))
        self._packer = Packer("data")
        self._held: list[_Chunk] = []
        self._held_bytes = 0

    def run(self) -> None:
        """Work until None comes in place of a batch; then send what is packed."""
        while (work := self._pipe.receive()) is not None:
            if work.brief is not None:
                self._source.take_brief(work.brief)
            self._pipe.send(self._read_dirs(work.paths) if isinstance(work, Dirs) else self._read(work.paths))
        if not self._packer.empty:
            self._send_pack()
        self._pipe.send(Ended())

    def _read(self, paths: list[bytes]) -> Batch:
        files = list(self._reader.read(paths))
        read = [reading for _, reading in files if isinstance(reading, Reading)]
        chunks = [chunk for reading in read for chunk in reading.chunks]
        return self._settle(chunks, [(path, read_file(path, reading)) for path, reading in files], [])

    def _read_dirs(self, paths: list[bytes]) -> Batch:
        dirs, chunks = [], []
        for path in paths:
            read, found = self._dir_reader.read(path)
            dirs.append(read)
            chunks += found
        return self._settle(chunks, [], dirs)

    def _settle(
        self,
        chunks: list[_Chunk],
        files: list[tuple[bytes, ReadFile | Problem]],
        dirs: list[ReadDir | Problem],
    ) -> Batch:
        """Store what is new of these chunks, and return all that came of a batch."""
        # What was read of a file that then changed is not among them, and need not be stored.
        self._store([chunk for chunk in chunks if chunk.data is not None])
        self._held, self._held_bytes = [], 0
        new = [chunk for chunk in chunks if chunk.stored_bytes]
        return Batch(
            files,
            dirs,
            len(new),
            sum(chunk.length for chunk in new),
            sum(chunk.stored_bytes for chunk in new),
        )

    def _take(self, data: Chunk) -> _Chunk:
        chunk = _Chunk(hash_bytes(data), len(data), data)
        self._held.append(chunk)
        self._held_bytes += len(data)
        if self._held_bytes > HOLD_BYTES:
            self._store(self._held)
            self._held, self._held_bytes = [], 0
        return chunk

    def _store(self, chunks: Iterable[_Chunk]) -> None:
        chunks = list(chunks)
        if not chunks:
            return
        self._pipe.send(Claim(b"".join(chunk.id for chunk in chunks)))
        for chunk, is_new in zip(chunks, self._pipe.receive_bytes(), strict=True):
            if is_new:
                self._pack(chunk, chunk.data or b"")
            chunk.data = None

    def _pack(self, chunk: _Chunk, data: Chunk) -> None:
        sealed, uncompressed_length = self._sealer.seal("data", data)
        self._packer.add(chunk.id, sealed, uncompressed_length)
        chunk.stored_bytes = len(sealed)
        if self._packer.full:
            self._send_pack()

    def _send_pack(self) -> None:
        packer, self._packer = self._packer, Packer("data")
        pack = packer.finish(self._sealer.key)
        self._pipe.send(Pack(pack.id, pack.blobs, len(pack.data)))
        assert pack.buffer is not None
        self._pipe.send_descriptor(pack.buffer.fd)


def main(fd: int) -> None:
    """Serve the process at the other end of the socket `fd` until it is gone, or says that all is done."""
    become_child()
    pipe = Pipe(socket.socket(fileno=fd))
    with contextlib.suppress(EOFError):  # the parent is gone, or has no use for us any more
        _serve(pipe)


def _serve(pipe: Pipe) -> None:
    try:
        with rare_collections():
            Worker(pipe, pipe.receive()).run()
    except EOFError:
        raise
    except (RepositoryError, SourceUnavailable) as error:
        pipe.send(Failed(error, str(error)))
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it and stop
        pipe.send(Failed(None, f"{type(error).__name__}: {error}"))


def affordable() -> int:
    """Return how many workers this machine has processors for; 0 if it has one only."""
    processors = len(os.sched_getaffinity(0))
    return min(processors, 4) if processors > 1 else 0
