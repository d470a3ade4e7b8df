"""Read the files of a backup and store their content: here, or in worker processes where it is worth it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType

from repository.chunker import CHUNK_SIZES, Chunk, Chunker
from repository.content_reader import ContentReader, Reading
from repository.crew import Crew, TakeDir
from repository.entries import Problem, Source
from repository.file_task import FileTask, Finished, Report
from repository.progress import ProgressCallback
from repository.repository import Repository
from repository.tally import Tally
from repository.writer import SavedBlob

# Below this, handing a chunk to another thread costs more than sealing it.
INLINE_BYTES = 16 * 1024
_TELL_EVERY_S = 0.25


class FileReader:
    """Read batches of files in the calling thread, seal their chunks in a few others. A context manager.

    With a crew, small files are read by its worker processes as soon as there are many.
    """

    def __init__(
        self,
        repo: Repository,
        source: Source,
        tally: Tally,
        progress: ProgressCallback,
        expected: tuple[int, int] | None = None,
        crew: Crew | None = None,
    ) -> None:
        self._tally = tally
        self._progress = progress
        self._expected = expected
        self._crew = crew
        self._sealer = _Sealer(repo)
        chunker = Chunker(repo.config.chunker_polynomial)
        self._content = ContentReader(source, chunker, self._save, self._count_read)
        self._told_at = 0.0
        self._bytes_read = 0  # of files that are not counted yet

    def __enter__(self) -> FileReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._crew:
            self._crew.stop()
        self._sealer.stop()

    def tell(self, phase: str, path: bytes) -> None:
        """Tell the caller where we are; it may raise Cancelled."""
        self._told_at = time.monotonic()
        self._progress(self._tally.progress(phase, self._expected, path, self._bytes_read))

    def read(self, tasks: Sequence[FileTask], report: Report, finished: Finished) -> None:
        """Read these files and store their content. Those that changed meanwhile are read once more.

        `finished` is called for each of them in this thread: now, or during a later call.
        """
        if self._crew:
            tasks = self._crew.offer(tasks, report, finished, self._wait)
        self._read_here(tasks, report)
        for task in tasks:
            finished(task)

    def expect(self, size_bytes: int) -> None:
        """Take note that a file of this size will be handed in."""
        if self._crew:
            self._crew.expect(size_bytes)

    @property
    def takes_dirs(self) -> bool:
        """Tell whether whole directories can be handed in: if there are workers by now."""
        return self._crew is not None and self._crew.takes_dirs

    def read_dir(self, path: bytes, take: TakeDir) -> None:
        """List a directory that is all new, and read its small files; `take` is called as `finished` is."""
        if self._crew:
            self._crew.add_dir(path, take)

    @property
    def busy(self) -> bool:
        """Tell whether something that was handed in is not finished."""
        return self._crew is not None and self._crew.busy

    def settle(self) -> None:
        """Wait a moment for more of it to be finished."""
        if self._crew:
            self._crew.settle()
            self._wait()

    def finish(self) -> None:
        """Hand over everything to the writer: no file comes any more."""
        if self._crew:
            self._crew.finish(self._wait)

    def _wait(self) -> None:
        """Take note that time passes while workers read."""
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self.tell("reading", b"")

    def _read_here(self, tasks: Sequence[FileTask], report: Report) -> None:
        self._bytes_read = 0
        waiting = {task.path: task for task in tasks}
        readings = []
        for path, reading in self._content.read(list(waiting)):
            if isinstance(reading, Problem):
                report(reading)
            else:
                readings.append((waiting[path], reading))
        for task, reading in readings:
            self._settle(task, reading, report)
        self._bytes_read = 0

    def _save(self, chunk: Chunk) -> tuple[_Saving, int]:
        return self._sealer.save(chunk), len(chunk)

    def _count_read(self, path: bytes, count: int) -> None:
        self._bytes_read += count
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self.tell("reading", path)
        if self._crew:
            self._crew.feed()  # they are not to wait until a large file is read

    def _settle(self, task: FileTask, reading: Reading[tuple[_Saving, int]], report: Report) -> None:
        """Wait until a file's chunks are saved, and take note of what it is now."""
        blobs = [(_saved(blob), length) for blob, length in reading.chunks]
        for saved, length in blobs:
            self._tally.count_blob("data", saved, length)
        self._bytes_read -= reading.size
        if problem := reading.problem(task.path):
            report(problem)
        if not reading.error:
            task.settle(reading.entry, [saved.id for saved, _ in blobs], reading.size)


class _Sealer:
    """Saves chunks: small ones at once, larger ones in a few threads, with a bound on what waits."""

    def __init__(self, repo: Repository) -> None:
        threads = min(4, len(os.sched_getaffinity(0)))
        self._save = repo.save_blob
        self._last: tuple[Chunk, Future[SavedBlob]] | None = None
        self._pool = ThreadPoolExecutor(threads, "seal")
        self._room = threading.BoundedSemaphore(2 * threads)  # chunks of up to 8 MiB in memory

    def save(self, chunk: Chunk) -> _Saving:
        if len(chunk) <= INLINE_BYTES:
            return self._save("data", chunk)
        if self._last and self._last[0] is chunk:
            return _Repeated(self._last[1])  # runs of zeros, which the chunker has compared
        self._room.acquire()
        future = self._pool.submit(self._save, "data", chunk)
        future.add_done_callback(lambda _: self._room.release())
        if len(chunk) == CHUNK_SIZES.maximum:
            self._last = chunk, future
        return future

    def stop(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _Repeated:
    """A chunk that is the same as another one, which is being saved."""

    first: Future[SavedBlob]


_Saving = SavedBlob | Future[SavedBlob] | _Repeated


def _saved(blob: _Saving) -> SavedBlob:
    if isinstance(blob, _Repeated):
        return SavedBlob(blob.first.result().id, False, 0)
    return blob.result() if isinstance(blob, Future) else blob
