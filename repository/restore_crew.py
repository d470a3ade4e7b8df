"""Give the small files of a restore to worker processes, once there are enough of them to be worth it."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from repository.child import Child
from repository.data_packs import DataPacks, Group
from repository.entries import entry_values
from repository.errors import WorkerFailed
from repository.index import Location
from repository.prefetch import READERS, group_reads
from repository.restore_plan import Action, LeaveDir, WriteFile
from repository.restore_worker import Failed, Order, SealedBlob, Setup, Written

# Before that, starting processes (a fifth of a second each) costs more than it saves.
START_FILES = 1000
START_BYTES = 64 * 1024 * 1024
# The chunks of larger files keep all processors busy from threads.
LARGE_BYTES = 4 * 1024 * 1024
BATCH_FILES = 256
BATCH_BYTES = 4 * 1024 * 1024
# Enough that a worker never waits for the plan, few enough to bound what is read and not written.
IN_FLIGHT_EACH = 3
_WAIT_S = 0.1


@dataclass(frozen=True, slots=True)
class FileBatch:
    """Small files to write in any order, and the folders to leave once they and all before are written."""

    path: bytes  # of the last of them
    files: list[WriteFile]
    leaves: list[LeaveDir]


def in_batches(actions: Iterator[Action]) -> Iterator[Action | FileBatch]:
    """Gather small files of one name, from when there are many; the other actions stay as they are.

    A folder is still made before what is in it, and left after that.
    """
    files: list[WriteFile] = []
    leaves: list[LeaveDir] = []
    count = size = seen_files = seen_bytes = 0
    for action in actions:
        if isinstance(action, WriteFile) and action.entry.links < 2 and action.entry.size <= LARGE_BYTES:
            seen_files += 1
            seen_bytes += action.entry.size
            if seen_files < START_FILES and seen_bytes < START_BYTES:
                yield action
                continue
            files.append(action)
            size += action.entry.size
            count += 1
        elif files and isinstance(action, LeaveDir):
            leaves.append(action)
        else:
            yield action
        if count >= BATCH_FILES or size >= BATCH_BYTES:
            yield FileBatch(files[-1].path, files, leaves)
            files, leaves, count, size = [], [], 0, 0
    if files:
        yield FileBatch(files[-1].path, files, leaves)


class _Read(NamedTuple):
    """Sealed blobs on their way from a pack."""

    blobs: list[SealedBlob]
    content: Future[bytes | memoryview]


class _Batch(NamedTuple):
    number: int
    files: list[WriteFile]
    reads: list[_Read]


class RestoreCrew:
    """The workers of one restore, and what they were given; started with the first batch.

    One thread calls it; storage is read, and workers are served, in others. `on_written` gets each batch that
    is done with what became of it, `on_leave` each folder below which nothing is on its way any more.
    """

    def __init__(
        self,
        packs: DataPacks,
        setup: Setup,
        workers: int,
        on_written: Callable[[list[WriteFile], Written], None],
        on_leave: Callable[[LeaveDir], None],
    ) -> None:
        self._packs = packs
        self._setup = setup
        self._workers = workers
        self._on_written = on_written
        self._on_leave = on_leave
        self._readers = ThreadPoolExecutor(READERS, "fetch")
        self._batches: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Written | BaseException] = queue.SimpleQueue()
        self._members: list[_Member] = []
        self._given: dict[int, list[WriteFile]] = {}  # by number, the oldest first
        self._leaves: deque[tuple[int, LeaveDir]] = deque()  # with the number of the batch to wait for
        self._last = 0

    def write(self, files: list[WriteFile], wait: Callable[[], None]) -> None:
        """Hand in files. Where too much is on its way, this waits, calling `wait` now and then.

        Raises WorkerFailed, StorageError, and what `wait`, `on_written` and `on_leave` raise.
        """
        self._start()
        self._settle_until(IN_FLIGHT_EACH * self._workers - 1, wait)
        self._last += 1
        self._given[self._last] = files
        self._batches.put(_Batch(self._last, files, self._read(files)))

    def leave(self, folder: LeaveDir) -> None:
        """Leave a folder as soon as all that was handed in before is written."""
        self._leaves.append((self._last, folder))
        self._leave_folders()

    def drain(self, wait: Callable[[], None]) -> None:
        """Wait until all that was handed in is written. Raises as `write`."""
        self._settle_until(0, wait)

    def stop(self) -> None:
        """End the workers; each finishes the file that it is at."""
        for member in self._members:
            member.end()
        for _ in self._members:
            self._batches.put(None)  # for threads that wait for a batch
        for member in self._members:
            member.join()
        self._readers.shutdown(wait=True, cancel_futures=True)

    def _start(self) -> None:
        if self._members:
            return
        try:
            for _ in range(self._workers):
                self._members.append(_Member(self._setup, self._batches, self._done))
        except OSError as error:
            raise WorkerFailed(
                f"a helper process of the restore could not be started: {error.strerror}; "
                "not everything was restored"
            ) from error

    def _read(self, files: list[WriteFile]) -> list[_Read]:
        """Begin to read what these files consist of; what is in no index is left out."""
        wanted: dict[bytes, Location] = {}
        for file in files:
            for blob in file.content:
                if blob not in wanted and (location := self._packs.locate(blob)):
                    wanted[blob] = location
        return [
            _Read(_places(group), self._readers.submit(self._packs.ask(group)))
            for group in group_reads(wanted)
        ]

    def _settle_until(self, in_flight: int, wait: Callable[[], None]) -> None:
        """Settle what is done; wait for more until at most so many batches are on their way."""
        while True:
            try:
                done = self._done.get(len(self._given) > in_flight, _WAIT_S)
            except queue.Empty:
                if len(self._given) <= in_flight:
                    return
            else:
                if isinstance(done, BaseException):
                    raise done
                self._on_written(self._given.pop(done.number), done)
                self._leave_folders()
            wait()

    def _leave_folders(self) -> None:
        oldest = next(iter(self._given), self._last + 1)
        while self._leaves and self._leaves[0][0] < oldest:
            self._on_leave(self._leaves.popleft()[1])


class _Member:
    """One worker process, a thread that sends to it and one that hears from it."""

    def __init__(
        self,
        setup: Setup,
        batches: queue.SimpleQueue[_Batch | None],
        done: queue.SimpleQueue[Written | BaseException],
    ) -> None:
        self._setup = setup
        self._batches = batches
        self._done = done
        self._child = Child("repository.restore_worker")
        self._threads = [
            threading.Thread(target=work, name="worker", daemon=True)
            for work in (self._send_all, self._receive_all)
        ]
        self._ending = False
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Tell the process to end; wakes the threads."""
        self._ending = True
        self._child.end()

    def join(self) -> None:
        """Wait until threads and process are gone."""
        for thread in self._threads:
            thread.join()
        self._child.wait()
        self._child.pipe.close()

    def _send_all(self) -> None:
        """Hand over batches until None comes in place of one."""
        try:
            self._child.pipe.send(self._setup)
            while (batch := self._batches.get()) is not None:
                self._send(batch)
        except EOFError:
            return  # the other thread finds out why
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self._done.put(error)

    def _send(self, batch: _Batch) -> None:
        contents = [read.content.result() for read in batch.reads]
        files = [(file.path, entry_values(file.entry), file.content) for file in batch.files]
        self._child.pipe.send(Order(batch.number, files, [read.blobs for read in batch.reads]))
        for content in contents:
            self._child.pipe.send_bytes(content)

    def _receive_all(self) -> None:
        """Pass on what the process says until it is gone, or has failed."""
        try:
            while isinstance(message := self._child.pipe.receive(), Written):
                self._done.put(message)
            self._done.put(_failure(message))
        except EOFError:
            if not self._ending:
                self._done.put(self._death())
        except BaseException as error:  # noqa: BLE001 - the thread that waits raises it
            self._done.put(error)

    def _death(self) -> WorkerFailed:
        return WorkerFailed(
            f"a helper process of the restore {self._child.death()}, perhaps for want of memory; not "
            "everything was restored. Start the restore again: what is whole already is left as it is"
        )


def _failure(message: Failed) -> WorkerFailed:
    return WorkerFailed(
        f"a helper process of the restore failed: {message.text}; not everything was restored"
    )


def _places(group: Group) -> list[SealedBlob]:
    first = group[0][1].offset
    return [
        SealedBlob(blob, place.offset - first, place.length, place.uncompressed_length)
        for blob, place in group
    ]
