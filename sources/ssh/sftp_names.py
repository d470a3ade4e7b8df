"""The folders and names of a target over SFTP: no link below its root is followed."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress

from repository.entries import HALF_MADE, Entry, Kind, TargetError
from sources.leftovers import is_temp_name
from ssh import sftp_wire as wire
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus
from ssh.sftp_wire import Attrs

_KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "dir",
    stat.S_IFLNK: "symlink",
    stat.S_IFBLK: "dev",
    stat.S_IFCHR: "chardev",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_OLD_S = 24 * 3600


class SftpNames:
    """Places below `root` by tree path, with the folders that were found to be real ones."""

    def __init__(self, root: bytes) -> None:
        self._root = root
        self._real: set[bytes] = set()

    def place(self, path: bytes) -> bytes:
        """Return the absolute path on the host. Raises TargetError for one that leads elsewhere."""
        if path == b"/":
            return self._root
        names = path.split(b"/")
        if names[0] or any(name in (b"", b".", b"..") or b"\0" in name for name in names[1:]):
            raise TargetError(f"{os.fsdecode(path)} is no path that may be restored")
        return self._root.rstrip(b"/") + path

    def existing(self, sftp: Sftp, path: bytes) -> Entry | None:
        """Return what stands at a path, None if nothing, or if it is below a link. Raises SshError."""
        if path != b"/" and not self._is_real(sftp, path.rpartition(b"/")[0] or b"/"):
            return None
        attrs = _look(sftp, self.place(path), follow=path == b"/")
        return None if attrs is None else entry_of(path.rpartition(b"/")[2], attrs)

    def make_dir(self, sftp: Sftp, path: bytes) -> None:
        """Make sure of a real directory (HALF_MADE when new). Raises SshError, TargetError."""
        there = self.existing(sftp, path)
        if there is None:
            self._require_parent(sftp, path)
            sftp.make_dir(self.place(path), HALF_MADE)
        elif there.kind != "dir":
            raise TargetError(
                f"cannot restore {os.fsdecode(path)}: a file or a link stands where a folder must go; "
                "move it away, or restore elsewhere"
            )
        else:
            self._remove_leftovers(sftp, path)
        self._real.add(path)

    def require_free(self, sftp: Sftp, path: bytes) -> Entry | None:
        """Return what stands there, None if nothing does. Raises TargetError unless it may be replaced."""
        self._require_parent(sftp, path)
        there = self.existing(sftp, path)
        if there is not None and there.kind == "dir":
            raise TargetError(
                f"cannot restore {os.fsdecode(path)}: a folder stands where a file must go; move it away, or "
                "restore elsewhere"
            )
        return there

    def _require_parent(self, sftp: Sftp, path: bytes) -> None:
        parent = path.rpartition(b"/")[0] or b"/"
        if path != b"/" and not self._is_real(sftp, parent):
            raise TargetError(f"cannot restore {os.fsdecode(path)}: its folder is gone, or is a link")

    def _is_real(self, sftp: Sftp, path: bytes) -> bool:
        """Tell whether a real directory stands there, below no link."""
        if path in self._real:
            return True
        there = self.existing(sftp, path)
        if there is None or there.kind != "dir":
            return False
        self._real.add(path)
        return True

    def _remove_leftovers(self, sftp: Sftp, path: bytes) -> None:
        place = self.place(path).rstrip(b"/")
        for _, entries in sftp.list_dirs([place or b"/"]):
            for name, attrs in entries if isinstance(entries, list) else ():
                if is_temp_name(name) and time.time() - (attrs.mtime or 0) > _OLD_S:
                    with suppress(SftpStatus):  # another restore was faster
                        sftp.remove(place + b"/" + name)


def entry_of(name: bytes, attrs: Attrs) -> Entry:
    """Return attributes as an entry."""
    mode = attrs.mode or 0
    kind = _KINDS.get(stat.S_IFMT(mode), "file")
    return Entry(
        name,
        kind,
        stat.S_IMODE(mode),
        (attrs.mtime or 0) * 10**9,
        uid=attrs.uid or 0,
        gid=attrs.gid or 0,
        links=1,
        size=(attrs.size or 0) if kind == "file" else 0,
    )


def _look(sftp: Sftp, place: bytes, *, follow: bool) -> Attrs | None:
    try:
        return sftp.stat(place) if follow else sftp.lstat(place)
    except SftpStatus as error:
        if error.code == wire.NO_SUCH_FILE:
            return None
        raise
