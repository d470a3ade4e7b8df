"""Spans of time as people write them: 90m, 4h, 1d 12h."""

from __future__ import annotations

import re

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_PART = re.compile(r"(\d{1,9}) ?(d|h|m|min|s)(?![a-z])")


def parse(text: str) -> int:
    """Return the seconds that a span means; a bare number is minutes. Raises ValueError with a sentence."""
    plain = " ".join(text.lower().split())
    if plain.isascii() and plain.isdigit() and len(plain) < 9:
        return int(plain) * 60
    parts = _PART.findall(plain)
    if not parts or _PART.sub("", plain).strip():
        raise ValueError("write a span as 90m, 4h or 1d 12h")
    return sum(int(number) * _UNITS[unit[0]] for number, unit in parts)


def say(seconds: int | None) -> str:
    """Return a span as `parse` takes it, and as people read it: "1d 12h"; "" for none."""
    if seconds is None:
        return ""
    parts, rest = [], seconds
    for unit, size in _UNITS.items():
        number, rest = divmod(rest, size)
        parts += [f"{number}{unit}"] if number else []
    return " ".join(parts) or "0m"


def read(value: object) -> object:
    """Return a text as `parse` reads it, a blank one as None; anything else as it is."""
    if isinstance(value, str):
        return parse(value) if value.strip() else None
    return value
