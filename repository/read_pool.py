"""Threads for reads over a network, which may hang for minutes: whoever stops does not wait for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

from storage_adapters.errors import StorageError

_GRACE_S = 1.0  # so that as a rule nothing goes on behind the back of whoever stopped

Read = Callable[[], bytes]


class ReadPool:
    """Some threads that read in the order of asking; they end with the program, whatever they are at."""

    def __init__(self, most_threads: int) -> None:
        self._most_threads = most_threads
        self._reads: queue.SimpleQueue[tuple[Future[bytes], Read] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._open: set[Future[bytes]] = set()  # not done yet
        self._stopped = False
        self._mutex = threading.Lock()

    def submit(self, read: Read) -> Future[bytes]:
        """Return what will be read, or the error of it. After `stop` that is an error at once."""
        future: Future[bytes] = Future()
        with self._mutex:
            if self._stopped:
                future.set_exception(_given_up())
                return future
            self._open.add(future)
            self._reads.put((future, read))
            if len(self._threads) < min(self._most_threads, len(self._open)):
                self._threads.append(threading.Thread(target=self._run, name="fetch", daemon=True))
                self._threads[-1].start()
        return future

    def stop(self) -> None:
        """Begin no more reads, wait a moment for those under way, and let nobody wait for them any longer."""
        with self._mutex:
            self._stopped = True
            for future in [each for each in self._open if each.cancel()]:
                self._open.remove(future)
            for _ in self._threads:
                self._reads.put(None)
            under_way = set(self._open)
        wait(under_way, _GRACE_S)
        with self._mutex:
            for future in self._open:
                future.set_exception(_given_up())
            threads, self._threads = self._threads, []
            hangs = bool(self._open)
            self._open.clear()
        for thread in () if hangs else threads:
            thread.join()

    def _run(self) -> None:
        while (item := self._reads.get()) is not None:
            future, read = item
            if not future.set_running_or_notify_cancel():
                continue
            content = b""
            failed: BaseException | None = None
            try:
                content = read()
            except BaseException as error:  # noqa: BLE001 - whoever waits for the read raises it
                failed = error
            self._settle(future, content, failed)

    def _settle(self, future: Future[bytes], content: bytes, failed: BaseException | None) -> None:
        """Say what became of a read, unless it was given up."""
        with self._mutex:
            if future not in self._open:
                return
            self._open.remove(future)
            if failed is None:
                future.set_result(content)
            else:
                future.set_exception(failed)


def _given_up() -> StorageError:
    return StorageError("a read was given up, because the work that wanted it was stopped")
