"""Give the small files of a backup to worker processes, once there are enough of them to be worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from repository.entries import Entry, Problem
from repository.file_task import FileTask, Finished, Report
from repository.tally import Tally
from repository.worker import Batch, ReadFile, Setup, entry_values
from repository.worker_pool import WorkerPool
from repository.writer import BlobWriter

# Before that, starting processes (a fifth of a second each) costs more than it saves.
START_FILES = 1000
START_BYTES = 64 * 1024 * 1024
# The chunks of larger files keep all processors busy from threads.
LARGE_BYTES = 4 * 1024 * 1024
BATCH_FILES = 256
BATCH_BYTES = 4 * 1024 * 1024
# Enough that a worker never waits for the walk, few enough to bound what is read and not settled.
IN_FLIGHT_EACH = 3
_WAIT_S = 0.1


class Crew:
    """The workers of one backup, what they were given, and what to do with what they say."""

    def __init__(self, setup: Setup, writer: BlobWriter, tally: Tally, workers: int) -> None:
        self._setup = setup
        self._writer = writer
        self._tally = tally
        self._workers = workers
        self._pool: WorkerPool | None = None
        self._given: dict[int, tuple[dict[bytes, FileTask], Report, Finished]] = {}
        self._seen_files = self._seen_bytes = 0

    def offer(
        self, tasks: Sequence[FileTask], report: Report, finished: Finished, wait: Callable[[], None]
    ) -> Sequence[FileTask]:
        """Take what workers should read; return the rest. Also settles what they have done meanwhile.

        Where too much is on its way, this waits, calling `wait` now and then, which may raise.
        """
        small = [task for task in tasks if task.entry.size <= LARGE_BYTES]
        pool = self._started(small)
        if pool is None:
            return tasks
        for batch in _batches(small):
            self._settle_until(pool, IN_FLIGHT_EACH * pool.count - 1, wait)
            by_path = {task.path: task for task in batch}
            self._given[pool.submit(list(by_path))] = (by_path, report, finished)
        return [task for task in tasks if task.entry.size > LARGE_BYTES]

    def drain(self, wait: Callable[[], None]) -> None:
        """Wait until all that was given is read, and settled."""
        if self._pool:
            self._settle_until(self._pool, 0, wait)

    def finish(self, wait: Callable[[], None]) -> None:
        """Wait until the workers have handed over all they packed."""
        if self._pool:
            self.drain(wait)
            self._pool.finish()
            while not self._pool.finished:
                self._pool.take(_WAIT_S)
                wait()

    def stop(self) -> None:
        """End the workers, whatever they are at."""
        if self._pool:
            self._pool.stop()

    def _started(self, small: Sequence[FileTask]) -> WorkerPool | None:
        """Return the pool, started if there is enough to read by now."""
        if self._pool is None:
            self._seen_files += len(small)
            self._seen_bytes += sum(task.entry.size for task in small)
            if self._seen_files >= START_FILES or self._seen_bytes >= START_BYTES:
                self._pool = WorkerPool(self._setup, self._writer, self._workers)
        return self._pool

    def _settle_until(self, pool: WorkerPool, in_flight: int, wait: Callable[[], None]) -> None:
        """Settle what is done; wait for more until at most so many batches are on their way."""
        while True:
            done = pool.take(_WAIT_S if pool.in_flight > in_flight else 0)
            if done is not None:
                self._settle(*done)
            elif pool.in_flight <= in_flight:
                return
            wait()

    def _settle(self, number: int, batch: Batch) -> None:
        tasks, report, finished = self._given.pop(number)
        self._tally.data_blobs += batch.blobs
        self._tally.bytes_added += batch.plain_bytes
        self._tally.bytes_added_packed += batch.stored_bytes
        for path, read in batch.files:
            task = tasks[path]
            if isinstance(read, ReadFile):
                task.settle(_entry(task.entry, read), read.content, read.size)
            if problem := read if isinstance(read, Problem) else read.problem:
                report(problem)
            finished(task)


def _batches(tasks: Sequence[FileTask]) -> Iterator[list[FileTask]]:
    batch: list[FileTask] = []
    size = 0
    for task in tasks:
        batch.append(task)
        size += task.entry.size
        if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _entry(listed: Entry, read: ReadFile) -> Entry:
    """Return the entry as the worker read it: nearly always the one that was listed."""
    return listed if entry_values(listed) == read.entry else Entry(*read.entry)
