"""Read files of a host: many small ones in one tar stream, a large one in a stream of its own.

The host is asked again for a file's status after it was read: the same facts as in the listing, its ctime
among them, mean that what was read is what was listed.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from repository.entries import Entry, OpenFile, Problem, SourceUnavailable
from sources.ssh.dialects import Dialect
from sources.ssh.listing import status_of, unescaped
from sources.ssh.rows import Row
from sources.ssh.worker import Worker, Workers
from sources.tar_stream import Member, TarError, TarStream
from ssh.errors import Unreachable
from ssh.process import Output

_LARGE_BYTES = 4 * 1024 * 1024
_BATCH_BYTES = 8 * 1024 * 1024
_BATCH_FILES = 128
_ATTEMPTS = 3
_FETCHES = 3  # batches under way: the way there and back takes longer than reading

_TAR_LINE = re.compile(rb"tar: (.*): ((?:Cannot|Read error|Warning|File|Unknown)[^\n]*|file [^\n]*)\Z")
_NEWER = (b"file changed as we read it", b"File shrank", b"File removed before we read it")

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

    def open(self, paths: Sequence[bytes]) -> Generator[OpenFile | Problem, None, None]:
        """Yield each file; some batches are fetched while the one before is used. Raises Unreachable."""
        wanted: list[_Wanted] = []
        for path in paths:
            try:
                newer = path in self._newer
                wanted.append(_Wanted(path, self._newer.pop(path) if newer else self._lookup(path)))
            except KeyError:
                yield Problem(path, "vanished", "it is not in the host's listing")
        small = [each for each in wanted if each.row.size < _LARGE_BYTES]
        batches = list(_batches(small, self._workers.dialect.most_name_bytes))
        yield from self._small(batches)
        for each in wanted:
            if each.row.size >= _LARGE_BYTES:
                yield from self._large(each)

    def _small(self, batches: Sequence[list[_Wanted]]) -> Iterator[OpenFile | Problem]:
        with ThreadPoolExecutor(_FETCHES, "fetch") as ahead:
            todo = iter(batches)
            coming = deque(ahead.submit(self._fetch, batch) for batch in islice(todo, _FETCHES))
            while coming:
                fetched = coming.popleft().result()
                coming.extend(ahead.submit(self._fetch, batch) for batch in islice(todo, 1))
                for each in fetched:
                    yield self._opened(each)

    def _fetch(self, batch: list[_Wanted]) -> list[_Wanted]:
        """Read a batch into memory, again if the connection breaks. Raises Unreachable."""
        for attempt in range(_ATTEMPTS):
            try:
                self._fetch_once(batch)
                return batch
            except Unreachable:
                if attempt == _ATTEMPTS - 1:
                    raise
        return batch

    def _fetch_once(self, batch: list[_Wanted]) -> None:
        by_path = {each.path: each for each in batch}
        for each in batch:
            each.data, each.error = None, ""
        stray = self._read_stream(by_path)
        now = status_of(self._workers, list(by_path))
        for each in batch:
            each.now = now.get(each.path)
        if stray and len(batch) > 1:  # a complaint that cannot be told from whom: ask for each file alone
            for each in batch:
                self._fetch_once([each])
        elif stray:
            batch[0].error = stray

    def _read_stream(self, by_path: dict[bytes, _Wanted]) -> str:
        """Read all of these files from one tar; return a complaint that belongs to none of them, or ""."""
        with self._workers.lend() as worker:
            worker.ask("tar", b"".join(path + b"\0" for path in by_path))
            stream = TarStream(worker.read)
            try:
                for member in stream:
                    _take(stream, member, by_path)
            except TarError as error:
                return f"tar on {self._host} does not send what it should: {error}"
            output = worker.finish()
        return _blame(output, self._workers.dialect, by_path)

    def _opened(self, each: _Wanted) -> OpenFile | Problem:
        if each.now is None:
            return Problem(each.path, "vanished", "it was there when listed, and is gone now")
        if not each.now.facts.startswith(b"f"):
            return Problem(each.path, "vanished", "it was a file when listed, and is something else now")
        if each.data is None or each.error:
            return Problem(each.path, "unreadable", f"cannot be read: {each.error or 'tar left it out'}")
        entry, now = self._before_and_after(each)
        if now is not entry and now.size < len(each.data):
            each.data = each.data[: now.size]  # tar fills up with zeros what a file lost meanwhile
        return _ReadFile(each.path, entry, now, memoryview(each.data))

    def _before_and_after(self, each: _Wanted) -> tuple[Entry, Entry]:
        entry = self._make_entry(each.path, each.row)
        if each.now is None or each.now.facts == each.row.facts:
            return entry, entry
        self._newer[each.path] = each.now
        return entry, self._make_entry(each.path, each.now)

    def _large(self, each: _Wanted) -> Iterator[OpenFile | Problem]:
        """Hand out a file as it comes."""
        with self._workers.lend() as worker:
            worker.ask("tar", each.path + b"\0")
            stream = TarStream(worker.read)
            member = _first(stream)
            if member is not None and member.kind == "0" and _path_of(member) == each.path:
                entry = self._make_entry(each.path, each.row)
                yield _StreamedFile(each.path, each, entry, member, stream, worker, self)
                return
            output = worker.finish()
            stray = _blame(output, self._workers.dialect, {each.path: each})
            each.error = each.error or stray
        each.now = status_of(self._workers, [each.path]).get(each.path)
        yield self._opened(each)

    def blame(self, output: Output, each: _Wanted) -> str:
        """Return what tar complained of, other than about this file; what is about it is noted at it."""
        return _blame(output, self._workers.dialect, {each.path: each})

    def after(self, each: _Wanted) -> Entry:
        """Return what a file is, after it was read. Raises OSError if it is gone."""
        each.now = status_of(self._workers, [each.path]).get(each.path)
        if each.now is None:
            raise FileNotFoundError("it vanished while it was read")
        return self._before_and_after(each)[1]


@dataclass(slots=True)
class _Wanted:
    """A file to read: what it was, what came of it, what it is now (None: gone), why it cannot be read."""

    path: bytes
    row: Row
    data: bytes | bytearray | None = field(default=None, repr=False)
    now: Row | None = None
    error: str = ""


@dataclass(slots=True)
class _ReadFile:
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


@dataclass(slots=True)
class _StreamedFile:
    """A large file that is still coming, as an OpenFile. Raises SourceUnavailable if the host is lost."""

    path: bytes
    _wanted: _Wanted
    entry: Entry
    _member: Member
    _stream: TarStream
    _worker: Worker
    _files: HostFiles

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the current place; return the count of bytes, 0 at the end. Raises OSError."""
        if self._member.size > 2 * self.entry.size + _LARGE_BYTES:
            raise OSError("it is far larger than it was when listed; the next backup tries again")
        try:
            return self._stream.readinto(buffer)
        except TarError as error:
            raise OSError(f"its stream is broken: {error}") from error
        except Unreachable as error:
            raise lost(error) from error

    def entry_now(self) -> Entry:
        """Return the metadata as it is now. Raises OSError if tar says that not all could be read."""
        try:
            output = self._worker.finish()
            stray = self._files.blame(output, self._wanted)
            if self._wanted.error or stray:
                raise OSError(self._wanted.error or stray)
            now = self._files.after(self._wanted)
        except Unreachable as error:
            raise lost(error) from error
        return self.entry if self._wanted.now and self._wanted.now.facts == self._wanted.row.facts else now

    def close(self) -> None:
        """Leave what is left of the stream to whoever lent the worker."""


