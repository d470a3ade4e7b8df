"""Ask a target whether a file that was just written has its size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from repository.entries import Target, TargetError

Measure = Callable[[bytes], int | None]  # the size of the file at a path, None if nothing stands there


@runtime_checkable
class MeasuringTarget(Protocol):
    """A target that tells sizes faster than `existing` does."""

    def size(self, path: bytes) -> int | None:
        """Return the size of the file at `path`, None if nothing stands there. Raises TargetError."""


def measure(target: Target) -> Measure:
    """Return what tells the size of a file at the target."""
    if isinstance(target, MeasuringTarget):
        return target.size

    def size(path: bytes) -> int | None:
        there = target.existing(path)
        return None if there is None else there.size

    return size


def require_size(measured: Measure, path: bytes, size: int) -> None:
    """Raise TargetError unless a file of `size` bytes stands at `path`."""
    there = measured(path)
    if there != size:
        found = "is not there" if there is None else f"has {there} bytes"
        raise TargetError(f"{path!r} was written with {size} bytes, and now it {found}")
