"""Text as restic's Go writes it: quoted names, JSON strings, times (restic-format.md, section 8).

Which characters count as printable follows the Unicode tables of the running Python (14.0 in 3.11). A name
with a newer character is then quoted otherwise than by a restic with other tables: that costs deduplication
of its tree, never correctness.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from repository.errors import Damaged
from repository.jsontext import RawNumber

# Printable ASCII without the quote and the backslash: the same in a name, quoted and unquoted.
_plain_name = re.compile(rb"[ !#-\[\]-~]*").fullmatch
_plain_quoted = re.compile(r"[ !#-\[\]-~]*").fullmatch
# The same without what JSON escapes on top, but with DEL, which it leaves.
_plain_json = re.compile(r"[ !#-%'-;=?-\[\]-\x7f]*").fullmatch
_plain_json_name = re.compile(rb"[ !#-%'-;=?-\[\]-~]*").fullmatch

_JSON_SPECIAL = re.compile('[\x00-\x1f"\\\\<>&\u2028\u2029\ud800-\udfff]')
_SURROGATE = re.compile("[\ud800-\udfff]")
_JSON_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}

_NAME_SHORT = {"\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_NAME_SHORT |= {'"': '\\"', "\\": "\\\\"}
_UNQUOTE_SHORT = {ord(value[1]): key.encode() for key, value in _NAME_SHORT.items()}
_ESCAPE = re.compile(
    rb'\\(?:([abfnrtv"\\])|x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))|(["\\\n])'
)


def quote_name(name: bytes) -> str:
    """Return a file name as Go's strconv.Quote writes it, without the outer quotes."""
    if _plain_name(name):
        return name.decode("ascii")
    # surrogateescape makes one surrogate of each byte that is not part of valid UTF-8
    text = name.decode("utf-8", "surrogateescape")
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(map(_quote_char, text))


def unquote_name(text: str) -> bytes:
    """Return the bytes of a quoted name. Raises Damaged for whatever Go's strconv.Unquote refuses."""
    if _plain_quoted(text):
        return text.encode("ascii")
    return _ESCAPE.sub(_unquote_match, text.encode("utf-8", "replace"))


def go_string(value: str | bytes) -> str:
    """Return the JSON string, quotes included, as Go's encoder writes it.

    Each byte of `value` that is not UTF-8 (in a str: each lone surrogate) becomes the characters `\\ufffd`.
    """
    text = value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")
    if _plain_json(text):
        return f'"{text}"'
    return f'"{_JSON_SPECIAL.sub(_escape_json, text)}"'


def lossy_text(data: bytes) -> str:
    """Return text with one U+FFFD for each byte that is not UTF-8, as a reader of go_string(data) sees it."""
    return _SURROGATE.sub("\ufffd", data.decode("utf-8", "surrogateescape"))


def go_name(name: bytes) -> str:
    """Return a file name quoted, then as a JSON string: what stands in a tree."""
    if _plain_json_name(name):
        return f'"{name.decode("ascii")}"'
    return go_string(quote_name(name))