def lost(error: Unreachable) -> SourceUnavailable:
    """Return what it means for a backup that the host is gone."""
    return SourceUnavailable(f"{error}; what was read is stored, and the next run goes on from there")


def _batches(wanted: Sequence[_Wanted], most_name_bytes: int) -> Iterator[list[_Wanted]]:
    batch: list[_Wanted] = []
    size = names = 0
    for each in wanted:
        size += each.row.size
        names += len(each.path) + 1
        if batch and (size > _BATCH_BYTES or names > most_name_bytes or len(batch) >= _BATCH_FILES):
            yield batch
            batch, size, names = [], each.row.size, len(each.path) + 1
        batch.append(each)
    if batch:
        yield batch


def _take(stream: TarStream, member: Member, by_path: dict[bytes, _Wanted]) -> None:
    """Keep a member's content. Raises TarError for one that nobody asked for, or asked for once."""
    each = by_path.get(_path_of(member))
    if each is None or each.data is not None:
        raise TarError(f"{member.name[:200]!r} was not asked for")
    first = by_path.get(b"/" + member.linkname.lstrip(b"/"))
    if member.kind == "1" and first is not None and first.data is not None:
        each.data = first.data  # what BusyBox says of a hard link to a file before it
    if member.kind != "0":
        return
    if member.size > 2 * each.row.size + _LARGE_BYTES:
        each.error = "it is far larger than it was when listed; the next backup tries again"
        return
    each.data = bytearray(member.size)
    stream.readinto(memoryview(each.data))


def _path_of(member: Member) -> bytes:
    """Return a member's absolute path: some programs leave out the first slash."""
    return b"/" + member.name.lstrip(b"/")


def _first(stream: TarStream) -> Member | None:
    try:
        return next(iter(stream), None)
    except TarError:
        return None


def _blame(output: Output, dialect: Dialect, by_path: dict[bytes, _Wanted]) -> str:
    """Note tar's complaints at the files that they name; return what belongs to none of them, or ""."""
    stray = ""
    for line in output.stderr.splitlines():
        found = _TAR_LINE.match(line)
        each = by_path.get(unescaped(found[1])) if found else None
        if found and each is not None:
            if not found[2].startswith(_NEWER):  # the status afterwards tells of those
                each.error = found[2].decode("ascii", "replace")
        elif not line.startswith(dialect.harmless):
            stray = line.decode("utf-8", "replace")
    if output.code >= dialect.code_of_failure and not stray and not any(e.error for e in by_path.values()):
        stray = f"tar ended with code {output.code} and gave no reason"
    return stray
