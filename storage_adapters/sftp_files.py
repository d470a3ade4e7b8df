"""A storage's files on an SFTP server: written whole and durably, read, listed, removed."""

from __future__ import annotations

import posixpath
import secrets
import stat
from collections.abc import Sequence

from ssh import sftp_wire as wire
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus
from ssh.sftp_wire import Attrs
from storage_adapters.base import TEMPORARY_MARK, ObjectInfo, validate_key
from storage_adapters.errors import InvalidKey, StorageUnavailable

# As in a local storage: a stored file is never changed, so nobody may write to it.
FILE_MODE = 0o400
FOLDER_MODE = 0o700

# FAILURE is OpenSSH's word for everything without a word of its own, such as a path below a file.
_MISSING = (wire.NO_SUCH_FILE, wire.FAILURE)


class SftpFiles:
    """The files below `root`, by absolute path, over a session that is lent for the call.

    Every method raises SshError; StorageUnavailable if the root is missing.
    """

    def __init__(self, root: bytes, shown: str) -> None:
        """Take the root, and how messages call it."""
        self.root = root
        self._shown = shown

    def put(self, sftp: Sftp, path: bytes, data: memoryview) -> None:
        """Write a file under another name, sync, rename, sync the folder."""
        try:
            self._put(sftp, path, data)
        except SftpStatus as error:
            if error.code != wire.FAILURE:
                raise
            free = sftp.free_bytes(self.root)
            if free is None or free > len(data):
                raise
            text = f"{error}; its file system has {free} bytes free"
            raise SftpStatus(wire.NO_SPACE, text) from error

    def read(self, sftp: Sftp, path: bytes, offset: int, length: int | None) -> bytes | None:
        """Return a part of a file; None if the file ends before it."""
        handle = sftp.open(path, wire.READ_ONLY)
        try:
            if length is None:
                length = (sftp.fstat(handle).size or 0) - offset
            elif length == 0 and offset > (sftp.fstat(handle).size or 0):
                return None
            data = sftp.read(handle, offset, length) if length > 0 else b""
        finally:
            if not sftp.broken:
                sftp.close_handle(handle)
        return data if len(data) == length else None

    def delete(self, sftp: Sftp, path: bytes) -> None:
        """Remove a file durably; one that is missing is done."""
        try:
            sftp.remove(path)
        except SftpStatus as error:
            self.require_root(sftp)
            if error.code == wire.NO_SUCH_FILE or not exists(sftp, path):
                return
            raise
        _sync_folder(sftp, posixpath.dirname(path))

    def walk(self, sftp: Sftp, prefix: str) -> list[ObjectInfo]:
        """Return every file below the folder `prefix` whose name is a key."""
        self.require_root(sftp)
        found: list[ObjectInfo] = []
        folders = [prefix]
        while folders:
            paths = {posixpath.join(self.root, folder.encode()): folder for folder in folders}
            folders = []
            for path, entries in sftp.list_dirs(list(paths)):
                if not isinstance(entries, SftpStatus):
                    _sort_in(sftp, path, paths[path], entries, found, folders)
                elif entries.code not in _MISSING or is_folder(sftp, path):
                    raise entries
        return found

    def require_root(self, sftp: Sftp) -> None:
        """Raise StorageUnavailable unless the root is a folder."""
        try:
            mode = sftp.stat(self.root).mode
        except SftpStatus as error:
            if error.code not in _MISSING:
                raise
            text = f"the storage folder {self._shown} is missing: is its disk mounted there?"
            raise StorageUnavailable(text) from error
        if mode is not None and not stat.S_ISDIR(mode):
            raise StorageUnavailable(f"{self._shown} is a file, not a folder")

    def _put(self, sftp: Sftp, path: bytes, data: memoryview) -> None:
        temporary = path + f"{TEMPORARY_MARK}{secrets.token_hex(8)}".encode()
        handle = self._create(sftp, temporary)
        try:
            _fill(sftp, handle, data)
            sftp.rename(temporary, path)
        except SftpStatus:
            _remove_quietly(sftp, temporary)
            raise
        _sync_folder(sftp, posixpath.dirname(path))

    def _create(self, sftp: Sftp, path: bytes) -> bytes:
        flags = wire.WRITE_ONLY | wire.CREATE | wire.EXCLUSIVE
        try:
            return sftp.open(path, flags, FILE_MODE)
        except SftpStatus as error:
            if error.code != wire.NO_SUCH_FILE:
                raise
        self.require_root(sftp)
        make_folders(sftp, posixpath.dirname(path), self.root)
        return sftp.open(path, flags, FILE_MODE)


