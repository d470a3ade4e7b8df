"""Load all index files of a repository, several under way at a time, in bounded memory."""

from __future__ import annotations

import ctypes
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from repository.errors import Damaged
from repository.files import LOADERS, FileStore, StoredFile
from repository.ids import ID_BYTES
from repository.index import Index
from repository.indexfile import IndexFile, decode_columns, decode_index
from storage_adapters.errors import ObjectNotFound

# The first file tells how many blobs the others may list; a guess too high by little doubles the table.
_SAFELY = 0.95

# As stored; as text they are four times as large. An index file of 50,000 blobs has some 2 MB.
_AHEAD_BYTES = 4 * 1024 * 1024
_FREED_BYTES = 16 * 1024 * 1024  # of text done with, before it is given back


def load_index(files: FileStore) -> Index:
    """Return the union of all index files. Raises Damaged, naming the file."""
    index = Index()
    listed = files.list("index")
    total = sum(file.size_bytes for file in listed)
    freed = 0
    with ThreadPoolExecutor(LOADERS, "index") as pool:
        for file, json in _in_turn(pool, lambda file: _load(files, file), listed):
            if json is None:
                continue
            _add(index, file, json)
            index.files.add(file.id)
            if file is listed[0]:
                index.expect(_SAFELY * total / file.size_bytes, total // ID_BYTES)
            freed += len(json)
            if freed > _FREED_BYTES:
                _return_freed_memory()
                freed = 0
    _return_freed_memory()
    return index


def load_file(files: FileStore, file_id: bytes) -> IndexFile:
    """Return one index file. Raises ObjectNotFound; Damaged, naming the file."""
    json = files.load("index", file_id)
    try:
        return decode_index(json)
    except Damaged as error:
        raise _damaged(file_id, error) from error


def _add(index: Index, file: StoredFile, json: bytes) -> None:
    try:
        for columns in decode_columns(json):
            index.add_columns(columns)
    except Damaged as error:
        raise _damaged(file.id, error) from error


def _damaged(file_id: bytes, error: Damaged) -> Damaged:
    return Damaged(f"the file index/{file_id.hex()} is damaged: {error}")


def _return_freed_memory() -> None:
    """Give what the texts of the files took back to the system.

    The C library keeps it otherwise, between what stays: half as much again as the index itself. Systems
    whose C library has no malloc_trim do not need it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def _load(files: FileStore, file: StoredFile) -> bytes | None:
    try:
        return files.load("index", file.id)
    except ObjectNotFound:
        return None  # a prune has replaced it; what it wrote instead is listed next time


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
