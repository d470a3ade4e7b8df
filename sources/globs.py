"""One component of a pattern, as Go's `filepath.Match` (1.19) reads it, turned into a regular expression.

Go works on bytes where it skips (`*`) and on UTF-8 characters where it takes one (`?`, `[…]`); a byte that is
not UTF-8 counts as one character, U+FFFD to a class. It never tries a second place for a part between two
stars, hence the atomic groups.
"""

from __future__ import annotations

import re

_VALID = (
    rb"[\x00-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_ANY = rb"(?>" + _VALID + rb"|[\x80-\xff])"
_INVALID = rb"(?:(?!" + _VALID + rb")[\x80-\xff])"
_ONE = re.compile(_VALID, re.DOTALL)
_REPLACEMENT = 0xFFFD

Range = tuple[int, int]


class PatternError(ValueError):
    """A pattern that restic would refuse, too; the message says why."""


def is_literal(part: bytes) -> bool:
    """Tell whether a component stands for itself only."""
    return not any(byte in part for byte in b"\\[]*?")


def to_regex(part: bytes) -> bytes:
    """Return a regular expression (DOTALL) for exactly the names that `part` matches. Raises PatternError."""
    chunks = _split_at_stars(part)
    pieces = [_piece(star, chunk, last=i == len(chunks) - 1) for i, (star, chunk) in enumerate(chunks)]
    return b"".join(pieces)


def _piece(star: bool, chunk: bytes, last: bool) -> bytes:
    body = _chunk_to_regex(chunk)
    if star and not chunk:
        return rb".*\Z"
    if last:
        return (rb".*?" if star else b"") + body + rb"\Z"
    return rb"(?>.*?" + body + b")" if star else body


def _split_at_stars(part: bytes) -> list[tuple[bool, bytes]]:
    chunks = []
    rest = part
    while rest:
        star = rest.startswith(b"*")
        rest = rest.lstrip(b"*")
        end = _end_of_chunk(rest)
        chunks.append((star, rest[:end]))
        rest = rest[end:]
    return chunks


def _end_of_chunk(text: bytes) -> int:
    in_class = False
    at = 0
    while at < len(text):
        byte = text[at : at + 1]
        if byte == b"\\":
            at += 1
        elif byte == b"*" and not in_class:
            break
        elif byte in b"[]":
            in_class = byte == b"["
        at += 1
    return min(at, len(text))


def _chunk_to_regex(chunk: bytes) -> bytes:
    out = []
    at = 0
    while at < len(chunk):
        byte = chunk[at : at + 1]
        at += 1
        if byte == b"[":
            regex, at = _class_to_regex(chunk, at)
            out.append(regex)
        elif byte == b"?":
            out.append(_ANY)
        else:
            if byte == b"\\":
                byte, at = chunk[at : at + 1], at + 1
                if not byte:
                    raise PatternError("it ends in a backslash; write two for a real one")
            out.append(re.escape(byte))
    return b"".join(out)


def _class_to_regex(chunk: bytes, at: int) -> tuple[bytes, int]:
    negated = chunk[at : at + 1] == b"^"
    at += negated
    ranges: list[Range] = []
    while not (ranges and chunk[at : at + 1] == b"]"):
        low, at = _class_character(chunk, at)
        high = low
        if chunk[at : at + 1] == b"-":
            high, at = _class_character(chunk, at + 1)
        ranges.append((low, high))
    choice = _alternatives(ranges)
    regex = rb"(?:(?!" + choice + b")" + _ANY + b")" if negated else b"(?>" + choice + b")"
    return regex, at + 1


def _class_character(chunk: bytes, at: int) -> tuple[int, int]:
    if chunk[at : at + 1] in (b"", b"-", b"]"):
        raise PatternError("a [...] is empty, not closed, or has a '-' or ']' without a backslash")
    if chunk[at : at + 1] == b"\\":
        at += 1
    found = _ONE.match(chunk, at)
    if found is None or found.end() >= len(chunk):
        raise PatternError("a [...] is not closed, or holds bytes that are not UTF-8")
    return ord(found[0].decode()), found.end()


def _alternatives(ranges: list[Range]) -> bytes:
    """Return a regular expression for one character in any of `ranges`, never empty."""
    options = [piece for low, high in ranges for piece in _utf8_ranges(low, high)]
    if any(low <= _REPLACEMENT <= high for low, high in ranges):
        options.append(_INVALID)
    return b"(?:" + b"|".join(options or [rb"(?!)"]) + b")"


def _utf8_ranges(low: int, high: int) -> list[bytes]:
    """Cut a range of characters where their UTF-8 forms change length, and into runs of equal leads."""
    found = []
    for first, last in ((0, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)):
        start, end = max(low, first), min(high, last)
        if start <= end:
            found += _byte_ranges(chr(start).encode(), chr(end).encode())
    return found


def _byte_ranges(low: bytes, high: bytes) -> list[bytes]:
    """Return expressions for all byte strings from `low` to `high`, of equal length, tails in 80-BF."""
    if len(low) == 1:
        return [_byte_class(low[0], high[0])]
    if low[0] == high[0]:
        lead = re.escape(low[:1])
        return [lead + tail for tail in _byte_ranges(low[1:], high[1:])]
    tails = len(low) - 1
    found = [re.escape(low[:1]) + tail for tail in _byte_ranges(low[1:], b"\xbf" * tails)]
    if high[0] - low[0] > 1:
        found.append(_byte_class(low[0] + 1, high[0] - 1) + rb"[\x80-\xbf]{%d}" % tails)
    return found + [re.escape(high[:1]) + tail for tail in _byte_ranges(b"\x80" * tails, high[1:])]


def _byte_class(low: int, high: int) -> bytes:
    return rb"[\x%02x-\x%02x]" % (low, high)
