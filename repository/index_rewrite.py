"""Put new index files in the place of old ones: the new are stored and seen before an old one goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from repository.errors import Damaged
from repository.files import LOADERS, StoredFile, pack_key
from repository.indexfile import IndexFile, encode_index
from repository.locks import Lock
from repository.packfile import PackedBlob
from repository.repository import Repository
from repository.stored import require_gone, require_stored
from repository.writer import INDEX_MAX_BLOBS
from storage_adapters.errors import ObjectNotFound, StorageError


def load_listed_index(repo: Repository, file: StoredFile) -> IndexFile:
    """Return an index file that a listing showed. Raises Damaged also if it is gone.

    Under an exclusive lock nobody may remove one, and whoever deletes data must not know a part only.
    """
    try:
        return repo.load_index_file(file.id)
    except ObjectNotFound as error:
        raise Damaged(
            f"the file index/{file.id.hex()} is listed but cannot be read; another program removed it, or "
            "the storage's listing is behind. Nothing was deleted. Try again later"
        ) from error


class IndexRewrite:
    """Collect what the new index files list; store them, then delete the old, under an exclusive lock."""

    def __init__(self, repo: Repository, lock: Lock) -> None:
        self._repo = repo
        self._lock = lock
        self._packs: dict[bytes, list[PackedBlob]] = {}
        self._blobs = 0
        self.written: dict[str, int] = {}  # key -> size in bytes

    def add(self, pack: bytes, blobs: list[PackedBlob]) -> None:
        """List a pack, completely, in one of the new files."""
        self._packs[pack] = blobs
        self._blobs += len(blobs)
        if self._blobs >= INDEX_MAX_BLOBS:
            self._save()

    def finish(self, old: Iterable[bytes], also_written: dict[str, int], consequence: str) -> None:
        """Store what is collected; delete the old files once all that was written is seen to be there.

        `consequence` says in an error what was not done. Raises Damaged, LockLost, StorageError. At any
        moment old or new files list every pack that stays; when this returns, no old file is left.
        """
        self._save()
        require_stored(self._repo.files, self.written | also_written, consequence)
        self._lock.confirm()
        old = set(old)
        delete_files(self._repo, [f"index/{each.hex()}" for each in old], self._lock)
        require_gone(self._repo.files, old)

    def _save(self) -> None:
        if not self._packs:
            return
        self._lock.check()
        file_id, size = self._repo.files.save("index", encode_index(self._packs))
        self.written[f"index/{file_id.hex()}"] = size
        self._packs, self._blobs = {}, 0


def delete_files(repo: Repository, keys: Iterable[str], lock: Lock) -> None:
    """Delete these, several at a time, while the lock holds. The first error is raised."""
    for error in _delete_each(repo, keys, lock):
        if error is not None:
            raise error


def try_delete_packs(
    repo: Repository, packs: Iterable[bytes], lock: Lock, before_each: Callable[[], None] = lambda: None
) -> list[tuple[bytes, StorageError]]:
    """Delete these packs; return those that could not be, which a later prune finds.

    Raises LockLost, and what `before_each` raises (called in several threads); the others stay then.
    """
    lock.confirm()
    packs = list(packs)
    errors = _delete_each(repo, map(pack_key, packs), lock, before_each)
    return [(pack, error) for pack, error in zip(packs, errors, strict=True) if error is not None]


def _delete_each(
    repo: Repository, keys: Iterable[str], lock: Lock, before_each: Callable[[], None] = lambda: None
) -> list[StorageError | None]:
    def delete(key: str) -> StorageError | None:
        lock.check()
        before_each()
        try:
            repo.storage.delete(key)
        except StorageError as error:
            return error
        return None

    with ThreadPoolExecutor(LOADERS, "delete") as pool:
        return list(pool.map(delete, keys))
