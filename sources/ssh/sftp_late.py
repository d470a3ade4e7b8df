"""Whether a file that took long to send may still take its place over SFTP, by the conflict rule."""

from __future__ import annotations

import os

from repository.entries import Conflict, Entry, TargetError
from sources.ssh.sftp_names import entry_of
from ssh import sftp_wire as wire
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus

_COARSEST_NS = 2_000_000_000  # SFTP tells whole seconds


class LatePlaces:
    """Gives names by a rule: the plan ran ahead, and the file may have been on its way for hours."""

    def __init__(self, rule: Conflict) -> None:
        self._rule = rule

    def require(self, path: bytes, there: Entry | None, entry: Entry | None) -> None:
        """Raise TargetError if what stands there now is not to be replaced by `entry`.

        What is like it is of an earlier try of this restore.
        """
        if there is None or entry is None or self._rule == "replace" or _alike(there, entry):
            return
        if self._rule != "replace-if-older" or there.mtime_ns >= entry.mtime_ns:
            raise _taken(path)

    def put(self, sftp: Sftp, path: bytes, temp: bytes, place: bytes, before: Entry | None) -> None:
        """Rename `temp` to `place`, where `before` stood before. Raises TargetError, SftpStatus."""
        if self._rule == "replace":
            sftp.rename(temp, place)
        elif before is None:
            _put_new(sftp, path, temp, place)
        elif _now(sftp, path, place) == before:
            sftp.rename(temp, place)
        else:
            raise _taken(path)


def _put_new(sftp: Sftp, path: bytes, temp: bytes, place: bytes) -> None:
    try:
        sftp.rename_new(temp, place)
    except SftpStatus as error:
        if _now(sftp, path, place) is None:
            raise
        raise _taken(path) from error


def _now(sftp: Sftp, path: bytes, place: bytes) -> Entry | None:
    try:
        return entry_of(path.rpartition(b"/")[2], sftp.lstat(place))
    except SftpStatus as error:
        if error.code == wire.NO_SUCH_FILE:
            return None
        raise


def _alike(there: Entry, entry: Entry) -> bool:
    return there.kind == entry.kind and abs(there.mtime_ns - entry.mtime_ns) <= _COARSEST_NS


def _taken(path: bytes) -> TargetError:
    return TargetError(
        f"cannot restore {os.fsdecode(path)}: something came to stand there while the restore ran, and was "
        "left alone"
    )
