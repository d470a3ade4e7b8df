"""Load all index files of a repository, several under way at a time, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from repository.errors import Damaged
from repository.files import LOADERS, FileStore, StoredFile
from repository.index import Index
from repository.indexfile import IndexFile, decode_columns, decode_index
from storage_adapters.errors import ObjectNotFound

Decoded = TypeVar("Decoded")

# As stored; as text they are four times as large. An index file of 50,000 blobs has some 2 MB.
_AHEAD_BYTES = 4 * 1024 * 1024


def load_index(files: FileStore) -> Index:
    """Return the union of all index files. Raises Damaged, naming the file."""
    index = Index()
    with ThreadPoolExecutor(LOADERS, "index") as pool:
        for file, json in _in_turn(pool, lambda file: _load(files, file), files.list("index")):
            if json is not None:
                index.add_file(_decode(decode_columns, json, file.id))
    return index


def load_file(files: FileStore, file_id: bytes) -> IndexFile:
    """Return one index file. Raises ObjectNotFound; Damaged, naming the file."""
    return _decode(decode_index, files.load("index", file_id), file_id)


def _load(files: FileStore, file: StoredFile) -> bytes | None:
    try:
        return files.load("index", file.id)
    except ObjectNotFound:
        return None  # a prune has replaced it; what it wrote instead is listed next time


def _decode(decode: Callable[[bytes], Decoded], json: bytes, file_id: bytes) -> Decoded:
    try:
        return decode(json)
    except Damaged as error:
        raise Damaged(f"the file index/{file_id.hex()} is damaged: {error}") from error


def _in_turn(
    pool: ThreadPoolExecutor, load: Callable[[StoredFile], bytes | None], files: Iterable[StoredFile]
) -> Iterator[tuple[StoredFile, bytes | None]]:
    """Yield each file with its text, in order, while the next ones are being loaded.

    What is under way, or loaded and waiting, is limited in number and in bytes, but for a single large file.
    """
    waiting: deque[tuple[StoredFile, Future[bytes | None]]] = deque()
    for file in files:
        while waiting and _is_enough([each for each, _ in waiting], file):
            yield _take(waiting)
        waiting.append((file, pool.submit(load, file)))
    while waiting:
        yield _take(waiting)


def _is_enough(waiting: list[StoredFile], file: StoredFile) -> bool:
    total = sum(each.size_bytes for each in waiting) + file.size_bytes
    return len(waiting) >= LOADERS or total > _AHEAD_BYTES


def _take(waiting: deque[tuple[StoredFile, Future[bytes | None]]]) -> tuple[StoredFile, bytes | None]:
    file, text = waiting.popleft()
    return file, text.result()
