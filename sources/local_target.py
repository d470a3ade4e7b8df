"""A folder on this machine, as a Target."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import BinaryIO

from repository.entries import HALF_MADE, Conflict, Entry, Problem, TargetError
from sources.file_content import write_content
from sources.flush import FileSystems, FlushFailed
from sources.leftovers import TempNames, claim, remove_leftovers
from sources.metadata import entry_from_stat, read_xattrs
from sources.rename_new import put
from sources.restore_metadata import MetadataWriter
from sources.special_nodes import describe_node, make_node
from sources.target_dirs import TargetDirs, error_at

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOOK_FLAGS = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class LocalTarget:
    """Writes a tree below `root`, which is made when missing; links in the path of `root` are followed.

    Below it no link is ever followed: each folder is opened from its parent's descriptor. Files and specials
    come into being under a name `.holdfast-…` beside their own and are renamed; a killed restore may leave
    one such name, and the next one that enters the folder removes it. Threads may share a target, as long as
    each path is written by one of them.

    Without `owner`, or where an owner cannot be set, setuid, setgid and capabilities are left off: they would
    give another user's rights away. `setuid`, `devices` and `xattrs` leave these out for all.
    `unlock`: a folder that stands there and that its owner may not write to gets that right.
    `rule` holds to the end: only `replace` replaces what has come, or became newer, since a file was planned.
    """

    def __init__(
        self,
        root: str | bytes,
        *,
        owner: bool = True,
        setuid: bool = True,
        devices: bool = True,
        xattrs: bool = True,
        sparse: bool = True,
        fsync: bool = False,
        pinned: bool = False,
        rule: Conflict = "replace",
        unlock: bool = True,
    ) -> None:
        self._root = os.path.abspath(os.fsencode(root))
        self._pinned = pinned
        self._rule: Conflict = rule
        self._unlock = unlock
        self._dirs = TargetDirs(self._root, pinned=pinned)
        self._writer = MetadataWriter(owner, setuid, xattrs)
        self._temps = TempNames()
        self._devices = devices
        self._sparse = sparse
        self._fsync = fsync
        self._file_systems = FileSystems()

    def __reduce__(self) -> tuple[object, ...]:
        writer = self._writer
        made = partial(
            LocalTarget, self._root, owner=writer.owner, setuid=writer.setuid, devices=self._devices,
            xattrs=writer.xattrs, sparse=self._sparse, fsync=self._fsync, pinned=self._pinned,
            rule=self._rule, unlock=self._unlock,
        )  # fmt: skip
        return made, ()

    @property
    def splittable(self) -> bool:
        """Tell whether a pickled copy writes what this object writes: that of a subclass would not."""
        return type(self) is LocalTarget

    def existing(self, path: bytes) -> Entry | None:
        """Return what stands at `path` now, None if nothing. Raises TargetError."""
        if not self._dirs.exists():
            return None
        try:
            if path == b"/":
                fd = self._dirs.open(path)
                return entry_from_stat(b"", os.fstat(fd), xattrs=read_xattrs(fd))
            return _look_at(*self._dirs.parent(path))
        except FileNotFoundError:
            return None
        except OSError as err:
            raise error_at(path, err) from err

    def size(self, path: bytes) -> int | None:
        """Return the size of the file at `path`, None if nothing stands there. Raises TargetError."""
        try:
            dir_fd, name = self._dirs.parent(path)
            return os.stat(name, dir_fd=dir_fd, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None
        except OSError as err:
            raise error_at(path, err) from err

    def open_file(self, path: bytes) -> BinaryIO:
        """Open the regular file at `path` for reading. Raises TargetError, also if it is none."""
        return os.fdopen(self._open_regular(path), "rb")

    def describe_file(self, path: bytes, entry: Entry) -> list[Problem]:
        """Set the metadata of the regular file at `path`. Raises TargetError."""
        fd = self._open_regular(path)
        try:
            return self._writer.apply(fd, entry, path, tidy=True)
        except OSError as err:
            raise error_at(path, err) from err
        finally:
            os.close(fd)

    def _open_regular(self, path: bytes) -> int:
        try:
            dir_fd, name = self._dirs.parent(path)
            fd = os.open(name, _READ_FILE, dir_fd=dir_fd)
        except OSError as err:
            raise error_at(path, err) from err
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise TargetError(f"cannot restore {os.fsdecode(path)}: it was a file, and is something else now")
        return fd

    def start_dir(self, path: bytes) -> None:
        """Make sure that a real directory stands at `path` (HALF_MADE when new). Raises TargetError."""
        try:
            if path != b"/":
                dir_fd, name = self._dirs.parent(path)
                try:
                    os.mkdir(name, HALF_MADE, dir_fd=dir_fd)
                except FileExistsError:
                    if self._unlock:
                        _make_enterable(dir_fd, name)
                else:
                    return
            fd = self._dirs.open(path)
            self._file_systems.add(fd, path)  # a new folder is in that of its parent
            remove_leftovers(fd)
        except OSError as err:
            raise error_at(path, err) from err

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """Set a directory's metadata, after everything below it was written. Raises TargetError."""
        try:
            fd = self._dirs.open(path)
            problems = self._writer.apply(fd, entry, path, tidy=True)
            if self._fsync:
                os.fsync(fd)
        except OSError as err:
            raise error_at(path, err) from err
        return problems

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """Write a whole file, then its metadata; runs of zeros become holes.

        The name shows the old file or the whole new one. Raises TargetError, TargetFull, and what `chunks`
        raises; nothing is left then. `chunks` must not use this target.
        """
        dir_fd, name, temp = self._place(path)
        try:
            fd = os.open(temp, _NEW_FILE, 0o600, dir_fd=dir_fd)
        except OSError as err:
            raise error_at(path, err) from err
        try:
            problems = self._fill(fd, path, entry, chunks)
            self._put(dir_fd, temp, name, path, entry.mtime_ns)
        except BaseException:
            _discard(dir_fd, temp)
            raise
        return problems

    def make_link(self, path: bytes, first: bytes) -> None:
        """Make `path` a hard link to `first`, which this restore wrote before. Raises TargetError."""
        try:
            first_fd, first_name = self._dirs.parent(first)
            first_fd = os.dup(first_fd)
        except OSError as err:
            raise error_at(first, err) from err
        try:
            dir_fd, name, temp = self._place(path)
            _link(first_fd, first_name, dir_fd, temp, path)
            try:
                self._put(dir_fd, temp, name, path)
            finally:
                # Renaming one link of a file over another of the same file does nothing, by POSIX.
                _discard(dir_fd, temp)
        finally:
            os.close(first_fd)

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """Make a symlink, fifo or device with its metadata, replacing a non-directory there."""
        is_device = entry.kind in ("dev", "chardev")
        if entry.kind == "socket" or (is_device and not self._devices):
            return [Problem(path, "unsupported", f"a {entry.kind} is not restored here")]
        dir_fd, name, temp = self._place(path)
        try:
            make_node(dir_fd, temp, entry)
        except OSError as err:
            if is_device and isinstance(err, PermissionError):
                return [
                    Problem(path, "unsupported", f"a device cannot be made: {err.strerror}; only root may")
                ]
            raise error_at(path, err) from err
        try:
            problems = self._describe(dir_fd, temp, path, entry)
            self._put(dir_fd, temp, name, path, entry.mtime_ns)
        except BaseException:
            _discard(dir_fd, temp)
            raise
        return problems

    def flushing_early(self) -> AbstractContextManager[None]:
        """See EarlyFlushTarget."""
        return self._file_systems.flushing_early()

    def flush(self) -> None:
        """Wait until all that was written is on the disk. Raises TargetError, TargetFull."""
        try:
            self._file_systems.flush()
        except FlushFailed as failed:
            text = "what was written did not get to the disk: "
            raise error_at(failed.path, failed.error, text) from failed.error

    def close(self) -> None:
        """Close this thread's folders; it may be used again."""
        self._dirs.close()

    def _place(self, path: bytes) -> tuple[int, bytes, bytes]:
        """Return the open folder, the name in it, and a temporary name beside it. Raises TargetError."""
        try:
            dir_fd, name = self._dirs.parent(path)
        except OSError as err:
            raise error_at(path, err) from err
        return dir_fd, name, self._temps.next()

    def _put(self, dir_fd: int, temp: bytes, name: bytes, path: bytes, mtime_ns: int | None = None) -> None:
        """Give what is made its name. Raises TargetError, also if what has come there is to stay."""
        try:
            done = put(self._rule, dir_fd, temp, name, mtime_ns)
        except OSError as err:
            raise error_at(path, err) from err
        if not done:
            raise TargetError(
                f"cannot restore {os.fsdecode(path)}: something came to stand there while the restore ran, "
                "and was left alone"
            )

    def _fill(self, fd: int, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """Write content and metadata of a new file, and close it."""
        try:
            try:
                claim(fd)
            except OSError as err:
                raise error_at(path, err) from err
            write_content(fd, path, chunks, entry.size, sparse=self._sparse)
            try:
                problems = self._writer.apply(fd, entry, path, tidy=self._dirs.hands_down())
                if self._fsync:
                    os.fsync(fd)
            except OSError as err:
                raise error_at(path, err) from err
        finally:
            # Not after the rename: over NFS, only closing tells whether there was space.
            _close(fd, path)
        return problems

    def _describe(self, dir_fd: int, temp: bytes, path: bytes, entry: Entry) -> list[Problem]:
        try:
            return describe_node(dir_fd, temp, entry, path, self._writer, tidy=self._dirs.hands_down())
        except OSError as err:
            raise error_at(path, err) from err


def _close(fd: int, path: bytes) -> None:
    try:
        os.close(fd)
    except OSError as err:
        raise error_at(path, err) from err


def _link(first_fd: int, first: bytes, dir_fd: int, temp: bytes, path: bytes) -> None:
    try:
        os.link(first, temp, src_dir_fd=first_fd, dst_dir_fd=dir_fd, follow_symlinks=False)
    except OSError as err:
        raise error_at(path, err) from err


def _discard(dir_fd: int, temp: bytes) -> None:
    """Remove a temporary name, if it is still there.

    Where even that is refused, what went wrong before is the thing to tell; the next restore removes it.
    """
    with suppress(OSError):
        os.unlink(temp, dir_fd=dir_fd)


def _look_at(dir_fd: int, name: bytes) -> Entry:
    """Return the entry of a name in an open folder. Raises OSError."""
    fd = os.open(name, _LOOK_FLAGS, dir_fd=dir_fd)
    try:
        st = os.fstat(fd)
        if stat.S_ISLNK(st.st_mode):
            return entry_from_stat(name, st, os.readlink(name, dir_fd=dir_fd))
        return entry_from_stat(name, st, xattrs=read_xattrs(b"/proc/self/fd/%d" % fd))
    finally:
        os.close(fd)


def _make_enterable(dir_fd: int, name: bytes) -> None:
    """Give the owner the right to write to a folder that stood there before; root needs none."""
    if os.geteuid() == 0:
        return
    fd = os.open(name, _LOOK_FLAGS | os.O_DIRECTORY, dir_fd=dir_fd)
    try:
        mode = os.fstat(fd).st_mode & 0o7777
        if mode & 0o700 != 0o700:
            os.chmod(b"/proc/self/fd/%d" % fd, mode | 0o700)
    finally:
        os.close(fd)
