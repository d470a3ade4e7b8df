"""Read the content of files: cut into chunks, notice what changed meanwhile and read that once more."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from repository.chunker import Chunk, Chunker
from repository.entries import Entry, OpenFile, Problem, Source

# Slices, so that a slow source is heard of (and can be cancelled) before a large buffer is full.
READ_BYTES = 4 * 1024 * 1024

T = TypeVar("T")


@dataclass(slots=True)
class Reading(Generic[T]):
    """One pass over a file: its chunks, the bytes read, and its metadata before and after."""

    entry: Entry
    chunks: list[T] = field(default_factory=list)
    size: int = 0
    now: Entry | None = None
    error: str = ""

    @property
    def shrank(self) -> bool:
        """Tell whether less could be read than the file held when it was opened."""
        return self.size < self.entry.size

    @property
    def altered(self) -> bool:
        """Tell whether what was read may mix two states of the file."""
        if self.now is None:
            return False
        if self.now is self.entry:  # what most sources say of a file that kept still
            return self.shrank
        return self.shrank or _version(self.now) != _version(self.entry)

    def problem(self, path: bytes) -> Problem | None:
        """Return what is wrong with this pass, if it was the last one. After an error it has no content."""
        if self.error:
            return Problem(path, "unreadable", f"reading failed: {self.error}")
        if self.shrank:
            lost = f"only {self.size} of {self.entry.size} bytes could be read, twice; stored as read"
            return Problem(path, "shrank", lost)
        if self.altered:
            return Problem(path, "changed", "it changed while it was read, twice; stored as read")
        return None


class ContentReader(Generic[T]):
    """Read files of a source in the calling thread.

    `take` is given each chunk and returns what stands for it in a Reading; `on_read` is told (path, count)
    of each piece that was read.
    """

    def __init__(
        self,
        source: Source,
        chunker: Chunker,
        take: Callable[[Chunk], T],
        on_read: Callable[[bytes, int], None],
    ) -> None:
        self._source = source
        self._chunker = chunker
        self.take = take
        self._on_read = on_read

    def read(self, paths: Sequence[bytes]) -> Iterator[tuple[bytes, Reading[T] | Problem]]:
        """Yield each path once, with its last reading or with why there is none, in any order."""
        again: list[bytes] = []
        for path, reading in self._read_once(paths, last_try=False):
            if isinstance(reading, Reading) and reading.altered:
                again.append(path)
            else:
                yield path, reading
        if again:
            yield from self._read_once(again, last_try=True)

    def _read_once(
        self, paths: Sequence[bytes], *, last_try: bool
    ) -> Iterator[tuple[bytes, Reading[T] | Problem]]:
        waiting = set(paths)
        for file in self._open(paths):
            waiting.discard(file.path)
            if isinstance(file, Problem):
                yield file.path, file
                continue
            # A file that goes on growing is read to where it ends then, not to where it ended.
            yield file.path, self._read_file(file, 0 if last_try else file.entry.size)
        for path in sorted(waiting):
            lost = "the source did not deliver it; the next backup tries again"
            yield path, Problem(path, "unreadable", lost)

    def _open(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        if not paths:
            return
        opened = self._source.open_files(paths)
        try:
            yield from opened
        finally:
            if isinstance(opened, Generator):
                opened.close()  # a source may hold a connection or open folders

    def _read_file(self, file: OpenFile, expected: int) -> Reading[T]:
        reading: Reading[T] = Reading(file.entry)

        def readinto(buffer: memoryview) -> int:
            count = file.readinto(buffer[:READ_BYTES])
            reading.size += count
            self._on_read(file.path, count)
            return count

        try:
            for chunk in self._chunker.cut(readinto, expected):
                reading.chunks.append(self.take(chunk))
            reading.now = file.entry_now()
        except OSError as error:
            reading.error = error.strerror or str(error)
        finally:
            file.close()
        return reading


def _version(entry: Entry) -> tuple[int, int, int]:
    return entry.size, entry.mtime_ns, entry.ctime_ns
