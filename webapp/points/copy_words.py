"""Copies in words: how a destination stands, what it keeps, on which storages a point is."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask

from core.backups import copying
from core.models import Destination, Point
from core.points import points
from core.retention import retention
from webapp.wording import Look


def gap_look(gap: copying.Gap) -> Look:
    """Return how a destination stands: unreachable, being filled or about to be, lacking points, complete."""
    if not gap.reachable:
        return Look("bad", "unplug", "Unreachable")
    if gap.job is not None:
        running = gap.job.status == "running"
        return Look("info", "loader", "Copying") if running else Look("info", "clock", "Copy queued")
    if gap.failed is not None:
        return Look("bad", "circle-x", "Copy failed")
    if gap.missing:
        return (
            Look("warn", "triangle-alert", "Incomplete")
            if gap.late
            else Look("info", "clock", "To be copied")
        )
    return Look("good", "circle-check", "Complete")


def rule_words(destination: Destination) -> str:
    """Say what a destination keeps: "14 days"."""
    return retention.words_of(retention.rule_of_destination(destination))


def storages_of(point: Point) -> list[str]:
    """Return the names of the storages that hold a good copy of a point."""
    return sorted({copy.repository.storage.name for copy in point.copies if points.is_live(copy)})


def numbers_of(point: Point) -> tuple[int | None, int | None, int | None]:
    """Return files, bytes and bytes added of a point; None where its snapshot does not say."""
    return (point.files, point.bytes, point.bytes_added) if points.is_counted(point) else (None, None, None)


def copy_options(choices: Sequence[points.Choice]) -> list[tuple[str, str]]:
    """Return the copies of a point as options of a form, the best one by itself first."""
    best = next((one.storage.name for one in choices if one.best), "")
    options = [("", f"The best that answers (now {best})" if best else "The best that answers")]
    return options + [(str(one.copy.id), _named(one)) for one in choices]


def _named(choice: points.Choice) -> str:
    return f"{choice.storage.name}: {choice.note}" if choice.note else choice.storage.name


def register(app: Flask) -> None:
    """Give the templates these filters."""
    for function in (gap_look, rule_words, storages_of, numbers_of, copy_options):
        app.add_template_filter(function)
