"""How facts are put in words on every page: times, sizes, durations, counts, paths.

All times of one page are in one zone, which is named: that of its config, else the server's.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from flask import Flask, g, has_app_context
from markupsafe import Markup, escape

from core import app_state
from core.db import utc_now
from core.models import Config

_SIZES = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_PLURALS = {
    "copy": "copies",
    "entry": "entries",
    "person": "people",
    "child": "children",
    "is": "are",
    "needs": "need",
}


def size(count: int | None) -> str:
    """Say a count of bytes in binary units with one decimal; None is unknown."""
    if count is None:
        return "unknown"
    if count < 1024:
        return f"{count} B"
    power = min((count.bit_length() - 1) // 10, len(_SIZES))
    if count / 1024**power >= 1023.95:  # would be shown as 1024.0
        power = min(power + 1, len(_SIZES))
    return f"{count / 1024**power:.1f} {_SIZES[power - 1]}"


def duration(value: timedelta | float | None) -> str:
    """Say a span in its two largest units: "4 m 12 s"."""
    if value is None:
        return "unknown"
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 1:
        return "less than 1 s"
    whole = int(seconds)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + 2] if number)


def count(number: int | None, noun: str = "") -> str:
    """Say a number with thousands separated, and its noun in the right form: "1,204 files"."""
    if number is None:
        return "unknown"
    if not noun:
        return f"{number:,}"
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return a noun's plural; of several words the last one changes."""
    *before, last = noun.split(" ")
    return " ".join([*before, _PLURALS.get(last, f"{last}s")])


def relative(moment: datetime, now: datetime | None = None) -> str:
    """Say how far a moment is: "3 h ago", "in 5 min"."""
    seconds = (moment - (now or utc_now())).total_seconds()
    span = _span(abs(seconds))
    if seconds > 0:
        return f"in {span}"
    return f"{span} ago" if seconds <= -60 else "just now"


def _span(seconds: float) -> str:
    """Say a span in the unit that fits, to the nearest. times.js says the same."""
    if seconds < 60:
        return "moments"
    if (minutes := int(seconds / 60 + 0.5)) < 60:
        return f"{minutes} min"
    if (hours := int(seconds / 3600 + 0.5)) < 24:
        return f"{hours} h"
    return count(int(seconds / 86400 + 0.5), "day")


def use_zone_of(config: Config | None) -> None:
    """Show all times of this request's page in the zone of a config."""
    if config is not None:
        g.zone = config.timezone


def page_zone() -> str:
    """Return the zone that the times of this page are in."""
    if not has_app_context():
        return "UTC"
    return str(g.get("zone") or app_state.settings().timezone)


def wall(moment: datetime, form: str) -> str:
    """Return a time as a wall clock in the page's zone shows it."""
    try:
        return moment.astimezone(ZoneInfo(page_zone())).strftime(form)
    except OverflowError:  # a file's time at the very end of what a date can be
        return moment.strftime(form)


def ago(moment: datetime | None, never: str = "never") -> Markup:
    """Return a `<time>` that is relative in text and exact on hover; `never`, in red, for none."""
    if moment is None:
        return Markup('<span class="text-bad">{}</span>').format(never)
    return Markup('<time datetime="{}" title="{}" data-relative>{}</time>').format(
        iso(moment), exact(moment), relative(moment)
    )


def ahead(moment: datetime | None) -> Markup:
    """Return a coming time as "in 5 h, 02:00 CET"."""
    if moment is None:
        return Markup("only by hand")
    form = "%H:%M %Z" if abs(moment - utc_now()) < timedelta(hours=20) else "%a %d %b %H:%M %Z"
    return Markup("{}, {}").format(ago(moment), wall(moment, form))


def at(moment: datetime | None) -> Markup:
    """Return a `<time>` with the exact time as its text."""
    if moment is None:
        return Markup('<span class="text-bad">never</span>')
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        iso(moment), exact(moment), exact(moment)
    )


def day(moment: datetime) -> str:
    """Return a date for people: "3 Nov 2026"."""
    return wall(moment, "%d %b %Y").removeprefix("0")


def iso(moment: datetime) -> str:
    """Return the time for the `datetime` attribute."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def exact(moment: datetime) -> str:
    """Return the exact time with its zone, as for hovering."""
    return wall(moment, "%Y-%m-%d %H:%M:%S %Z")


def shorten(path: str, width: int = 72) -> str:
    """Shorten a path in its middle: its start and its end say the most."""
    if len(path) <= width:
        return path
    keep = width - 1
    return f"{path[: math.ceil(keep * 0.4)]}…{path[-math.floor(keep * 0.6) :]}"


def listing(words: list[str], limit: int = 3) -> str:
    """Join words as a sentence does: "a, b and c"; beyond `limit` it says how many more."""
    if len(words) > limit:
        words = [*words[: limit - 1], f"{len(words) - limit + 1} more"]
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


def prose(text: str) -> Markup:
    """Return a sentence as HTML, with what stands in backticks as code."""
    parts = [Markup("<code>{}</code>").format(part) if odd % 2 else escape(part)
             for odd, part in enumerate(text.split("`"))]  # fmt: skip
    return Markup("").join(parts)


def register(app: Flask) -> None:
    """Give the templates these filters."""
    for function in (
        size,
        duration,
        count,
        plural,
        relative,
        ago,
        ahead,
        at,
        wall,
        day,
        iso,
        exact,
        shorten,
        listing,
        prose,
    ):
        app.add_template_filter(function)
    app.jinja_env.globals["page_zone"] = page_zone