def make_folders(sftp: Sftp, folder: bytes, above: bytes = b"/") -> None:
    """Make a folder and those that lead to it, durably, but none at or above `above`."""
    if folder in (b"", above) or is_folder(sftp, folder):
        return
    make_folders(sftp, posixpath.dirname(folder), above)
    try:
        sftp.make_dir(folder, FOLDER_MODE)
    except SftpStatus:
        if not is_folder(sftp, folder):  # made by another one at the same time
            raise
    _sync_folder(sftp, posixpath.dirname(folder))


def is_folder(sftp: Sftp, path: bytes) -> bool:
    """Tell whether a folder stands at `path`, or a link to one."""
    try:
        return stat.S_ISDIR(sftp.stat(path).mode or 0)
    except SftpStatus as error:
        if error.code in _MISSING:
            return False
        raise


def exists(sftp: Sftp, path: bytes) -> bool:
    """Tell whether anything stands at `path`."""
    try:
        sftp.lstat(path)
    except SftpStatus as error:
        if error.code in _MISSING:
            return False
        raise
    return True


def _fill(sftp: Sftp, handle: bytes, data: memoryview) -> None:
    """Write and close a file. A write that fails for no reason given is one for want of space."""
    try:
        sftp.write(handle, data)
        if sftp.can_sync:
            sftp.sync(handle)
    except SftpStatus as error:
        if error.code != wire.FAILURE:
            raise
        text = f"the server takes no more data ({error}): no space or quota left there, or its disk is bad"
        raise SftpStatus(wire.NO_SPACE, text) from error
    finally:
        if not sftp.broken:
            sftp.close_handle(handle)


def _sync_folder(sftp: Sftp, folder: bytes) -> None:
    """Make a change of names durable. Only some servers can: OpenSSH opens folders like files."""
    if not sftp.can_sync:
        return
    try:
        handle = sftp.open(folder or b".", wire.READ_ONLY)
    except SftpStatus:
        return  # such as a server of another kind, that opens files only
    try:
        sftp.sync(handle)
    finally:
        if not sftp.broken:
            sftp.close_handle(handle)


def _remove_quietly(sftp: Sftp, path: bytes) -> None:
    """Clean up after a failed write; what cannot be removed is no object, and the first error is the news."""
    try:
        sftp.remove(path)
    except SftpStatus:
        return


def _sort_in(
    sftp: Sftp,
    path: bytes,
    prefix: str,
    entries: Sequence[tuple[bytes, Attrs]],
    found: list[ObjectInfo],
    folders: list[str],
) -> None:
    """Add a folder's files to `found`, its folders to `folders`; leave out what is no key."""
    for name, attrs in entries:
        key = prefix + name.decode("ascii", "replace")
        if not _is_key(key):
            continue
        known = _followed(sftp, posixpath.join(path, name), attrs)
        if known is None:
            continue
        if stat.S_ISDIR(known.mode or 0):
            folders.append(key + "/")
        else:
            found.append(ObjectInfo(key, known.size or 0))


def _followed(sftp: Sftp, path: bytes, attrs: Attrs) -> Attrs | None:
    """Return the attributes, asked for where the listing lacks them or shows a link; None if it is gone."""
    if attrs.mode is not None and attrs.size is not None and not stat.S_ISLNK(attrs.mode):
        return attrs
    try:
        return sftp.stat(path)
    except SftpStatus as error:
        if error.code in _MISSING:
            return None
        raise


def _is_key(key: str) -> bool:
    try:
        validate_key(key)
    except InvalidKey:
        return False
    return True
