"""Carry stored blobs to new packs, here or in another repository, each checked against its id."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress

from repository.compression import decompress_blob
from repository.crypto import unseal
from repository.data_packs import Group
from repository.errors import Damaged
from repository.files import pack_key
from repository.ids import hash_bytes
from repository.index import Location
from repository.packfile import BlobType
from repository.prefetch import group_reads
from repository.repository import Repository
from repository.writer import BlobWriter
from storage_adapters.errors import ObjectNotFound, ObjectTruncated

READERS = 3  # each holds at most one range of a pack

Wanted = tuple[BlobType, dict[bytes, Location]]
# Called with the bytes that were carried, as the source holds them, and those that were stored for them.
OnMoved = Callable[[int, int], None]
_TICK_S = 0.5


class Transfer:
    """Carry blobs from `source` to a writer of a repository of `version`, with a few reads at a time.

    What is compressed stays as it is, down to the frame; what is not is stored as the writer's options say.
    `on_moved` is called for each group, and with zeros now and then while one takes long, in the caller's
    thread; it may raise.
    """

    def __init__(self, source: Repository, writer: BlobWriter, version: int, on_moved: OnMoved) -> None:
        self._source = source
        self._writer = writer
        self._version = version
        self._on_moved = on_moved

    def run(self, wanted: Iterable[Wanted]) -> None:
        """Carry all of these. Raises Damaged or BlobNotFound for a blob that is not whole in any place."""
        running: deque[tuple[int, Future[int]]] = deque()
        pool = ThreadPoolExecutor(READERS, "transfer")
        try:
            for blob_type, group in _groups(wanted):
                size = sum(location.length for _, location in group)
                running.append((size, pool.submit(self._move_group, blob_type, group)))
                if len(running) > READERS:
                    self._finish(*running.popleft())
            while running:
                self._finish(*running.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _finish(self, size: int, moved: Future[int]) -> None:
        while not wait([moved], _TICK_S).done:
            self._on_moved(0, 0)
        self._on_moved(size, moved.result())

    def load(self, blob_type: BlobType, blob_id: bytes) -> bytes:
        """Return a blob from whichever place holds it whole. Raises Damaged or BlobNotFound."""
        return self._source.load_blob(blob_type, blob_id)

    def _move_group(self, blob_type: BlobType, group: Group) -> int:
        first, last = group[0][1], group[-1][1]
        sealed = b""
        with suppress(ObjectNotFound, ObjectTruncated):  # each blob is looked for elsewhere then
            length = last.offset + last.length - first.offset
            sealed = self._source.storage.get(pack_key(first.pack), first.offset, length)
        view, stored = memoryview(sealed), 0
        for blob_id, location in group:
            start = location.offset - first.offset
            stored += self._move(blob_type, blob_id, view[start : start + location.length], location)
        return stored

    def _move(self, blob_type: BlobType, blob_id: bytes, sealed: memoryview, location: Location) -> int:
        try:
            content = unseal(self._source.key, sealed)
            plain_length = location.uncompressed_length
            plain = content if plain_length is None else decompress_blob(content, plain_length)
            if hash_bytes(plain) != blob_id:
                raise Damaged("the content of a blob does not fit its id")
        except Damaged:
            # Another place may hold it whole; if none does, this says what is wrong with each.
            return self._writer.save(blob_type, self.load(blob_type, blob_id)).stored_bytes
        if plain_length is not None and self._version >= 2:
            return self._writer.save_frame(blob_type, blob_id, content, plain_length).stored_bytes
        return self._writer.save(blob_type, plain).stored_bytes


def _groups(wanted: Iterable[Wanted]) -> Iterator[tuple[BlobType, Group]]:
    for blob_type, places in wanted:
        for group in group_reads(places):
            yield blob_type, group
