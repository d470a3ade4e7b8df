"""Places that are never backed up, such as the application's own data: known by real path and by inode."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NOTHING: Mapping[bytes, str] = {}


@dataclass(frozen=True, slots=True)
class Protected:
    """A place never backed up, and why, in words: "the application's data folder"."""

    path: bytes
    reason: str


class ProtectedPlaces:
    """Finds protected places by their real path, and by device and inode: a bind mount hides neither."""

    def __init__(self, places: Iterable[Protected]) -> None:
        self._by_folder: dict[bytes, dict[bytes, str]] = {}
        self._by_inode: dict[tuple[int, int], str] = {}
        self._real: dict[bytes, bytes] = {}
        for place in places:
            folder, name = os.path.split(os.path.realpath(place.path))
            self._by_folder.setdefault(folder, {})[name] = place.reason
            self._note_inode(place)

    def __bool__(self) -> bool:
        return bool(self._by_folder)

    def names_in(self, target: bytes, folder: bytes) -> Mapping[bytes, str]:
        """Return the protected names in a folder at or below a target, and why. No links lead below one."""
        if not self._by_folder:
            return _NOTHING
        if target not in self._real:
            self._real[target] = os.path.realpath(target)
        return self._by_folder.get(self._real[target] + folder[len(target) :], _NOTHING)

    def reason_by_inode(self, st: os.stat_result) -> str | None:
        """Return why a thing of this device and inode is never backed up, None if it may be."""
        return self._by_inode.get((st.st_dev, st.st_ino)) if self._by_inode else None

    def reason_for_target(self, path: bytes) -> str | None:
        """Return why a target is never backed up, being or lying in a protected place; None if it may be."""
        if not self:
            return None
        folder, name = os.path.split(path)
        at = os.path.join(os.path.realpath(folder), name)
        while at != b"/":
            reason = self._reason_at(at)
            if reason is not None:
                return reason
            at = os.path.dirname(at)
        return self._reason_at(at)

    def _reason_at(self, path: bytes) -> str | None:
        folder, name = os.path.split(path)
        named = self._by_folder.get(folder, _NOTHING).get(name)
        return named or self.reason_by_inode(os.lstat(path))

    def _note_inode(self, place: Protected) -> None:
        try:
            st = os.stat(place.path)
        except OSError:
            # Not there yet, or out of our sight, and so of the backup's: its path is all there is to know.
            return
        self._by_inode[st.st_dev, st.st_ino] = place.reason
