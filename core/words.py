"""Numbers and times as people read them, for sentences that are stored or printed."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size(size_bytes: int) -> str:
    """Return a size in binary units with one decimal, as in 1.5 GiB."""
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, as in 1 file or 1,200 files."""
    return f"{number:,} {noun if number == 1 else _plural(noun)}"


def _plural(noun: str) -> str:
    return f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeou" else f"{noun}s"


def ended(text: str) -> str:
    """Return the text with a full stop, unless it ends as a sentence does already."""
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


def moment(at: datetime, zone: str) -> str:
    """Return a time on the wall clock of a zone, as in 23 Nov 2026, 02:00 (Europe/Berlin)."""
    local = at.astimezone(ZoneInfo(zone))
    return f"{local.day} {local:%b %Y, %H:%M} ({zone})"
