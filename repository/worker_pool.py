"""The parent's side of the worker processes: start them, feed them, take their packs, end them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial

from repository.child import Child
from repository.errors import WorkerFailed
from repository.packer import FinishedPack
from repository.pipe import Pipe
from repository.shared_buffer import open_shared
from repository.spare_workers import SpareWorkers
from repository.worker import Batch, Claim, Ended, Failed, Pack, Setup, Work
from repository.writer import BlobWriter


class WorkerPool:
    """Some worker processes, a thread to serve each. What they read comes back in any order.

    One thread hands in and takes; the workers' questions and packs are answered beside it. After the first
    error every call raises it.
    """

    def __init__(self, setup: Setup, writer: BlobWriter, count: int, spares: SpareWorkers) -> None:
        self._writer = writer
        self._batches: queue.SimpleQueue[tuple[int, Work] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[int, Batch] | Ended | BaseException] = queue.SimpleQueue()
        self._members: list[_Member] = []
        self._submitted = self._taken = self._ended = 0
        try:
            for _ in range(count):
                self._members.append(_Member(setup, spares.take(), self._serve))
        except OSError as error:
            self.stop()
            raise WorkerFailed(
                f"a helper process of the backup could not be started: {error.strerror}; no snapshot was made"
            ) from error

    @property
    def count(self) -> int:
        """How many processes there are."""
        return len(self._members)

    @property
    def in_flight(self) -> int:
        """How many batches were handed in and not taken back."""
        return self._submitted - self._taken

    def submit(self, work: Work) -> int:
        """Hand in a batch; return its number. The caller bounds how many are in flight."""
        number, self._submitted = self._submitted, self._submitted + 1
        self._batches.put((number, work))
        return number

    def take(self, timeout_s: float) -> tuple[int, Batch] | None:
        """Return a batch that is done, with its number; None if there is none in that time."""
        try:
            done = self._done.get(timeout=timeout_s) if timeout_s else self._done.get_nowait()
        except queue.Empty:
            return None
        if isinstance(done, BaseException):
            self._done.put(done)
            raise done
        if isinstance(done, Ended):
            self._ended += 1
            return None
        self._taken += 1
        return done

    def finish(self) -> None:
        """Tell the workers that no more comes: they send their last packs. Then `take` until `finished`."""
        for _ in self._members:
            self._batches.put(None)

    @property
    def finished(self) -> bool:
        """Tell whether each worker has sent all it had."""
        return self._ended == len(self._members)

    def stop(self) -> None:
        """End all workers, whatever they are at, and wait until they are gone."""
        for member in self._members:
            member.end()
        self.finish()  # for threads that wait for a batch
        for member in self._members:
            member.join()

    def _serve(self, member: _Member) -> None:
        """Feed one worker until it is told to finish or fails; runs in that worker's thread."""
        try:
            member.pipe.send(member.setup)
            while (batch := self._batches.get()) is not None:
                number, work = batch
                member.pipe.send(work)
                done = self._answer(member)
                if isinstance(done, Batch):
                    self._done.put((number, done))
            member.pipe.send(None)
            self._answer(member)
            self._done.put(Ended())
        except EOFError:
            self._done.put(member.death())
        except BaseException as error:  # noqa: BLE001 - the thread that takes raises it
            self._done.put(error)

    def _answer(self, member: _Member) -> Batch | Ended:
        """Answer what the worker asks, until it says what it was told to come to."""
        while True:
            message = member.pipe.receive()
            if isinstance(message, Claim):
                member.pipe.send_bytes(self._writer.claim(message.ids))
            elif isinstance(message, Pack):
                self._writer.add_pack(partial(_receive_pack, member.pipe, message))
            elif isinstance(message, Batch | Ended):
                return message
            else:
                raise _failure(message)


class _Member:
    """One worker process, and the thread that serves it."""

    def __init__(self, setup: Setup, child: Child, serve: Callable[[_Member], None]) -> None:
        self.setup = setup
        self._child = child
        self.pipe = child.pipe
        self._thread = threading.Thread(target=serve, args=(self,), name="worker", daemon=True)
        self._thread.start()

    def death(self) -> WorkerFailed:
        """Return what to say of a process whose pipe has ended."""
        return WorkerFailed(
            f"a helper process of the backup {self._child.death()}, perhaps for want of memory; "
            "no snapshot was made. Start the backup again: what it stored already is used"
        )

    def end(self) -> None:
        """Tell the process to end now; wakes the thread that waits for it."""
        self._child.end()

    def join(self) -> None:
        """Wait until thread and process are gone."""
        self._thread.join()
        self._child.wait()
        self.pipe.close()


def _receive_pack(pipe: Pipe, pack: Pack) -> FinishedPack:
    return FinishedPack(pack.id, open_shared(pipe.receive_descriptor(), pack.size_bytes), pack.blobs)


def _failure(message: Failed) -> BaseException:
    if message.error is not None:
        return message.error
    return WorkerFailed(f"a helper process of the backup failed: {message.text}; no snapshot was made")
