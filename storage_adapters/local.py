"""Objects as files below a folder of this machine, laid out as restic lays them out."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator

from storage_adapters.base import TEMPORARY_MARK, ObjectInfo, is_valid_key, validate_key, validate_prefix
from storage_adapters.errors import (
    ObjectNotFound,
    ObjectTruncated,
    PermissionDenied,
    StorageError,
    StorageFull,
    StorageUnavailable,
    TransientStorageError,
)

# What restic uses: a stored file is never changed, so nobody may write to it (restic-format.md, section 16).
FILE_MODE = 0o400
FOLDER_MODE = 0o700

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_GONE = {errno.ENODEV, errno.ENXIO, errno.ENOTCONN}
_TRANSIENT = {errno.EIO, errno.ETIMEDOUT, errno.ESTALE, errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE}


def create_root(path: str) -> None:
    """Make the root folder, for set-up and `init` only: an adapter never makes its own root.

    Raises a StorageError where that is not possible.
    """
    try:
        os.makedirs(path, mode=FOLDER_MODE, exist_ok=True)
    except OSError as error:
        raise _translate(error, path) from error


class LocalAdapter:
    """A StorageAdapter below `root`. A root that is missing (a disk not mounted) is StorageUnavailable."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter: temporary file, fsync, rename, fsync of the folder."""
        path = self._path(key)
        temporary = f"{path}{TEMPORARY_MARK}{secrets.token_hex(8)}"
        try:
            self._make_folder(os.path.dirname(path))
            _write_durably(temporary, data)
            os.rename(temporary, path)
            _sync_folder(os.path.dirname(path))
        except OSError as error:
            _remove_quietly(temporary)
            raise self._failed(error, path) from error

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        path = self._path(key)
        try:
            with open(path, "rb", buffering=0) as file:
                size = os.fstat(file.fileno()).st_size
                end = size if length is None else offset + length
                if end > size or offset > size:
                    raise ObjectTruncated(f"{path} has {size} bytes, wanted up to {max(end, offset)}")
                return _read_exactly(file.fileno(), offset, end - offset, path)
        except OSError as error:
            raise self._missing(error, key) from error

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        try:
            return ObjectInfo(key, os.stat(self._path(key)).st_size)
        except OSError as error:
            raise self._missing(error, key) from error

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter."""
        validate_prefix(prefix)
        self._require_root()
        yield from self._walk(os.path.join(self.root, prefix), prefix)

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        path = self._path(key)
        self._require_root()
        try:
            os.unlink(path)
            _sync_folder(os.path.dirname(path))
        except (FileNotFoundError, NotADirectoryError):
            self._require_root()  # it may have gone this moment, and the object with it
        except OSError as error:
            raise _translate(error, path) from error

    def close(self) -> None:
        """See StorageAdapter."""

    def _path(self, key: str) -> str:
        return os.path.join(self.root, validate_key(key))

    def _require_root(self) -> None:
        if os.path.isfile(self.root):
            raise StorageUnavailable(f"{self.root} is a file, not a folder")
        if not os.path.isdir(self.root):
            raise StorageUnavailable(f"the storage folder {self.root} is missing: is its disk mounted?")

    def _make_folder(self, folder: str) -> None:
        """Make missing folders below the root, durably, never the root itself."""
        if os.path.isdir(folder):
            return
        if folder == self.root:
            self._require_root()
            return
        self._make_folder(os.path.dirname(folder))
        try:
            os.mkdir(folder, FOLDER_MODE)
        except FileExistsError:
            return
        _sync_folder(os.path.dirname(folder))

    def _failed(self, error: OSError, path: str) -> StorageError:
        """Say what a failed write means. A missing folder may mean that the root has gone meanwhile."""
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            self._require_root()
        if error.errno in _FULL:
            # One file's name says nothing: it is any next one that did not fit.
            return StorageFull(f"no space left on the disk of {self.root}: {os.strerror(error.errno)}")
        return _translate(error, path)

    def _walk(self, folder: str, prefix: str) -> Iterator[ObjectInfo]:
        try:
            with os.scandir(folder) as found:
                for item in found:
                    yield from self._visit(item, prefix + item.name)
        except (FileNotFoundError, NotADirectoryError):
            return  # nothing under this prefix, or removed meanwhile
        except OSError as error:
            raise _translate(error, folder) from error

    def _visit(self, item: os.DirEntry[str], key: str) -> Iterator[ObjectInfo]:
        if not is_valid_key(key):
            return
        if item.is_dir(follow_symlinks=False):
            yield from self._walk(item.path, key + "/")
            return
        try:
            yield ObjectInfo(key, item.stat().st_size)
        except FileNotFoundError:
            return

    def _missing(self, error: OSError, key: str) -> StorageError:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            self._require_root()
            return ObjectNotFound(key)
        return _translate(error, self._path(key))


def _write_durably(path: str, data: bytes | bytearray | memoryview) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fchmod(descriptor, FILE_MODE)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_exactly(descriptor: int, offset: int, length: int, path: str) -> bytes:
    parts = []
    while length:
        part = os.pread(descriptor, length, offset)
        if not part:
            raise ObjectTruncated(f"{path} ended while it was read")
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder
            raise
    finally:
        os.close(descriptor)


def _remove_quietly(path: str) -> None:
    """Clean up after a failed write; what cannot be removed is no object, and the first error is the news."""
    try:
        os.unlink(path)
    except OSError:
        return


def _translate(error: OSError, path: str) -> StorageError:
    number = error.errno
    reason = os.strerror(number) if number else str(error)
    if number in _FULL:
        return StorageFull(f"no space left for {path}: {reason}")
    if number in _DENIED:
        return PermissionDenied(f"not allowed at {path}: {reason}")
    if number in _GONE:
        return StorageUnavailable(f"the storage at {path} is gone: {reason}")
    if number in _TRANSIENT:
        return TransientStorageError(f"could not access {path}: {reason}")
    return StorageError(f"could not access {path}: {reason}")
