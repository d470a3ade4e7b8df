"""Errors that a person can cause or mend. Each door turns them into its own answer (422, 404, exit code)."""

from __future__ import annotations

from collections.abc import Mapping


class HoldfastError(Exception):
    """Say what happened (`message`) and what to do (`advice`); `field` names the input it is about."""

    def __init__(self, message: str, advice: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice
        self.field = field

    def __str__(self) -> str:
        return f"{self.message} {self.advice}".strip()


class Invalid(HoldfastError):
    """Input that cannot be taken. `fields`: a sentence by field name, as in the form."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = dict(fields)
        first = next(iter(self.fields), None)
        super().__init__(" ".join(self.fields.values()), field=first)


class NotFound(HoldfastError):
    """What was asked for does not exist (any more)."""


class Conflict(HoldfastError):
    """It cannot be done now, because of something else that is going on."""


class Refused(HoldfastError):
    """It is not allowed, or would do harm."""


class Unreachable(HoldfastError):
    """A storage cannot be used now: not there, not the one that was set up, or it refuses us."""
