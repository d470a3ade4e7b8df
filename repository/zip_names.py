"""Names of a zip's members that no program takes for a way out, or for one another's."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

# Windows reads these as a drive; a program that joins paths carelessly would write there.
_DRIVE = re.compile(r"^([A-Za-z]):")


@dataclass(slots=True)
class _Folder:
    path: bytes
    text: str  # with its slash
    used: set[str] = field(default_factory=set)

    def name(self, leaf: bytes) -> str:
        """Return a name that no other has in this folder, also where capitals do not count."""
        wanted = text = portable(leaf)
        number = 1
        while _alike(text) in self.used:
            number += 1
            text = f"{wanted}~{number}"
        self.used.add(_alike(text))
        return text


class ZipNames:
    """Gives each path its name in the zip. Paths come as a walk meets them: all of a folder together.

    What a folder is called there, all below it says, too.
    """

    def __init__(self) -> None:
        self._open = [_Folder(b"", "")]

    def of(self, path: bytes, *, is_dir: bool = False) -> str:
        """Return the name of a path that is relative to the archive's top; a folder's without its slash."""
        above, _, leaf = path.rpartition(b"/")
        folder = self._enter(above)
        text = folder.text + folder.name(leaf)
        if is_dir:
            self._open.append(_Folder(path, text + "/"))
        return text

    def _enter(self, path: bytes) -> _Folder:
        """Go to a folder: out of what is done with, and into those on the way that are no members."""
        while self._open[-1].path != path and not _lies_in(path, self._open[-1].path):
            self._open.pop()
        if self._open[-1].path != path:
            top = self._open[-1]
            rest = path[len(top.path) :].lstrip(b"/").partition(b"/")[0]
            self.of(top.path + b"/" + rest if top.path else rest, is_dir=True)
            return self._enter(path)
        return self._open[-1]


def portable(leaf: bytes) -> str:
    """Return a name as text, without what some system reads as the border between folders, or as a drive."""
    return _DRIVE.sub(r"\1_", leaf.decode("utf-8", "replace").replace("\\", "_"))


def _alike(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _lies_in(path: bytes, folder: bytes) -> bool:
    return not folder or path.startswith(folder + b"/")
