"""Two texts, line by line: what differs, with some lines around, and secrets masked."""

from __future__ import annotations

import codecs
import difflib
import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from sources.config_bundle.secret_values import masked

LARGEST_TEXT = 512 * 1024  # bytes
MOST_LINES = 20_000  # of either text; comparing more takes long
_MOST_SHOWN = 2_000
_AROUND = 3
# Between the lines that both texts begin and end with: what takes half a second at the worst.
_MOST_COMPARED = 2_000 * 2_000

NO_TEXT = "It is no text, so it cannot be shown line by line."
BEYOND = f"It differs only after line {MOST_LINES:,}, which is not shown."
# What no text of any encoding holds: control characters but tab, line feed, form feed, return and escape.
_CONTROLS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")

Sign = Literal["+", "-", " ", "@"]
Opcode = tuple[str, int, int, int, int]  # as difflib has it


class Line(NamedTuple):
    """One line of a diff: `+` only in the newer text, `-` only in the older, ` ` in both; `@`: where."""

    sign: Sign
    text: str


def diff_lines(path: str, old: str, new: str, *, reveal: bool) -> tuple[list[Line], bool, bool]:
    """Return the lines that lead from `old` to `new`; whether some were left out; whether some are masked.

    `path` tells whether the whole file is secret. A secret that changed is seen to, though neither is shown.
    """
    left, right = _lines(old), _lines(new)
    too_long = max(len(left), len(right)) > MOST_LINES
    left, right = left[:MOST_LINES], right[:MOST_LINES]
    shown = (left, right) if reveal else (masked(path, left), masked(path, right))
    hidden = shown != (left, right)
    lines = _unified(left, right, *shown) if left != right else []
    return lines[:_MOST_SHOWN], too_long or len(lines) > _MOST_SHOWN, hidden


def why_no_text(content: bytes) -> str:
    """Return why a content cannot be shown line by line; "" if it can."""
    return NO_TEXT if b"\0" in content or _decoded(content, "utf-8") is None else ""


def as_text(content: bytes) -> str | None:
    """Return a content as text: UTF-8, UTF-16 that says so, or an older encoding; None if it is none.

    Older encodings are not told apart: letters beyond ASCII may look odd, what differs is the same.
    """
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decoded(content, "utf-16")
    if b"\0" in content:
        return None
    text = _decoded(content, "utf-8-sig")
    if text is None and not _CONTROLS.search(content):
        text = _decoded(content, "latin-1")
    return text


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def _unified(
    left: Sequence[str], right: Sequence[str], left_shown: Sequence[str], right_shown: Sequence[str]
) -> list[Line]:
    lines: list[Line] = []
    for group in _groups(left, right):
        lines.append(Line("@", f"line {group[0][3] + 1}"))
        for tag, first, last, new_first, new_last in group:
            if tag == "equal":
                lines += [Line(" ", printed(text)) for text in right_shown[new_first:new_last]]
                continue
            lines += [Line("-", printed(text)) for text in left_shown[first:last]]
            lines += [Line("+", printed(text)) for text in right_shown[new_first:new_last]]
    return lines


def _groups(left: Sequence[str], right: Sequence[str]) -> list[list[Opcode]]:
    """Return what leads from one text to the other, as difflib groups it.

    Where too much lies between what both begin and end with, all of that counts as replaced.
    """
    start = _common(left, right)
    end = _common(left[start:][::-1], right[start:][::-1])
    last, new_last = len(left) - end, len(right) - end
    if (last - start) * (new_last - start) <= _MOST_COMPARED:
        return list(difflib.SequenceMatcher(None, left, right).get_grouped_opcodes(_AROUND))
    before, after = max(0, start - _AROUND), min(end, _AROUND)
    return [
        [
            ("equal", before, start, before, start),
            ("replace", start, last, start, new_last),
            ("equal", last, last + after, new_last, new_last + after),
        ]
    ]


def _common(left: Sequence[str], right: Sequence[str]) -> int:
    """Return how many lines two texts begin with alike."""
    return next(
        (number for number, (one, other) in enumerate(zip(left, right, strict=False)) if one != other),
        min(len(left), len(right)),
    )


def _lines(text: str) -> list[str]:
    """Return the lines; one that ends a text without a line end is told apart."""
    lines = text.split("\n")
    if lines[-1]:
        lines[-1] += "  [no line end]"
    else:
        lines.pop()
    return lines


def printed(text: str) -> str:
    """Return a line with what cannot be printed escaped; tabs stay."""
    return "".join(
        char if char.isprintable() or char == "\t" else char.encode("unicode_escape").decode("ascii")
        for char in text
    )
