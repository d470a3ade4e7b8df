"""Read JSON that others wrote: typed fields, bounded, and nothing but Damaged when it is not as it should."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from repository.errors import Damaged
from repository.ids import is_hex_id

JsonObject = dict[str, Any]

MAX_INT = 2**64 - 1
MAX_DEPTH = 32  # of values we keep without knowing them; our encoder walks them by recursion
_SURROGATE = re.compile("[\ud800-\udfff]")


class RawNumber(str):
    """A number with a fraction or an exponent, kept as its own text so that it is written back unchanged."""

    __slots__ = ()


def load(data: bytes | bytearray | memoryview, what: str) -> Any:
    """Parse one JSON text in UTF-8; `what` names it in the error. Lone surrogates become U+FFFD, as in Go."""
    try:
        text = str(data, "utf-8")
        value = json.loads(text, parse_float=RawNumber, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as err:
        raise Damaged(f"{what} is not valid JSON: {_reason(err)}") from err
    # An escaped half of a surrogate pair cannot be written as UTF-8 again.
    if "\\ud" in text or "\\uD" in text:
        return _without_surrogates(value, what)
    return value


def load_object(data: bytes | bytearray | memoryview, what: str) -> Fields:
    """Parse a JSON object."""
    return Fields(load(data, what), what)


class Fields:
    """The fields of one JSON object. Missing and null fields give the default; a wrong type is Damaged."""

    __slots__ = ("values", "what")

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise Damaged(f"{what} is not a JSON object")
        self.values: JsonObject = value
        self.what = what

    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        value = self.values.get(key)
        if value is None:
            return default
        return value if type(value) is str else self._refuse(key, "a string")

    def integer(self, key: str, default: int = 0, *, maximum: int = MAX_INT) -> int:
        """Return an integer from 0 to `maximum`."""
        value = self.values.get(key)
        if value is None:
            return default
        if type(value) is not int or not 0 <= value <= maximum:
            self._refuse(key, f"an integer from 0 to {maximum}")
        return value

    def boolean(self, key: str) -> bool:
        """Return a truth value, False if missing."""
        value = self.values.get(key)
        if value is None:
            return False
        return value if type(value) is bool else self._refuse(key, "true or false")

    def hex_id(self, key: str) -> bytes | None:
        """Return an id, None if missing."""
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) is not str or not is_hex_id(value):
            self._refuse(key, "an id of 64 lower-case hex digits")
        return bytes.fromhex(value)

    def items(self, key: str) -> list[Any]:
        """Return an array, empty if missing."""
        value = self.values.get(key)
        if value is None:
            return []
        return value if type(value) is list else self._refuse(key, "an array")

    def texts(self, key: str) -> list[str]:
        """Return an array of strings, empty if missing."""
        values = self.items(key)
        if not all(type(value) is str for value in values):
            self._refuse(key, "an array of strings")
        return values

    def object_or_none(self, key: str) -> JsonObject | None:
        """Return an object of unknown content, to be kept; None if missing or empty."""
        value = self.values.get(key)
        if value is None:
            return None
        if type(value) is not dict:
            self._refuse(key, "an object")
        check_depth(value, self.what)
        return value or None

    def rest(self, known: Iterable[str]) -> JsonObject:
        """Return the fields whose names are not in `known`, to be kept when this is written again."""
        rest = {key: value for key, value in self.values.items() if key not in known}
        if rest:
            check_depth(rest, self.what)
        return rest

    def _refuse(self, key: str, wanted: str) -> NoReturn:
        raise Damaged(f"{self.what}: {key!r} is not {wanted}")


def check_depth(value: object, what: str) -> None:
    """Raise Damaged if a parsed value is nested deeper than MAX_DEPTH."""
    layer: list[object] = [value]
    for _ in range(MAX_DEPTH):
        layer = [child for item in layer for child in _children(item)]
        if not layer:
            return
    raise Damaged(f"{what} is nested deeper than {MAX_DEPTH} levels")


def _children(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _without_surrogates(value: Any, what: str) -> Any:
    """Return `value` with each lone surrogate replaced."""
    try:
        return _clean(value)
    except RecursionError as err:
        raise Damaged(f"{what} is nested too deeply") from err


def _clean(value: Any) -> Any:
    if type(value) is str:
        return _SURROGATE.sub("\ufffd", value)
    if type(value) is list:
        return [_clean(item) for item in value]
    if type(value) is dict:
        return {_SURROGATE.sub("\ufffd", key): _clean(item) for key, item in value.items()}
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _reason(err: Exception) -> str:
    # Never str(err) of a UnicodeDecodeError: it quotes the data.
    if isinstance(err, json.JSONDecodeError):
        return f"{err.msg} at character {err.pos}"
    if isinstance(err, UnicodeDecodeError):
        return f"not UTF-8 at byte {err.start}"
    return "nested too deeply" if isinstance(err, RecursionError) else "a number cannot be read"
