"""What was typed into a form, with the messages about it, so that nothing is lost when it is shown again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flask import request
from werkzeug.datastructures import MultiDict

from core.errors import HoldfastError, Invalid

_DIGITS = 18  # of a row's number at most: the database counts to 2^63 - 1


class Form:
    """Typed values by field name, and one sentence by field name for what is wrong."""

    def __init__(
        self, values: Mapping[str, Any] | None = None, errors: Mapping[str, str] | None = None
    ) -> None:
        self._values: MultiDict[str, Any] = MultiDict(values or {})
        self.errors = dict(errors or {})

    def value(self, name: str) -> str:
        """Return a field's text; empty if it was not sent, or is a tick that is not set."""
        found = self._values.get(name)
        return "" if found is None or found is False else str(found)

    def has(self, name: str) -> bool:
        """Tell whether a field was sent, even if empty."""
        return name in self._values

    def values(self, name: str) -> list[str]:
        """Return all texts of a field that may be sent many times."""
        return [str(value) for value in self._values.getlist(name)]

    def all(self) -> dict[str, Any]:
        """Return the (first) value of each field."""
        return self._values.to_dict()

    def changed(self, values: Mapping[str, Any]) -> Form:
        """Return the form with other values in some fields, a list being many of one; messages stay."""
        merged = self._values.copy()
        for name, value in values.items():
            merged.setlist(name, value if isinstance(value, list) else [value])
        return Form(merged, self.errors)

    def lines(self, name: str) -> list[str]:
        """Return the lines of a field that takes one thing a line, without empty ones."""
        return [line.strip() for line in self.value(name).splitlines() if line.strip()]

    def error(self, name: str) -> str:
        """Return the message about a field, if there is one."""
        return self.errors.get(name, "")

    def refuse(self, error: HoldfastError, fallback: str = "form") -> Form:
        """Take the messages of an error; those without a field go to `fallback`. Returns itself."""
        if isinstance(error, Invalid):
            self.errors.update(error.fields)
        else:
            self.errors[error.field or fallback] = str(error)
        return self


def row_number(text: str) -> int:
    """Return the number of a row that was sent. Raises ValueError for what no row can have."""
    if not _can_be_row(text):
        raise ValueError("This is no number of a row.")
    return int(text)


def row_numbers(texts: Iterable[str]) -> list[int]:
    """Return the numbers of rows among what was sent, each once; what can be none is left out."""
    return list(dict.fromkeys(int(text) for text in texts if _can_be_row(text)))


def _can_be_row(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _DIGITS


def sent() -> Form:
    """Return the form of this request."""
    return Form(request.form)
