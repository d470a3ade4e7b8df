"""Objects as files on an SFTP server, laid out as restic lays them out."""

from __future__ import annotations

import posixpath
import stat
from collections.abc import Iterator

from ssh.connection import DEFAULT_LIMITS, TimeLimits
from ssh.errors import SshError
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus
from storage_adapters.base import ObjectInfo, validate_key, validate_prefix
from storage_adapters.errors import ObjectNotFound, ObjectTruncated, StorageError
from storage_adapters.sftp_errors import HostKeyRefused, failed
from storage_adapters.sftp_files import SftpFiles, exists, is_folder, make_folders
from storage_adapters.sftp_pool import MOST_CONNECTIONS, SftpPool
from storage_adapters.sftp_settings import SftpSettings, host_keys, settings_like_ssh, time_limits

__all__ = [
    "HostKeyRefused",
    "SftpAdapter",
    "SftpSettings",
    "create_root",
    "host_keys",
    "settings_like_ssh",
    "time_limits",
]


def create_root(settings: SftpSettings) -> None:
    """Make the root folder, for set-up and `init` only: an adapter never makes its own root.

    Raises a StorageError where that is not possible.
    """
    pool = SftpPool(settings.server)
    try:
        with pool.lend() as sftp:
            make_folders(sftp, settings.root)
    except SshError as error:
        raise failed(error, settings.shown) from error
    finally:
        pool.close()


class SftpAdapter:
    """A StorageAdapter below a folder of an SFTP server. Connects at its first call, anew after a cut.

    A root that is missing is StorageUnavailable. Where the server has no fsync (OpenSSH has), a put is whole,
    but durable only once the server's system has written it.
    """

    parallel_calls = MOST_CONNECTIONS

    def __init__(self, settings: SftpSettings, *, limits: TimeLimits = DEFAULT_LIMITS) -> None:
        self.settings = settings
        self._files = SftpFiles(settings.root, settings.shown)
        self._pool = SftpPool(settings.server, limits)

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        """See StorageAdapter: temporary file, fsync, rename, fsync of the folder."""
        path = self._path(key)
        try:
            with self._pool.lend() as sftp:
                self._files.put(sftp, path, memoryview(data).cast("B"))
        except SshError as error:
            raise self._failed(error, key) from error

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See StorageAdapter."""
        path = self._path(key)
        try:
            with self._pool.lend() as sftp:
                data = self._files.read(sftp, path, offset, length)
        except SshError as error:
            raise self._missing(error, key) from error
        if data is None:
            raise ObjectTruncated(f"{self._shown(key)} ends before byte {offset + (length or 0)}")
        return data

    def stat(self, key: str) -> ObjectInfo:
        """See StorageAdapter."""
        path = self._path(key)
        try:
            with self._pool.lend() as sftp:
                attrs = sftp.stat(path)
        except SshError as error:
            raise self._missing(error, key) from error
        if attrs.size is None or stat.S_ISDIR(attrs.mode or 0):
            raise ObjectNotFound(key)
        return ObjectInfo(key, attrs.size)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See StorageAdapter. It is complete before its first result: no connection is held meanwhile."""
        validate_prefix(prefix)
        try:
            with self._pool.lend() as sftp:
                found = self._files.walk(sftp, prefix)
        except SshError as error:
            raise self._failed(error, prefix) from error
        yield from found

    def delete(self, key: str) -> None:
        """See StorageAdapter."""
        path = self._path(key)
        try:
            with self._pool.lend() as sftp:
                self._files.delete(sftp, path)
        except SshError as error:
            raise self._failed(error, key) from error

    def close(self) -> None:
        """See StorageAdapter."""
        self._pool.close()

    def _path(self, key: str) -> bytes:
        return posixpath.join(self.settings.root, validate_key(key).encode())

    def _shown(self, key: str) -> str:
        return f"{self.settings.shown.rstrip('/')}/{key}"

    def _failed(self, error: SshError, key: str) -> StorageError:
        return failed(error, self._shown(key))

    def _missing(self, error: SshError, key: str) -> StorageError:
        """Return what a failed read means: no such object, if the root is there and no file at its place."""
        if not isinstance(error, SftpStatus):
            return self._failed(error, key)
        try:
            with self._pool.lend() as sftp:
                is_missing = self._is_missing(sftp, self._path(key))
        except SshError as newer:
            return self._failed(newer, key)
        return ObjectNotFound(key) if is_missing else self._failed(error, key)

    def _is_missing(self, sftp: Sftp, path: bytes) -> bool:
        self._files.require_root(sftp)
        return not exists(sftp, path) or is_folder(sftp, path)
