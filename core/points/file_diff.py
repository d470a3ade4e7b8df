"""One file in two points, line by line, with what looks like a secret masked."""

from __future__ import annotations

import os
from dataclasses import dataclass

from core.errors import NotFound
from core.models import Point
from core.points import browse
from core.points.tokens import printable, token_from_path
from core.text_diff import LARGEST_TEXT, Line, diff_lines, why_no_text

SAME = "The content is the same."


@dataclass(frozen=True, slots=True)
class FileDiff:
    """What leads from the older to the newer. `note`: why there are no lines; `more`: lines were left out;
    `hidden`: some are shown without their secret; `before`, `after`: whether it is a file there."""

    name: str
    token: str
    note: str
    before: bool
    after: bool
    lines: list[Line]
    more: bool = False
    hidden: bool = False


def diff(old: Point, new: Point, path: bytes, *, reveal: bool = False) -> FileDiff:
    """Return how one file differs between two points; one that lacks in one of them is empty there.

    Raises NotFound if it is a file in neither, and as browsing does.
    """
    name, token = printable(path), token_from_path(path)
    before, after = size_of(old, path), size_of(new, path)
    if before is None and after is None:
        raise NotFound(f"{name} is a file in neither of the points.")
    there = before is not None, after is not None
    if max(before or 0, after or 0) > LARGEST_TEXT:
        return FileDiff(name, token, "It is too large to be shown line by line.", *there, [])
    left = b"" if before is None else _read(old, path)
    right = b"" if after is None else _read(new, path)
    if left == right and all(there):
        return FileDiff(name, token, SAME, *there, [])
    if note := why_no_text(left) or why_no_text(right):
        return FileDiff(name, token, note, *there, [])
    lines, more, hidden = diff_lines(os.fsdecode(path), left.decode(), right.decode(), reveal=reveal)
    return FileDiff(name, token, "" if lines else SAME, *there, lines, more, hidden)


def size_of(point: Point, path: bytes) -> int | None:
    """Return the size of a file in a point; None if there is no file of this name. Raises as browsing."""
    try:
        return browse.find(point, path).size
    except NotFound:
        return None


def _read(point: Point, path: bytes) -> bytes:
    return b"".join(browse.read_file(point, path)[1])
