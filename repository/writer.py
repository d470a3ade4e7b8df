"""Store new blobs: seal, pack, upload, index. Packs always reach the storage before the index names them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from repository import indexfile
from repository.bloblist import BlobList
from repository.compression import Mode
from repository.crypto import MasterKey
from repository.errors import RepositoryError
from repository.files import FileStore, pack_key
from repository.ids import hash_bytes, split_ids
from repository.index import Index
from repository.packer import FinishedPack, Packer
from repository.packfile import BlobType
from repository.sealing import BlobSealer
from repository.shared_buffer import SharedBuffer
from repository.stored import require_stored
from storage_adapters.base import parallel_calls

INDEX_MAX_BLOBS = 50_000
INDEX_MAX_AGE_S = 600.0
_TICK_S = 0.5


class SavedBlob(NamedTuple):
    """What became of a blob: `stored_bytes` is its sealed size, 0 if it was stored before."""

    id: bytes
    is_new: bool
    stored_bytes: int


@dataclass(slots=True)
class WriteOptions:
    """How blobs are written. `guard` is called before each write and raises if the lock is lost.

    `wait` is called now and then, by whoever waits for the storage, and may raise.
    `index_max_age_s`: packs wait no longer for an index that names them, if more packs come.
    """

    compression: Mode = "auto"
    self_check: bool = True
    guard: Callable[[], None] = lambda: None
    wait: Callable[[], None] = lambda: None
    index_max_age_s: float = INDEX_MAX_AGE_S


class BlobWriter:
    """Take blobs from any number of threads; packs are uploaded by a few more while the callers go on.

    After a failed upload every call raises its error: nothing may be saved that refers to a lost pack.
    """

    def __init__(self, files: FileStore, key: MasterKey, index: Index, options: WriteOptions) -> None:
        self._files = files
        self._key = key
        self._index = index
        self._options = options
        self.sealer = BlobSealer(key, files.version, options.compression, options.self_check)
        self._packers: dict[BlobType, Packer] = {"data": Packer("data"), "tree": Packer("tree")}
        self._mutex = threading.Lock()
        uploads = parallel_calls(files.storage)
        self._room = threading.BoundedSemaphore(uploads + 1)  # packs kept in memory
        self._pool = ThreadPoolExecutor(uploads, "upload")
        self._uploads: list[Future[None]] = []
        self._error: BaseException | None = None
        self._buffers: list[SharedBuffer] = []  # of packs that are stored: new memory has to be zeroed first
        self._unsaved: dict[bytes, BlobList] = {}
        self._unsaved_since = 0.0
        self._owed = 0  # blobs that were claimed for packs made elsewhere and did not come yet
        self.stored_bytes = 0  # of packs
        self.written: dict[str, int] = {}  # what this writer stored: key -> size in bytes

    def save(self, blob_type: BlobType, data: bytes | memoryview) -> SavedBlob:
        """Store a blob unless it is known. It is durable, and in an index, only after `flush`."""
        self._raise_error()
        blob_id = hash_bytes(data)
        if not self._index.claim(blob_type, blob_id):
            return SavedBlob(blob_id, False, 0)
        sealed, uncompressed_length = self.sealer.seal(blob_type, data)
        self._add(blob_type, blob_id, sealed, uncompressed_length)
        return SavedBlob(blob_id, True, len(sealed))

    def save_frame(self, blob_type: BlobType, blob_id: bytes, frame: bytes, plain_length: int) -> SavedBlob:
        """Store a blob that is compressed already as it is, unless it is known.

        The caller has checked that the frame's content has this id. For version 2 only.
        """
        self._raise_error()
        if not self._index.claim(blob_type, blob_id):
            return SavedBlob(blob_id, False, 0)
        sealed = self.sealer.seal_frame(frame)
        self._add(blob_type, blob_id, sealed, plain_length)
        return SavedBlob(blob_id, True, len(sealed))

    def claim(self, ids: bytes) -> bytes:
        """Tell which of these data blobs (ids one after the other) the caller must pack: a byte 1 for each.

        Each of those is owed: unless `add_pack` brings it, `flush` refuses.
        """
        self._raise_error()
        claim = self._index.claim
        answer = bytes(claim("data", blob_id) for blob_id in split_ids(ids))
        with self._mutex:
            self._owed += answer.count(1)
        return answer

    def add_pack(self, receive: Callable[[], FinishedPack]) -> None:
        """Store a pack of claimed blobs that was made elsewhere.

        `receive` is called once there is room for it: the storage may be slower than those who pack.
        """
        self._raise_error()
        self._wait_for_room()
        try:
            pack = receive()
        except BaseException:
            self._room.release()
            raise
        with self._mutex:
            self._owed -= len(pack.blobs)
        self._start_upload(lambda: pack)

    def flush(self) -> None:
        """Store all open packs, then the index. When it returns, every blob saved so far is durable."""
        self._raise_error()
        if self._owed:
            raise RepositoryError(f"{self._owed} blobs were claimed and never packed; no index names them")
        for blob_type in self._packers:
            with self._mutex:
                packer = self._take(blob_type)
            if not packer.empty:
                self._submit(partial(packer.finish, self._key))
        uploads, self._uploads = self._uploads, []
        for upload in uploads:
            while not wait([upload], _TICK_S).done:
                self._options.wait()  # a slow storage may take minutes, and the work be cancelled meanwhile
            upload.result()
        self._raise_error()
        with self._mutex:
            self._save_index()

    def stop(self) -> None:
        """Drop what is not stored yet and end the threads; an upload that is under way is waited for."""
        self._error = self._error or RepositoryError("this writer was stopped; nothing more can be saved")
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._index.drop_pending()

    def _add(
        self, blob_type: BlobType, blob_id: bytes, sealed: bytes, uncompressed_length: int | None
    ) -> None:
        with self._mutex:
            packer = self._packers[blob_type]
            packer.add(blob_id, sealed, uncompressed_length)
            full = self._take(blob_type) if packer.full else None
        if full is not None:
            self._submit(partial(full.finish, self._key))

    def _take(self, blob_type: BlobType) -> Packer:
        packer = self._packers[blob_type]
        buffer = self._buffers.pop() if self._buffers and blob_type == "data" else None
        self._packers[blob_type] = Packer(blob_type, buffer=buffer)
        return packer

    def _submit(self, finish: Callable[[], FinishedPack]) -> None:
        """Hand a pack to the upload threads; waits while enough packs are on their way."""
        self._wait_for_room()
        self._start_upload(finish)

    def _wait_for_room(self) -> None:
        while not self._room.acquire(timeout=_TICK_S):
            self._options.wait()

    def _start_upload(self, finish: Callable[[], FinishedPack]) -> None:
        """Hand a pack to the upload threads, which give its room back."""
        try:
            upload = self._pool.submit(self._upload, finish)
        except RuntimeError:
            self._room.release()
            self._raise_error()
            raise
        upload.add_done_callback(lambda _: self._room.release())
        with self._mutex:
            self._uploads = [each for each in self._uploads if not each.done()]
            self._uploads.append(upload)

    def _upload(self, finish: Callable[[], FinishedPack]) -> None:
        try:
            if self._error is None:
                self._reuse(self._store(finish()))
        except BaseException as error:
            self._error = self._error or error
            raise

    def _reuse(self, buffer: SharedBuffer | None) -> None:
        """Keep the memory of a stored pack for another, unless the storage still looks at it."""
        if buffer is not None and buffer.clear():
            with self._mutex:
                self._buffers.append(buffer)

    def _store(self, pack: FinishedPack) -> SharedBuffer | None:
        """Store a pack and list it; return the memory that it was in, if it was made here."""
        self._options.guard()
        name = pack_key(pack.id)
        self._files.storage.put(name, pack.data)
        if self._files.cache is not None and pack.blobs.type == "tree":
            self._files.cache.put("packs", pack.id, pack.data)  # the next run wants these trees
        with self._mutex:
            self.written[name] = len(pack.data)
            self.stored_bytes += len(pack.data)
            self._index.add_pack(pack.id, pack.blobs)
            if not self._unsaved:
                self._unsaved_since = time.monotonic()
            self._unsaved[pack.id] = pack.blobs
            if self._index_is_due():
                self._save_index()
        return pack.buffer

    def _index_is_due(self) -> bool:
        count = sum(map(len, self._unsaved.values()))
        age_s = time.monotonic() - self._unsaved_since
        return count >= INDEX_MAX_BLOBS or age_s >= self._options.index_max_age_s

    def _save_index(self) -> None:
        if not self._unsaved:
            return
        self._options.guard()
        # A pack that is not there whole must never get into an index: later runs would rely on it.
        packs = map(pack_key, self._unsaved)
        require_stored(self._files, {key: self.written[key] for key in packs}, "no index names them")
        blob_id, size = self._files.save("index", indexfile.encode_index(self._unsaved))
        self.written[f"index/{blob_id.hex()}"] = size
        self._unsaved = {}

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error