def go_value(value: Any) -> str:
    """Return parsed JSON as compact JSON text again, in Go's form. Nested at most jsontext.MAX_DEPTH deep."""
    if isinstance(value, RawNumber):
        return str(value)
    if isinstance(value, str):
        return go_string(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{go_string(key)}:{go_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(go_value, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"no JSON value: {type(value).__name__}")


def _quote_char(char: str) -> str:
    if short := _NAME_SHORT.get(char):
        return short
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _unquote_match(match: re.Match[bytes]) -> bytes:
    short, hexa, octal, small, big, bad = match.groups()
    if short:
        return _UNQUOTE_SHORT[short[0]]
    if bad:
        raise Damaged("a name in a tree is not validly quoted")
    if hexa or octal:
        value = int(hexa, 16) if hexa else int(octal, 8)
        if value > 0xFF:
            raise Damaged("a name in a tree escapes a byte beyond 255")
        return bytes((value,))
    code = int(small or big, 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise Damaged("a name in a tree escapes a character that does not exist")
    return chr(code).encode()


def _escape_json(match: re.Match[str]) -> str:
    char = match.group()
    if short := _JSON_SHORT.get(char):
        return short
    code = ord(char)
    # \b and \f as of Go 1.19 (\u0008); Go 1.22 writes the short forms, every reader takes both
    return f"\\u{code:04x}" if not 0xD800 <= code <= 0xDFFF else "\\ufffd"


ZERO_TIME = "0001-01-01T00:00:00Z"  # what restic writes for a time it does not know

_NANO = 1_000_000_000
_DAY = 86_400
_HOUR = 3_600
_EPOCH_DAYS = 719_468  # from 0000-03-01 to 1970-01-01
_TWO = tuple(f"{number:02}" for number in range(60))
_CACHED_HOURS = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_SECOND, _LAST_SECOND = -62_135_510_400, 253_402_214_400  # what datetime can hold, less a day
_is_time = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch


class LocalZone:
    """A time zone that tells its offset at an instant, quickly: it is asked for every file.

    The cache is by hour; an hour within which the offset changes is never cached.
    """

    __slots__ = ("_hours", "_zone")

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._hours: dict[int, int] = {}

    def offset(self, seconds: int) -> int:
        """Return the offset from UTC, in seconds and a multiple of 60, at `seconds` since the epoch."""
        hour = seconds // _HOUR
        offset = self._hours.get(hour)
        return self._look_up(seconds, hour) if offset is None else offset

    def _look_up(self, seconds: int, hour: int) -> int:
        start = self._exact(hour * _HOUR)
        if start != self._exact(hour * _HOUR + _HOUR - 1):
            return self._exact(seconds)
        if len(self._hours) >= _CACHED_HOURS:
            self._hours.clear()
        self._hours[hour] = start
        return start

    def _exact(self, seconds: int) -> int:
        seconds = min(max(seconds, _FIRST_SECOND), _LAST_SECOND)
        delta = (_EPOCH + timedelta(seconds=seconds)).astimezone(self._zone).utcoffset() or timedelta()
        # Whole minutes, cut towards zero: all that RFC 3339 can say. (int: for negative offsets)
        return int(delta.total_seconds() / 60) * 60


UTC_ZONE = LocalZone(UTC)


def format_time(ns: int, zone: LocalZone) -> str:
    """Return an instant (ns since the epoch) as RFC 3339 in `zone`, as Go writes it.

    Years are clamped to 0000-9999. Where an offset has seconds (before about 1900), the instant is kept;
    restic shifts it.
    """
    seconds, nanos = divmod(ns, _NANO)
    offset = zone.offset(seconds)
    fraction = f".{nanos:09}".rstrip("0") if nanos else ""
    return f"{_second(seconds + offset)}{fraction}{_suffix(offset)}"


def is_time(text: str) -> bool:
    """Tell whether `text` is a time as Go writes it (it may still name a 31st of June)."""
    return _is_time(text) is not None


def parse_time(text: str) -> int:
    """Return the instant in ns since the epoch. Raises Damaged unless it is a time as Go writes it."""
    if not _is_time(text):
        raise Damaged(f"not a time: {text[:40]!r}")
    seconds = _days(text[:10]) * _DAY + int(text[11:13]) * _HOUR + int(text[14:16]) * 60 + int(text[17:19])
    if text[-1] == "Z":
        fraction = text[20:-1]
    else:
        offset = int(text[-5:-3]) * _HOUR + int(text[-2:]) * 60
        seconds += offset if text[-6] == "-" else -offset
        fraction = text[20:-6]
    return seconds * _NANO + (int(f"{fraction:0<9}") if fraction else 0)


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    """Return the date and time of day, by a local clock; files were often changed in the same second."""
    days, rest = divmod(seconds, _DAY)
    minutes, second = divmod(rest, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_date(days)}T{_TWO[hour]}:{_TWO[minute]}:{_TWO[second]}"


@lru_cache(maxsize=4096)
def _date(days: int) -> str:
    """Return the date that is `days` after 1970-01-01, in the Gregorian calendar extended both ways."""
    era, day_of_era = divmod(days + _EPOCH_DAYS, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * day_of_year + 2) // 153  # March is 0, so that a leap day comes last
    day = day_of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    year = year_of_era + era * 400 + (month <= 2)
    if not 0 <= year <= 9999:
        return _clamped_date(year, month, day)
    return f"{year:04}-{month:02}-{day:02}"


def _clamped_date(year: int, month: int, day: int) -> str:
    """Return the same day in the year 0 or 9999; 29 February becomes 1 March if there is none, as in Go."""
    if year > 9999 and (month, day) == (2, 29):
        month, day = 3, 1
    return f"{min(max(year, 0), 9999):04}-{month:02}-{day:02}"


@lru_cache(maxsize=4096)
def _days(date: str) -> int:
    """Return the days from 1970-01-01 to `YYYY-MM-DD`. Raises Damaged if there is no such day."""
    year, month, day = int(date[:4]), int(date[5:7]), int(date[8:10])
    march_year = year - (month <= 2)
    era, year_of_era = divmod(march_year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days = (
        era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - _EPOCH_DAYS
    )
    if _date(days) != date:
        raise Damaged(f"there is no day {date}")
    return days


@lru_cache(maxsize=256)
def _suffix(offset: int) -> str:
    if not offset:
        return "Z"
    hours, minutes = divmod(abs(offset) // 60, 60)
    return f"{'+' if offset > 0 else '-'}{hours:02}:{minutes:02}"
