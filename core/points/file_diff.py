"""One file in two points, line by line, with what looks like a secret masked."""

from __future__ import annotations

import os
from dataclasses import dataclass

from core import words
from core.errors import NotFound
from core.models import Point
from core.points import browse
from core.points.tokens import printable, token_from_path
from core.text_diff import BEYOND, LARGEST_TEXT, NO_TEXT, Line, as_text, diff_lines

SAME = "The content is the same."
SAME_TEXT = "The text is the same; only how it is written to the file differs."
EMPTY = "It is empty."


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What leads from the older to the newer. `note`: why there are no lines; `more`: lines were left out;
    `hidden`: some are shown without their secret; sizes are None where it is no file."""

    name: str
    token: str
    note: str
    size_before: int | None
    size_after: int | None
    lines: list[Line]
    more: bool = False
    hidden: bool = False

    @property
    def before(self) -> bool:
        """Whether it is a file in the older point."""
        return self.size_before is not None

    @property
    def after(self) -> bool:
        """Whether it is a file in the newer point."""
        return self.size_after is not None


def diff(old: Point, new: Point, path: bytes, *, reveal: bool = False) -> FileDiff:
    """Return how one file differs between two points; one that lacks in one of them is empty there.

    Raises NotFound if it is a file in neither, and as browsing does.
    """
    name, token = printable(path), token_from_path(path)
    before, after = size_of(old, path), size_of(new, path)
    if before is None and after is None:
        raise NotFound(f"{name} is a file in neither of the points.")
    sizes = before, after
    if max(before or 0, after or 0) > LARGEST_TEXT:
        return FileDiff(
            name, token, _with_sizes("It is too large to be shown line by line.", *sizes), *sizes, []
        )
    left = b"" if before is None else _read(old, path)
    right = b"" if after is None else _read(new, path)
    if left == right:
        note = _with_sizes(EMPTY, *sizes) if None in sizes else SAME
        return FileDiff(name, token, note, *sizes, [])
    texts = as_text(left), as_text(right)
    if texts[0] is None or texts[1] is None:
        return FileDiff(name, token, _with_sizes(NO_TEXT, *sizes), *sizes, [])
    lines, more, hidden = diff_lines(os.fsdecode(path), texts[0], texts[1], reveal=reveal)
    note = "" if lines else SAME_TEXT if texts[0] == texts[1] else BEYOND
    return FileDiff(name, token, note, *sizes, lines, more, hidden)


def _with_sizes(why: str, before: int | None, after: int | None) -> str:
    sizes = ["not there" if size is None else words.size(size) for size in (before, after)]
    return f"{why} {sizes[0]} → {sizes[1]}."


def size_of(point: Point, path: bytes) -> int | None:
    """Return the size of a file in a point; None if there is no file of this name. Raises as browsing."""
    try:
        return browse.find(point, path).size
    except NotFound:
        return None


def _read(point: Point, path: bytes) -> bytes:
    return b"".join(browse.read_file(point, path)[1])
