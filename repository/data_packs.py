"""Read data blobs from packs: in ranges from a disk, in few and large pieces from a far storage."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from repository.files import pack_key
from repository.index import Location
from repository.read_pool import ReadPool
from repository.repository import Repository
from storage_adapters.base import is_far, parallel_calls
from storage_adapters.errors import ObjectNotFound, ObjectTruncated

# A blob belongs to the part of its pack that it begins in; most packs, of 16 MiB, have one part.
PART_BYTES = 32 * 1024 * 1024
# Of pieces in memory. With 64 MiB a tree of 20,000 files took a fifth more bytes: packs came twice.
KEPT_BYTES = 96 * 1024 * 1024
KEPT_PIECES = 32
# As much of a piece may be for nothing as is wanted: fewer requests, but never twice the bytes.
_WORTH = 0.5
_LEAST_BYTES = 128 * 1024  # what is smaller comes with what lies beside it in one read, or alone
# Of pieces fetched before anybody asks, beside those: else each one's way over the network is waited for.
AHEAD_BYTES = 48 * 1024 * 1024
# Only once so much of others was wanted after it: until then more of the same piece may be.
SETTLED_BYTES = 8 * 1024 * 1024

Group = list[tuple[bytes, Location]]
Part = tuple[bytes, int]  # a pack, and which of its parts
Take = Callable[[], bytes | memoryview]


@dataclass(slots=True)
class _Demand:
    """What is known to be wanted of a part, and is not read yet: `size` bytes between `start` and `end`.

    `last`: how much had been wanted of all parts when more of this one last was.
    """

    start: int
    end: int
    size: int = 0
    last: int = 0

    def add(self, start: int, end: int, wanted: int) -> None:
        self.start, self.end = min(self.start, start), max(self.end, end)
        self.size += end - start
        self.last = wanted

    @property
    def is_worth_a_piece(self) -> bool:
        """Tell whether to fetch all of it at once."""
        return self.size >= max(_WORTH * (self.end - self.start), _LEAST_BYTES)


@dataclass(slots=True, eq=False)
class _Piece:
    """Bytes of a pack from `start` to `end`, on their way or here."""

    part: Part
    start: int
    end: int
    content: Future[bytes]
    unread: int  # bytes that will be asked for, as far as is known
    users: int = 0  # who asked and did not take yet

    @property
    def size(self) -> int:
        return self.end - self.start


class DataPacks:
    """Give the sealed bytes of groups of blobs. One thread asks; any may take what was asked for.

    Of a far storage, most of whose packs are wanted, pieces are fetched in one request each, and kept until
    all of them was asked for, as long as there is room. What `want` was told of decides that. The next
    pieces, in the order in which they were wanted, are fetched before they are asked for.
    """

    def __init__(self, repo: Repository) -> None:
        self._storage = repo.storage
        self._index = repo.index
        self._far = is_far(repo.storage)
        self._places: dict[bytes, Location] = {}  # of blobs that were wanted and not located since
        self._demands: dict[Part, _Demand] = {}
        self._next: deque[Part] = deque()  # those to look at for fetching ahead
        self._wanted = 0  # bytes, so far
        self._pieces: list[_Piece] = []  # that were asked for, the one used last at the end
        self._ahead: list[_Piece] = []  # that nobody asked for yet
        self._mutex = threading.Lock()  # for `users`
        self._pool = ReadPool(parallel_calls(repo.storage))

    def want(self, blobs: Iterable[bytes]) -> None:
        """Tell of data blobs that will be asked for: the more are known, the fewer requests there are."""
        if self._far:
            for blob in blobs:
                if (location := self._index.first_place("data", blob)) is not None:
                    self._places[blob] = location
                    self._want(location)

    def locate(self, blob: bytes) -> Location | None:
        """Return the place to ask for a blob at; None if it is in no index."""
        return self._places.pop(blob, None) or self._index.first_place("data", blob)

    def ask(self, group: Group) -> Take:
        """Return what gives the bytes from the first blob of a group to its last; call that once.

        It waits for them, and raises StorageError. If the pack has not all of them, there are none.
        """
        first, last = group[0][1], group[-1][1]
        start, end = first.offset, last.offset + last.length
        piece = self._piece(_part(first), start, end) if self._far else None
        if piece is None:
            read = partial(self._read, first.pack, start, end)
            return partial(self._read_alone, read) if self._far else read
        piece.unread -= sum(location.length for _, location in group)
        with self._mutex:
            piece.users += 1
        self._fetch_ahead()
        return partial(self._take, piece, start, end)

    def close(self) -> None:
        """Stop reading. Who waits for a read then gets an error, soon also where the storage hangs."""
        self._pool.stop()

    def _want(self, location: Location) -> None:
        part, start, end = _part(location), location.offset, location.offset + location.length
        piece = self._find(part, start, end)
        if piece is not None:
            piece.unread += location.length
            return
        self._wanted += location.length
        if part not in self._demands:
            self._demands[part] = _Demand(start, end)
            self._next.append(part)
        self._demands[part].add(start, end, self._wanted)

    def _find(self, part: Part, start: int, end: int) -> _Piece | None:
        for pieces in (self._pieces, self._ahead):
            for piece in pieces:
                if piece.part == part and piece.start <= start and end <= piece.end:
                    return piece
        return None

    def _piece(self, part: Part, start: int, end: int) -> _Piece | None:
        """Return the piece that holds these bytes, if it is here or worth fetching."""
        piece = self._find(part, start, end)
        if piece is None:
            return self._fetch(part, start, end)
        if piece in self._ahead:
            self._ahead.remove(piece)
            if not self._make_room(piece.size):
                piece.content.cancel()
                return None
        else:
            self._pieces.remove(piece)
        self._pieces.append(piece)
        return piece

    def _fetch(self, part: Part, start: int, end: int) -> _Piece | None:
        demand = self._demands.pop(part, None)
        if demand is None:
            return None
        demand.start, demand.end = min(start, demand.start), max(end, demand.end)
        if not demand.is_worth_a_piece or not self._make_room(demand.end - demand.start):
            return None
        piece = self._begin(part, demand)
        self._pieces.append(piece)
        return piece

    def _fetch_ahead(self) -> None:
        """Begin to fetch what will be asked for next, as far as it is known and has room."""
        while self._next:
            part = self._next[0]
            demand = self._demands.get(part)
            if demand is not None and demand.is_worth_a_piece:
                size = demand.end - demand.start + sum(piece.size for piece in self._ahead)
                if size > AHEAD_BYTES or self._wanted - demand.last < SETTLED_BYTES:
                    return
                self._ahead.append(self._begin(part, self._demands.pop(part)))
            self._next.popleft()  # asked for already, or better read bit by bit

    def _begin(self, part: Part, demand: _Demand) -> _Piece:
        content = self._pool.submit(partial(self._read, part[0], demand.start, demand.end))
        return _Piece(part, demand.start, demand.end, content, demand.size)

    def _make_room(self, size: int) -> bool:
        """Let go of what was asked for wholly; for one more of this size, also of what is oldest."""
        self._pieces = [piece for piece in self._pieces if piece.users or piece.unread > 0]
        for piece in [each for each in self._pieces if not each.users]:
            if self._has_room(size):
                break
            piece.content.cancel()
            self._pieces.remove(piece)
        return self._has_room(size)

    def _has_room(self, size: int) -> bool:
        kept = sum(piece.size for piece in self._pieces)
        return len(self._pieces) < KEPT_PIECES and kept + size <= KEPT_BYTES

    def _take(self, piece: _Piece, start: int, end: int) -> memoryview:
        try:
            content = memoryview(piece.content.result())
            return content[start - piece.start : end - piece.start]
        finally:
            with self._mutex:
                piece.users -= 1

    def _read_alone(self, read: Callable[[], bytes]) -> bytes:
        return self._pool.submit(read).result()

    def _read(self, pack: bytes, start: int, end: int) -> bytes:
        with suppress(ObjectNotFound, ObjectTruncated):
            return self._storage.get(pack_key(pack), start, end - start)
        return b""


def _part(location: Location) -> Part:
    return location.pack, location.offset // PART_BYTES
