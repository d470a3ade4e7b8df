"""Files of a host, opened: small ones from memory, read many at a time; a large one as it comes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from repository.entries import Entry, OpenFile, Problem
from sources.ssh.fetch import LARGE_BYTES, Wanted, batches, fetch
from sources.ssh.large_file import LargeFile
from sources.ssh.rows import Row
from sources.ssh.worker import Workers

_FETCHES = 2  # batches under way: the way there and back takes longer than reading

Lookup = Callable[[bytes], Row]
MakeEntry = Callable[[bytes, Row], Entry]


class HostFiles:
    """Reads files of a host. `lookup` gives the row that a file was listed with, or raises KeyError."""

    def __init__(self, host: str, workers: Workers, lookup: Lookup, make_entry: MakeEntry) -> None:
        self._host = host  # how messages call it
        self._workers = workers
        self._lookup = lookup
        self._make_entry = make_entry
        self._newer: dict[bytes, Row] = {}  # of files that changed when they were read before
        self._ready: dict[bytes, Wanted] = {}

    def open(self, paths: Sequence[bytes]) -> Generator[OpenFile | Problem, None, None]:
        """Yield each file; some batches are fetched while the one before is used. Raises Unreachable."""
        wanted: list[Wanted] = []
        for path in paths:
            if path in self._ready:
                yield self._opened(self._ready.pop(path))
                continue
            try:
                wanted.append(Wanted(path, self._row(path)))
            except KeyError:
                yield Problem(path, "vanished", "it is not in the host's listing")
        for each in self.fetched([each for each in wanted if each.row.size < LARGE_BYTES]):
            yield self._opened(each)
        for each in wanted:
            if each.row.size >= LARGE_BYTES:
                yield from self._large(each)

    def fetched(self, wanted: Sequence[Wanted]) -> Iterator[Wanted]:
        """Read small files into memory, some batches ahead. Raises Unreachable."""
        todo = batches(wanted, self._workers.dialect.most_name_bytes)
        with ThreadPoolExecutor(_FETCHES, "fetch") as ahead:
            coming = deque(self._submit(ahead, islice(todo, _FETCHES)))
            while coming:
                batch = coming.popleft().result()
                coming.extend(self._submit(ahead, islice(todo, 1)))
                yield from batch

    def keep(self, wanted: Wanted) -> None:
        """Have a file that was fetched ready for when it is opened."""
        self._ready[wanted.path] = wanted

    def forget_ready(self) -> None:
        """Drop what was kept and not opened."""
        self._ready.clear()

    def _submit(self, ahead: ThreadPoolExecutor, todo: Iterable[list[Wanted]]) -> list[Future[list[Wanted]]]:
        return [ahead.submit(fetch, self._host, self._workers, batch) for batch in todo]

    def _row(self, path: bytes) -> Row:
        return self._newer.pop(path) if path in self._newer else self._lookup(path)

    def _opened(self, each: Wanted) -> OpenFile | Problem:
        entry = self._make_entry(each.path, each.row)
        if each.sure and each.data is not None:
            return ReadFile(each.path, entry, entry, memoryview(each.data))
        if each.now is None:
            return Problem(each.path, "vanished", "it was there when listed, and is gone now")
        if not each.now.facts.startswith(b"f"):
            return Problem(each.path, "vanished", "it was a file when listed, and is something else now")
        if each.data is None or each.error:
            return Problem(each.path, "unreadable", f"cannot be read: {each.error or 'tar left it out'}")
        now = self._now(each, entry)
        if now is not entry and now.size < len(each.data):
            each.data = each.data[: now.size]  # tar fills up with zeros what a file lost meanwhile
        return ReadFile(each.path, entry, now, memoryview(each.data))

    def _now(self, each: Wanted, entry: Entry) -> Entry:
        if each.now is None or each.now.facts == each.row.facts:
            return entry
        self._newer[each.path] = each.now
        return self._make_entry(each.path, each.now)

    def _large(self, each: Wanted) -> Iterator[OpenFile | Problem]:
        """Hand out a file as it comes."""
        entry = self._make_entry(each.path, each.row)
        file = LargeFile(self._host, self._workers, each, entry, lambda: self._now(each, entry))
        try:
            yield file if file.start() else self._opened(each)
        finally:
            file.stop()


@dataclass(slots=True)
class ReadFile:
    """A file that is in memory, as an OpenFile."""

    path: bytes
    entry: Entry
    _now: Entry
    _left: memoryview

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the current place."""
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def entry_now(self) -> Entry:
        """Return what the host said of it after it was read."""
        return self._now

    def close(self) -> None:
        """Let go of the content."""
        self._left = memoryview(b"")
