"""Where the audit log begins: after entries that left by age. Sealed, so that rows alone cannot move it."""

from __future__ import annotations

from dataclasses import dataclass

from core import instance, secrets

KEY = "audit_begin"
NOTHING = "0" * 64


@dataclass(frozen=True, slots=True)
class Begin:
    """Number and hash of the last entry that left; 0 if none did. `problem`: why that cannot be trusted."""

    number: int = 0
    hash: str = NOTHING
    problem: str = ""


def read() -> Begin:
    """Return where the log begins."""
    try:
        text = instance.get_secret(KEY)
    except secrets.SealBroken:
        return Begin(problem="What says where the log begins was changed, or sealed with another master key.")
    if text is None:
        return Begin()
    number, _, found = text.partition(" ")
    return Begin(int(number), found)
