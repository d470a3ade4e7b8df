"""Ask the storage whether it has what it took: one that lies must be met before anything relies on it."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from repository.errors import Damaged
from repository.files import FileStore, list_packs, pack_key
from storage_adapters.base import StorageAdapter, parallel_calls
from storage_adapters.errors import ObjectNotFound

# Above this many files, one listing is cheaper than asking for each.
_STAT_AT_MOST = 64
_NAMED = 10


def require_stored(files: FileStore, written: Mapping[str, int], consequence: str) -> None:
    """Raise Damaged unless each key of `written` is stored with its size in bytes.

    `consequence` says in the message what has not been done therefore.
    """
    sizes = _stored_sizes(files, written)
    wrong = [key for key, size in written.items() if sizes.get(key) != size]
    if wrong:
        raise Damaged(
            f"the storage took {len(wrong)} files and does not have them, or not whole: "
            f"{', '.join(wrong[:_NAMED])}. So {consequence}"
        )


def require_gone(files: FileStore, index_ids: set[bytes]) -> None:
    """Raise Damaged if one of these index files is still listed."""
    still = sorted(index_ids & {file.id for file in files.list("index")})
    if still:
        raise Damaged(
            f"the storage still has {len(still)} index files that it said it deleted, index/{still[0].hex()} "
            f"for one. So no pack was deleted that they name; try again later"
        )


def _stored_sizes(files: FileStore, written: Mapping[str, int]) -> dict[str, int]:
    if len(written) > _STAT_AT_MOST:
        packs = {pack_key(pack): size for pack, size in list_packs(files.storage).items()}
        return packs | {f"index/{file.id.hex()}": file.size_bytes for file in files.list("index")}
    with ThreadPoolExecutor(parallel_calls(files.storage), "stat") as pool:
        found = pool.map(partial(_stored_size, files.storage), written)
        return {key: size for key, size in zip(written, found, strict=True) if size is not None}


def _stored_size(storage: StorageAdapter, key: str) -> int | None:
    try:
        return storage.stat(key).size_bytes
    except ObjectNotFound:
        return None
