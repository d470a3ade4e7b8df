"""Read files: cut into chunks, seal them beside the reading, notice changes meanwhile."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

from repository.chunker import Chunker
from repository.entries import Entry, OpenFile, Problem, Source
from repository.progress import ProgressCallback
from repository.repository import Repository
from repository.tally import Tally
from repository.tree import Node
from repository.writer import SavedBlob

# Below this, handing a chunk to another thread costs more than sealing it.
INLINE_BYTES = 16 * 1024
READ_BYTES = 4 * 1024 * 1024
_TELL_EVERY_S = 0.25

Report = Callable[[Problem], None]
Finished = Callable[["FileTask"], None]


@dataclass(slots=True, eq=False)
class FileTask:
    """A file to be read, and what became of it: `content` stays None if it could not be read.

    `read_as` is its metadata when it was opened, `size` the bytes read. `followers` are hard links to it.
    """

    path: bytes
    entry: Entry
    previous: Node | None = None
    on_finish: Callable[[], None] = lambda: None
    pending: bool = True
    read_as: Entry | None = None
    content: list[bytes] | None = None
    size: int = 0
    followers: list[FileTask] = field(default_factory=list)


class FileReader:
    """Read batches of files in the calling thread, seal their chunks in a few others. A context manager."""

    def __init__(
        self,
        repo: Repository,
        source: Source,
        tally: Tally,
        progress: ProgressCallback,
        expected: tuple[int, int] | None = None,
    ) -> None:
        self._source = source
        self._tally = tally
        self._progress = progress
        self._expected = expected
        self._chunker = Chunker(repo.config.chunker_polynomial)
        self._sealer = _Sealer(repo)
        self._told_at = 0.0
        self._bytes_read = 0  # of files that are not counted yet

    def __enter__(self) -> FileReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sealer.stop()

    def tell(self, phase: str, path: bytes) -> None:
        """Tell the caller where we are; it may raise Cancelled."""
        self._told_at = time.monotonic()
        self._progress(self._tally.progress(phase, self._expected, path, self._bytes_read))

    def read(self, tasks: Sequence[FileTask], report: Report, finished: Finished) -> None:
        """Read these files and store their content. Those that changed meanwhile are read once more.

        `finished` is called for each of them in this thread: now, or during a later `read` or `drain`.
        """
        self._bytes_read = 0
        again = self._read_all(tasks, report, last_try=False)
        self._read_all(again, report, last_try=True)
        self._bytes_read = 0
        for task in tasks:
            finished(task)

    def drain(self) -> None:
        """Wait until every file handed in before is finished."""

    def _read_all(self, tasks: Sequence[FileTask], report: Report, *, last_try: bool) -> list[FileTask]:
        """Read files once; return those to be read again."""
        waiting = {task.path: task for task in tasks}
        readings: list[tuple[FileTask, _Reading]] = []
        again: list[FileTask] = []
        for file in self._open(list(waiting)):
            task = waiting.pop(file.path)
            if isinstance(file, Problem):
                report(file)
                continue
            reading = self._read_file(file)
            if not last_try and reading.altered:
                again.append(task)
            else:
                readings.append((task, reading))
        for path in waiting:
            report(Problem(path, "unreadable", "the source did not deliver it; the next backup tries again"))
        for task, reading in readings:
            self._settle(task, reading, report)
        return again

    def _open(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        if not paths:
            return
        opened = self._source.open_files(paths)
        try:
            yield from opened
        finally:
            if isinstance(opened, Generator):
                opened.close()  # a source may hold a connection or open folders

    def _read_file(self, file: OpenFile) -> _Reading:
        reading = _Reading(file.entry)
        try:
            for chunk in self._chunker.cut(lambda buffer: self._readinto(file, buffer, reading)):
                reading.blobs.append((self._sealer.save(chunk), len(chunk)))
            reading.now = file.entry_now()
        except OSError as error:
            reading.error = error.strerror or str(error)
        finally:
            file.close()
        return reading

    def _readinto(self, file: OpenFile, buffer: memoryview, reading: _Reading) -> int:
        # Slices, so that a slow source is heard of (and can be cancelled) before a large buffer is full.
        count = file.readinto(buffer[:READ_BYTES])
        reading.size += count
        self._bytes_read += count
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self.tell("reading", file.path)
        return count

    def _settle(self, task: FileTask, reading: _Reading, report: Report) -> None:
        """Wait until a file's chunks are saved, and take note of what it is now."""
        blobs = [(_saved(blob), length) for blob, length in reading.blobs]
        for saved, length in blobs:
            self._tally.count_blob("data", saved, length)
        self._bytes_read -= reading.size
        if reading.error:
            report(Problem(task.path, "unreadable", f"reading failed: {reading.error}"))
            return
        task.read_as, task.size = reading.entry, reading.size
        task.content = [saved.id for saved, _ in blobs]
        if reading.shrank:
            lost = f"only {reading.size} of {reading.entry.size} bytes could be read, twice; stored as read"
            report(Problem(task.path, "shrank", lost))
        elif reading.altered:
            report(Problem(task.path, "changed", "it changed while it was read, twice; stored as read"))


@dataclass(slots=True)
class _Reading:
    """One pass over a file: its chunks, the bytes read, and its metadata before and after."""

    entry: Entry
    blobs: list[tuple[SavedBlob | Future[SavedBlob], int]] = field(default_factory=list)
    size: int = 0
    now: Entry | None = None
    error: str = ""

    @property
    def shrank(self) -> bool:
        return self.size < self.entry.size

    @property
    def altered(self) -> bool:
        """Tell whether what was read may mix two states of the file."""
        if self.now is None:
            return False
        return self.shrank or _version(self.now) != _version(self.entry)


class _Sealer:
    """Saves chunks: small ones at once, larger ones in a few threads, with a bound on what waits."""

    def __init__(self, repo: Repository) -> None:
        threads = min(4, os.cpu_count() or 1)
        self._save = repo.save_blob
        self._pool = ThreadPoolExecutor(threads, "seal")
        self._room = threading.BoundedSemaphore(2 * threads)  # chunks of up to 8 MiB in memory

    def save(self, chunk: bytes) -> SavedBlob | Future[SavedBlob]:
        if len(chunk) <= INLINE_BYTES:
            return self._save("data", chunk)
        self._room.acquire()
        future = self._pool.submit(self._save, "data", chunk)
        future.add_done_callback(lambda _: self._room.release())
        return future

    def stop(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


def _saved(blob: SavedBlob | Future[SavedBlob]) -> SavedBlob:
    return blob.result() if isinstance(blob, Future) else blob


def _version(entry: Entry) -> tuple[int, int, int]:
    return entry.size, entry.mtime_ns, entry.ctime_ns
