"""A large file of a host, handed out as it comes; after a cut it goes on where it was, if it kept still."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from repository.entries import Entry, SourceUnavailable
from sources.ssh.fetch import TOO_LARGE, Wanted, blame, is_as_listed, path_of, too_large
from sources.ssh.listing import status_of
from sources.ssh.patience import Patience, persist
from sources.ssh.worker import Worker, Workers
from sources.tar_stream import TarError, TarStream
from ssh.errors import Unreachable

_PROGRESS_BYTES = 64 * 1024 * 1024  # after so much, a cut is a new one


class LargeFile:
    """Such a file, as an OpenFile. Raises SourceUnavailable if the host is lost for good.

    `now` gives the entry that `wanted.now` stands for.
    """

    def __init__(
        self, host: str, workers: Workers, wanted: Wanted, entry: Entry, now: Callable[[], Entry]
    ) -> None:
        self.path = wanted.path
        self.entry = entry
        self._host = host
        self._workers = workers
        self._wanted = wanted
        self._now = now
        self._lent = ExitStack()
        self._worker: Worker | None = None
        self._stream: TarStream | None = None  # None: what is left comes as it is
        self._left = memoryview(b"")  # what came and was not handed out
        self._place = 0
        self._error: Unreachable | None = None
        self._patience, self._patient_until = Patience(), 0
        self._changed = False  # since it was listed: there is no going on after a cut

    def start(self) -> bool:
        """Ask for it; False if it does not come: `wanted` tells why. Raises Unreachable."""
        return persist(self._start)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the current place; return the count of bytes, 0 at the end. Raises OSError."""
        if self._error is not None:
            self._go_on(self._error)
        try:
            return self._count(self._read(buffer))
        except Unreachable as error:
            self._go_on(error)
            return self.readinto(buffer)

    def entry_now(self) -> Entry:
        """Return the metadata as it is now. Raises OSError if the host says that not all could be read."""
        try:
            self._finish()
            if not self._wanted.sure:
                self._ask_status()
        except Unreachable as error:
            raise lost(error) from error
        if not self._wanted.sure and self._wanted.now is None:
            raise FileNotFoundError("it vanished while it was read")
        return self.entry if self._wanted.sure else self._now()

    def close(self) -> None:
        """Leave what is left of the stream to `stop`."""

    def stop(self) -> None:
        """Give the worker back; one in the middle of an answer is ended."""
        self._lent.close()

    def _start(self) -> bool:
        wanted = self._wanted
        packer, worker = self._workers.file_packer(wanted.row.size), self._lend()
        wanted.begin()
        worker.ask("tar", wanted.path + b"\0", wanted.row.size, packer)
        stream, strange = TarStream(worker.read), ""
        try:
            member = next(iter(stream), None)
        except TarError as error:
            member, strange = None, f"its stream is broken: {error}"
        if member is not None and member.kind == "0" and path_of(member) == wanted.path:
            if too_large(member, wanted.row):
                wanted.error = TOO_LARGE
            wanted.sure = is_as_listed(member, wanted.row)
            self._changed = member.ctime_ns is not None and not wanted.sure
            self._stream = stream
            return True
        if member is not None:
            strange = "tar sends something else"
        if strange and not worker.idle:
            self._lent.close()  # what else comes may have no end
        else:
            strange = self._stray(worker) or strange
        wanted.error = wanted.error or strange
        self._ask_status()
        return False

    def _lend(self) -> Worker:
        self._lent.close()
        self._worker = self._lent.enter_context(self._workers.lend())
        return self._worker

    def _ask_status(self) -> None:
        paths = [self._wanted.path]
        self._wanted.now = persist(lambda: status_of(self._workers, paths)).get(self._wanted.path)

    def _read(self, buffer: memoryview) -> int:
        if self._wanted.error:
            raise OSError(self._wanted.error)
        if self._stream is not None:
            return self._read_archive(self._stream, buffer)
        if not self._left and self._worker is not None and not self._worker.idle:
            self._left = memoryview(self._worker.read())
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _read_archive(self, stream: TarStream, buffer: memoryview) -> int:
        before = stream.place
        try:
            return stream.readinto(buffer)
        except TarError as error:
            raise OSError(f"its stream is broken: {error}") from error
        except Unreachable as error:
            count = stream.place - before  # what came before the cut is in the buffer
            if not count:
                raise
            self._error = error
            return count

    def _count(self, count: int) -> int:
        self._place += count
        return count

    def _go_on(self, error: Unreachable) -> None:
        """Have the rest sent, if the file is still the one that was listed; else it ends here."""
        if self._place >= self._patient_until:
            self._patience, self._patient_until = Patience(), self._place + _PROGRESS_BYTES
        self._error = error
        while self._error is not None:
            try:
                self._patience.wait(self._error)
                self._ask_rest()
                self._error = None
            except Unreachable as again:
                if again is self._error:
                    raise lost(again) from again
                self._error = again

    def _ask_rest(self) -> None:
        wanted = self._wanted
        wanted.sure, self._stream, self._left = False, None, memoryview(b"")
        wanted.now = status_of(self._workers, [wanted.path]).get(wanted.path)
        if self._changed or wanted.now is None or wanted.now.facts != wanted.row.facts:
            self._lent.close()  # what was read is thrown away: whoever reads sees that it changed
            self._worker = None
            return
        self._lend().ask("rest", wanted.path + b"\0", self._place + 1)

    def _finish(self) -> None:
        """Take note of what the program on the host complained of. Raises OSError, Unreachable."""
        wanted = self._wanted
        if self._worker is None:
            return
        if self._stream is not None:
            stray = self._stray(self._worker)
        else:
            output = self._worker.finish()
            stray = output.stderr.decode("utf-8", "replace").strip() or ("cut off" if output.code else "")
        if wanted.error or stray:
            raise OSError(wanted.error or stray)

    def _stray(self, worker: Worker) -> str:
        """Read what tar still says; return what is wrong beside what is noted. Raises Unreachable."""
        try:
            return blame(worker.finish(), self._workers.dialect, {self._wanted.path: self._wanted})
        except TarError as error:
            return f"its stream is broken: {error}"


def lost(error: Unreachable) -> SourceUnavailable:
    """Return what it means for a backup that the host is gone."""
    return SourceUnavailable(f"{error}; what was read is stored, and the next run goes on from there")
