"""How the engine says where it is, and how a caller stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of a long operation. Totals are None while unknown; `bytes_added`: stored so far."""

    phase: str  # "scanning", "reading", "saving", "restoring", "checking", …
    files_done: int = 0
    files_total: int | None = None
    bytes_done: int = 0
    bytes_total: int | None = None
    bytes_added: int = 0
    current: bytes = b""


# Called often (per file, and a few times a second inside large ones); must be cheap.
# It may raise repository.errors.Cancelled to stop the operation cleanly.
ProgressCallback = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """Do nothing with it."""
