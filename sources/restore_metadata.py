"""Putting an entry's metadata back: owner, extended attributes, mode, time, in an order that keeps all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from repository.entries import Entry, Problem

_SET_ID = stat.S_ISUID | stat.S_ISGID
_CAPABILITY = b"security.capability"
_ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
_OURS_TO_REMOVE = (b"user.", b"trusted.", *_ACLS)


@dataclass(slots=True)
class MetadataWriter:
    """Sets metadata through a descriptor (or a path that stands for one, as /proc/self/fd/7).

    What the system refuses comes back as a Problem: for owners and attributes only the first time in a
    restore, since without root it would be refused for each file.
    """

    owner: bool = True
    setuid: bool = True
    xattrs: bool = True
    _said: set[str] = field(default_factory=set)

    def apply(self, handle: int | bytes, entry: Entry, path: bytes, *, tidy: bool = False) -> list[Problem]:
        """Set all of a file's or folder's metadata; `tidy` also removes attributes that the entry has not.

        The owner comes first, since a change of it drops setuid and capabilities; attributes before the mode,
        since without a right to write they could not be set; the time last.
        """
        problems: list[Problem] = []
        owned = self._set_owner(handle, entry, path, problems, is_new=not tidy)
        keeps_ids = owned and self.setuid
        if tidy:
            self._remove_others(handle, entry, path, problems)
        if entry.xattrs and self.xattrs:
            wanted = (pair for pair in entry.xattrs if keeps_ids or pair[0] != _CAPABILITY)
            self._set_xattrs(handle, wanted, path, problems)
        self._set_mode(handle, entry, path, problems, keeps_ids)
        self._set_time(handle, entry, path, problems)
        return problems

    def apply_to_link(self, handle: bytes, entry: Entry, path: bytes) -> list[Problem]:
        """Set owner and time of a symbolic link; it has no mode, and its attributes are not kept."""
        problems: list[Problem] = []
        self._set_owner(handle, entry, path, problems)
        self._set_time(handle, entry, path, problems)
        return problems

    def _set_owner(
        self, handle: int | bytes, entry: Entry, path: bytes, problems: list[Problem], *, is_new: bool = False
    ) -> bool:
        """Tell whether the thing belongs to whom the entry says: only then setuid may mean what it meant."""
        if not self.owner:
            return False
        # Of what was there before, setting it also drops capabilities.
        if is_new and _belongs(handle, entry):
            return True
        try:
            os.chown(handle, entry.uid, entry.gid)
        except OSError as err:
            text = f"its owner {entry.uid}:{entry.gid} cannot be set: {err.strerror}"
            if err.errno == errno.EPERM:
                text += "; only root may, so all that is restored belongs to the user who restores"
                self._say_once(Problem(path, "unsupported", text, "owner"), problems)
            else:
                problems.append(Problem(path, "incomplete", text))
            return False
        return True

    def _set_mode(
        self, handle: int | bytes, entry: Entry, path: bytes, problems: list[Problem], keeps_ids: bool
    ) -> None:
        mode = entry.mode if keeps_ids else entry.mode & ~_SET_ID
        try:
            os.chmod(handle, mode)
        except OSError as err:
            text = f"its mode {mode:o} cannot be set: {err.strerror}"
            problems.append(Problem(path, "incomplete", text))

    def _set_time(self, handle: int | bytes, entry: Entry, path: bytes, problems: list[Problem]) -> None:
        try:
            os.utime(handle, ns=(entry.mtime_ns, entry.mtime_ns))
        except (OSError, OverflowError) as err:
            text = f"its time of change cannot be set: {err}"
            problems.append(Problem(path, "incomplete", text))

    def _set_xattrs(
        self,
        handle: int | bytes,
        wanted: Iterable[tuple[bytes, bytes]],
        path: bytes,
        problems: list[Problem],
    ) -> None:
        for name, value in wanted:
            try:
                os.setxattr(handle, name, value)
            except OSError as err:
                self._xattr_problem(name, err, path, problems)

    def _remove_others(self, handle: int | bytes, entry: Entry, path: bytes, problems: list[Problem]) -> None:
        """Remove what a folder here handed down or had before; labels of the system (security.*) stay."""
        wanted = {name for name, _ in entry.xattrs}
        for text in _list_xattrs(handle):
            name = os.fsencode(text)
            if name in wanted or not name.startswith(_OURS_TO_REMOVE):
                continue
            try:
                os.removexattr(handle, name)
            except OSError as err:
                self._xattr_problem(name, err, path, problems)

    def _xattr_problem(self, name: bytes, err: OSError, path: bytes, problems: list[Problem]) -> None:
        shown = os.fsdecode(name)
        text = (
            f"its extended attribute {shown} cannot be set: {err.strerror}; told only once for this attribute"
        )
        self._say_once(Problem(path, "incomplete", text, f"xattr {shown} {err.errno}"), problems)

    def _say_once(self, problem: Problem, problems: list[Problem]) -> None:
        if problem.once not in self._said:
            self._said.add(problem.once)
            problems.append(problem)


def _belongs(handle: int | bytes, entry: Entry) -> bool:
    """Tell whether the owner is the entry's already: asking costs a fraction of setting."""
    st = os.stat(handle)
    return (st.st_uid, st.st_gid) == (entry.uid, entry.gid)


def _list_xattrs(handle: int | bytes) -> list[str]:
    try:
        return os.listxattr(handle)
    except OSError as err:
        if err.errno in (errno.ENOTSUP, errno.ENOSYS):
            return []
        raise
