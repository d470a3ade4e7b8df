"""Read many blobs in a known order, ahead of their use, with few and large reads of packs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from repository.data_packs import DataPacks, Group, Take
from repository.errors import BlobNotFound, Damaged
from repository.index import Location
from repository.repository import Repository

READERS = 4
BATCHES = 3  # read ahead, or being used
BATCH_BYTES = 16 * 1024 * 1024
BATCH_ITEMS = 512
RANGE_BYTES = 8 * 1024 * 1024
ZEROS_BYTES = 64 * 1024
_TICK_S = 0.5
GAP_BYTES = 16 * 1024  # reading over a small hole is cheaper than another request

Mark = TypeVar("Mark")
Outcome = bytes | Exception


class _Read:
    """One read of a pack on its way. Asking a Future for each of many small blobs takes longer."""

    def __init__(self, future: Future[dict[bytes, Outcome]]) -> None:
        self._future = future
        self._outcomes: dict[bytes, Outcome] | None = None

    def outcomes(self, wait: Callable[[], None]) -> dict[bytes, Outcome]:
        """Wait until it is done, calling `wait` now and then; return what became of each blob."""
        if self._outcomes is None:
            while not wait_for([self._future], _TICK_S).done:
                wait()
            self._outcomes = self._future.result()
        return self._outcomes


@dataclass(frozen=True, slots=True)
class _Pending:
    """A blob on its way; `content` waits for it. With `zeros` it is that many, and not read again."""

    blob: bytes
    read: _Read | None
    zeros: int = 0

    def content(self, repo: Repository, wait: Callable[[], None]) -> bytes:
        """Return it. Raises Damaged or BlobNotFound."""
        if self.zeros:
            return bytes(self.zeros)
        if self.read is None:
            return repo.load_blob("data", self.blob)  # raises: it is in no index
        outcome = self.read.outcomes(wait)[self.blob]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@dataclass(frozen=True, slots=True)
class _Marked(Generic[Mark]):
    mark: Mark


class Prefetch(Generic[Mark]):
    """Iterate over the marks of `items`, (mark, blob ids) each; `blobs` yields what belongs to the last.

    `items` is read ahead, but never from within `blobs`: a plan may ask the target that is written to.
    Memory is bounded by BATCHES times BATCH_BYTES, plus one blob each.
    """

    def __init__(
        self,
        repo: Repository,
        items: Iterator[tuple[Mark, Sequence[bytes]]],
        packs: DataPacks | None = None,
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        """Take the items; `wait` is called now and then while a read takes long, and may raise."""
        self._repo = repo
        self._items = items
        self._packs = packs or DataPacks(repo)
        self._wait = wait
        self._rest: Iterator[bytes] = iter(())  # blobs of the last item that are in no batch yet
        self._pool = ThreadPoolExecutor(READERS, "fetch")
        self._zeros: dict[bytes, int] = {}  # blobs of nothing but zeros that were met, with their length
        self._batches: deque[deque[_Marked[Mark] | _Pending]] = deque()

    def __iter__(self) -> Iterator[Mark]:
        return self

    def __next__(self) -> Mark:
        while True:
            item = self._next(may_advance=True)
            if isinstance(item, _Marked):
                return item.mark  # blobs that nobody took were passed over

    def blobs(self, count: int) -> Iterator[bytes]:
        """Yield the next `count` blobs. Raises Damaged or BlobNotFound for one that cannot be had."""
        for _ in range(count):
            item = self._next(may_advance=False)
            assert isinstance(item, _Pending), "a mark is followed by its blobs"
            content = item.content(self._repo, self._wait)
            if _is_zeros(content):
                self._zeros[item.blob] = len(content)
            yield content

    def close(self) -> None:
        """Stop reading ahead."""
        self._packs.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _next(self, *, may_advance: bool) -> _Marked[Mark] | _Pending:
        while len(self._batches) < BATCHES and (batch := self._next_batch(may_advance)):
            self._batches.append(batch)
        if not self._batches:
            raise StopIteration
        item = self._batches[0].popleft()
        if not self._batches[0]:
            self._batches.popleft()
        return item

    def _next_batch(self, may_advance: bool) -> deque[_Marked[Mark] | _Pending]:
        items: list[_Marked[Mark] | bytes] = []
        wanted: dict[bytes, Location] = {}
        size = 0
        while size < BATCH_BYTES and len(items) < BATCH_ITEMS:
            item = self._next_item(may_advance)
            if item is None:
                break
            items.append(item)
            if isinstance(item, bytes) and item not in wanted and item not in self._zeros:
                location = self._packs.locate(item)
                if location:
                    wanted[item] = location
                    size += location.plain_length
        return self._start(items, wanted)

    def _next_item(self, may_advance: bool) -> _Marked[Mark] | bytes | None:
        blob = next(self._rest, None)
        if blob is not None or not may_advance:
            return blob
        item = next(self._items, None)
        if item is None:
            return None
        mark, blobs = item
        self._packs.want(blobs)
        self._rest = iter(blobs)
        return _Marked(mark)

    def _start(
        self, items: list[_Marked[Mark] | bytes], wanted: dict[bytes, Location]
    ) -> deque[_Marked[Mark] | _Pending]:
        reads: dict[bytes, _Read] = {}
        for group in group_reads(wanted):
            read = _Read(self._pool.submit(_read_group, self._repo, group, self._packs.ask(group)))
            reads.update((blob, read) for blob, _ in group)
        return deque(
            _Pending(item, reads.get(item), self._zeros.get(item, 0)) if isinstance(item, bytes) else item
            for item in items
        )


def _is_zeros(content: bytes) -> bool:
    """Tell whether this is a large run of zeros: disk images have many of them, all the same blob."""
    large = len(content) >= ZEROS_BYTES and not content[0] and not content[-1]
    return large and content == bytes(len(content))


def group_reads(wanted: dict[bytes, Location]) -> list[Group]:
    """Return the blobs in groups that one read of a pack fetches each."""
    groups: list[Group] = []
    for item in sorted(wanted.items(), key=lambda item: (item[1].pack, item[1].offset)):
        if groups and _continues(groups[-1], item[1]):
            groups[-1].append(item)
        else:
            groups.append([item])
    return groups


def _read_group(repo: Repository, group: Group, take: Take) -> dict[bytes, Outcome]:
    """Open blobs that lie side by side in one pack. One that cannot be read is looked for elsewhere."""
    first = group[0][1]
    view = memoryview(take())
    outcomes: dict[bytes, Outcome] = {}
    for blob, location in group:
        start = location.offset - first.offset
        outcomes[blob] = _open(repo, blob, view[start : start + location.length], location)
    return outcomes


def _open(repo: Repository, blob: bytes, sealed: memoryview, location: Location) -> Outcome:
    with suppress(Damaged):  # load_blob knows the other places, and says what is wrong if all are bad
        return repo.open_blob(blob, sealed, location)
    try:
        return repo.load_blob("data", blob)
    except (Damaged, BlobNotFound) as error:
        return error


def _continues(group: Group, location: Location) -> bool:
    first, last = group[0][1], group[-1][1]
    end = last.offset + last.length
    return (
        location.pack == last.pack
        and end <= location.offset <= end + GAP_BYTES
        and location.offset + location.length - first.offset <= RANGE_BYTES
    )
