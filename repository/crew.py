"""Give small files, and whole directories, to worker processes, once there are enough of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from repository.dir_reader import LARGE_BYTES
from repository.entries import BriefedSource, Entry, Problem, entry_values
from repository.file_task import FileTask, Finished, Report
from repository.read_results import ReadDir, ReadFile
from repository.spare_workers import NO_SPARES, SpareWorkers
from repository.tally import Tally
from repository.worker import Batch, Dirs, Files, Setup
from repository.worker_pool import WorkerPool
from repository.writer import BlobWriter

# Before that, starting processes (a fifth of a second each) costs more than it saves.
START_FILES = 1000
START_FILES_OF_SPARES = 50
START_BYTES = 64 * 1024 * 1024
BATCH_FILES = 256
BATCH_BYTES = 4 * 1024 * 1024
BATCH_DIRS = 16
FAR_FILES, FAR_BYTES = 1000, 16 * 1024 * 1024  # in directories of a source that is far away
# Enough that a worker never waits for the walk, few enough to bound what is read and not settled.
IN_FLIGHT_EACH = 3
_WAIT_S = 0.1

TakeDir = Callable[[ReadDir | Problem], None]


class Crew:
    """The workers of one backup, what they were given, and what to do with what they say."""

    def __init__(
        self, setup: Setup, writer: BlobWriter, tally: Tally, workers: int, spares: SpareWorkers = NO_SPARES
    ) -> None:
        self._setup = setup
        self._writer = writer
        self._tally = tally
        self._workers = workers
        self._spares = spares
        self._pool: WorkerPool | None = None
        self._given: dict[int, Callable[[Batch], None]] = {}
        self._dirs: list[tuple[bytes, TakeDir]] = []
        self._seen_files = self._seen_bytes = 0
        self._settling = False
        self._briefed = setup.source if isinstance(setup.source, BriefedSource) else None

    def expect(self, size_bytes: int) -> None:
        """Take note that a file of this size is to be read; starts the workers once there is enough to do."""
        if self._pool is None and size_bytes <= LARGE_BYTES:
            self._seen_files += 1
            self._seen_bytes += size_bytes
            enough = START_FILES_OF_SPARES if self._spares.ready else START_FILES
            if self._seen_files >= enough or self._seen_bytes >= START_BYTES:
                self._pool = WorkerPool(self._setup, self._writer, self._workers, self._spares)

    def offer(
        self, tasks: Sequence[FileTask], report: Report, finished: Finished, wait: Callable[[], None]
    ) -> Sequence[FileTask]:
        """Take what workers should read; return the rest. Also settles what they have done meanwhile.

        Where too much is on its way, this waits, calling `wait` now and then, which may raise.
        """
        pool = self._pool
        if pool is None:
            return tasks
        for batch in _batches([task for task in tasks if task.entry.size <= LARGE_BYTES]):
            while pool.in_flight >= IN_FLIGHT_EACH * pool.count:
                self._settle_one(pool, _WAIT_S)
                wait()
            self._give_files(pool, batch, report, finished)
        return [task for task in tasks if task.entry.size > LARGE_BYTES]

    @property
    def takes_dirs(self) -> bool:
        """Tell whether there are workers to read directories."""
        return self._pool is not None

    def add_dir(self, path: bytes, take: TakeDir) -> None:
        """Have a directory listed and its small files read; `take` is told during some later call."""
        self._dirs.append((path, take))
        self.feed()

    @property
    def busy(self) -> bool:
        """Tell whether anything that was given is not settled yet."""
        return self._pool is not None and bool(self._dirs or self._pool.in_flight)

    def feed(self) -> None:
        """Settle what is done, and give the workers more, without waiting for them."""
        # What is being settled brings folders and so comes back here: batches would nest endlessly.
        while self._pool is not None and not self._settling and self._settle_one(self._pool, 0):
            pass
        self._give_dirs()

    def settle(self) -> None:
        """Wait a moment for something to be done, and settle it."""
        if self._pool is not None:
            self._give_dirs()
            self._settle_one(self._pool, _WAIT_S)
            self._give_dirs()

    def finish(self, wait: Callable[[], None]) -> None:
        """Wait until the workers have handed over all they packed."""
        if self._pool:
            while self.busy:
                self.settle()
                wait()
            self._pool.finish()
            while not self._pool.finished:
                self._pool.take(_WAIT_S)
                wait()

    def stop(self) -> None:
        """End the workers, whatever they are at."""
        if self._pool:
            self._pool.stop()

    def _give_files(
        self, pool: WorkerPool, batch: Sequence[FileTask], report: Report, finished: Finished
    ) -> None:
        by_path = {task.path: task for task in batch}

        def settle(done: Batch) -> None:
            for path, read in done.files:
                _settle_file(by_path[path], read, report, finished)

        paths = list(by_path)
        brief = self._briefed.brief(paths, dirs=False) if self._briefed else None
        self._given[pool.submit(Files(paths, brief))] = settle

    def _give_dirs(self) -> None:
        """Give out the directories found last, so that few are open; more at once if there are many."""
        pool = self._pool
        while pool is not None and self._dirs and pool.in_flight < IN_FLIGHT_EACH * pool.count:
            count = self._fitting(pool.count)
            batch = self._dirs[-count:]
            del self._dirs[-count:]
            paths = [path for path, _ in batch]
            brief = self._briefed.brief(paths, dirs=True) if self._briefed else None
            self._given[pool.submit(Dirs(paths, brief))] = partial(_settle_dirs, batch)

    def _fitting(self, workers: int) -> int:
        """Return how many of the directories found last make a good batch."""
        if self._briefed is None:
            return min(BATCH_DIRS, 1 + len(self._dirs) // (IN_FLIGHT_EACH * workers))
        # Each batch is a way there and back.
        most = 1 + len(self._dirs) // workers
        files = size = count = 0
        while count < most and files < FAR_FILES and size < FAR_BYTES:
            count += 1
            more_files, more_bytes = self._briefed.weight(self._dirs[-count][0])
            files, size = files + more_files + 1, size + more_bytes
        return count

    def _settle_one(self, pool: WorkerPool, timeout_s: float) -> bool:
        """Settle one batch, if one is done within that time; tell whether there was one."""
        done = pool.take(timeout_s)
        if done is None:
            return False
        number, batch = done
        self._tally.data_blobs += batch.blobs
        self._tally.bytes_added += batch.plain_bytes
        self._tally.bytes_added_packed += batch.stored_bytes
        self._settling = True
        self._given.pop(number)(batch)
        self._settling = False
        return True


def _settle_file(task: FileTask, read: ReadFile | Problem, report: Report, finished: Finished) -> None:
    if isinstance(read, ReadFile):
        task.settle(_entry(task.entry, read), read.content, read.size)
    if problem := read if isinstance(read, Problem) else read.problem:
        report(problem)
    finished(task)


def _settle_dirs(given: Sequence[tuple[bytes, TakeDir]], done: Batch) -> None:
    for (_, take), read in zip(given, done.dirs, strict=True):
        take(read)


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
