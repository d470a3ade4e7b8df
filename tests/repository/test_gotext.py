"""Text as Go writes it, held to restic's vectors and to a second, plainer implementation."""

from __future__ import annotations

import base64
import json
import unicodedata
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repository.errors import Damaged
from repository.gotext import (
    UTC_ZONE,
    ZERO_TIME,
    LocalZone,
    format_time,
    go_name,
    go_string,
    go_value,
    is_time,
    lossy_text,
    parse_time,
    quote_name,
    unquote_name,
)
from repository.jsontext import load

SECOND = 1_000_000_000
BERLIN = LocalZone(ZoneInfo("Europe/Berlin"))

# Raw bytes, text, and the places where UTF-8 breaks, mixed.
pieces = (
    st.binary(max_size=6)
    | st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.sampled_from([b"\\", b'"', b"\\x41", b"\xed\xa0\x80", b"\xef\xbf\xbd", b"\xe2\x80\xa8", b"\xc2\xad"])
)
names = st.lists(pieces, max_size=5).map(b"".join)


def plainly_quoted(name: bytes) -> str:
    """Quote as the specification says, byte by byte."""
    result, position = "", 0
    while position < len(name):
        for length in (1, 2, 3, 4):
            try:
                char = name[position : position + length].decode()
            except UnicodeDecodeError:
                continue
            break
        else:
            result, position = result + f"\\x{name[position]:02x}", position + 1
            continue
        result, position = result + plainly_escaped(char), position + length
    return result


def plainly_escaped(char: str) -> str:
    letters = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 34: '"', 92: "\\"}
    code = ord(char)
    if code in letters:
        return "\\" + letters[code]
    if unicodedata.category(char)[0] in "LMNPS" or char == " ":
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def test_names_are_quoted_as_restic_did(vectors: dict[str, Any]) -> None:
    rows = vectors["names"]["rows"]
    assert len(rows) == 22
    for row in rows:
        name = bytes.fromhex(row["name_bytes"])
        assert unquote_name(row["go_quoted"]) == name
        # U+1FAE0 is of Unicode 14: that restic knew 13, Python 3.11 knows it
        if name != b"melt\xf0\x9f\xab\xa0":
            assert quote_name(name) == row["go_quoted"]
            assert go_name(name) == row["json_string_in_tree"]


@pytest.mark.parametrize("byte", range(256))
def test_every_byte_can_stand_in_a_name(byte: int) -> None:
    for name in (bytes([byte]), b"a" + bytes([byte]) + b"z", bytes([byte]) * 3):
        assert quote_name(name) == plainly_quoted(name)
        assert unquote_name(quote_name(name)) == name
        assert json.loads(go_name(name)) == quote_name(name)


@given(names)
@settings(max_examples=1000)
def test_any_name_comes_back(name: bytes) -> None:
    quoted = quote_name(name)
    assert quoted == plainly_quoted(name)
    assert unquote_name(quoted) == name
    assert load(go_name(name).encode(), "a name") == quoted


@given(st.lists(names, min_size=2, max_size=8, unique=True))
def test_different_names_stay_different(some: list[bytes]) -> None:
    assert len({quote_name(name) for name in some}) == len(some)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\\101\\060", b"A0"),
        ("\\377", b"\xff"),
        ("\\xE4", b"\xe4"),
        ("\\u00E4", b"\xc3\xa4"),
        ("\\U0001F600", "\U0001f600".encode()),
        ("a'b`c", b"a'b`c"),
        ("\\\\n", b"\\n"),
        ("\x00\x7f\t", b"\x00\x7f\t"),
        ("", b""),
    ],
)
def test_every_escape_of_go_is_read(text: str, name: bytes) -> None:
    assert unquote_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "a\nb",
        'a"b',
        "\\q",
        "\\'",
        "\\",
        "a\\\\\\",
        "\\x4",
        "\\xgg",
        "\\08",
        "\\400",
        "\\777",
        "\\u12",
        "\\ud800",
        "\\udfff",
        "\\U00110000",
        "\\Uffffffff",
        "ä\\",
    ],
)
def test_what_go_refuses_is_damage(text: str) -> None:
    with pytest.raises(Damaged):
        unquote_name(text)


def test_link_targets_are_written_as_restic_did(vectors: dict[str, Any]) -> None:
    for row in vectors["linktargets"]:
        target = bytes.fromhex(row["bytes"])
        assert go_string(target) == row.get("json", row.get("json_go119"))
        if raw := row.get("raw_ge_0_16"):
            assert base64.b64decode(raw) == target
        if later := row.get("json_go122"):
            assert json.loads(later) == target.decode()


@given(names)
def test_json_strings_are_json_and_lose_only_bad_bytes(value: bytes) -> None:
    text = go_string(value)
    assert json.loads(text) == lossy_text(value)
    assert not set("<>&\u2028\u2029").intersection(text)
    assert text.encode()  # no surrogates


@given(st.text())
def test_json_strings_of_text_come_back(value: str) -> None:
    assert json.loads(go_string(value)) == value


@pytest.mark.parametrize("char", "<>&\u2028\u2029\x00\x1f\b\f")
def test_what_go_escapes_though_json_need_not(char: str) -> None:
    for text in (char, f"ä{char}", f"a{char}b"):
        assert go_string(text) == f'"{text.replace(char, f"{chr(92)}u{ord(char):04x}")}"'


def test_a_real_replacement_character_is_not_escaped() -> None:
    assert go_string("\ufffd") == '"\ufffd"'
    assert go_string("\udcff") == '"\\ufffd"'
    assert lossy_text(b"\xffa\xef\xbf\xbd\xed\xa0\x80") == "\ufffda\ufffd\ufffd\ufffd\ufffd"


def test_json_values_are_kept_as_they_were() -> None:
    text = '{"z":[1,-2,1.50,1e5,true,false,null,"a\\u003c"],"a":{"":{}},"e":[],"n":18446744073709551615}'
    assert go_value(load(text.encode(), "a value")) == text
    with pytest.raises(TypeError, match="float"):
        go_value(1.5)


def test_times_are_written_as_restic_did(vectors: dict[str, Any]) -> None:
    zone = LocalZone(ZoneInfo(vectors["times"]["zone"]))
    for row in vectors["times"]["rows"]:
        assert format_time(row["ns"], zone) == row["text"]
        assert parse_time(row["text"]) == row["ns"]
    utc = vectors["times"]["utc"]
    assert format_time(utc["ns"], UTC_ZONE) == utc["text"]
    assert parse_time(utc["text"]) == utc["ns"]


zones: st.SearchStrategy[tzinfo] = st.sampled_from(
    ["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Monrovia", "UTC"]
).map(ZoneInfo) | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.integers(-62_135_000_000 * SECOND, 253_402_000_000 * SECOND), zones)
@settings(max_examples=1000)
def test_any_instant_comes_back_and_agrees_with_datetime(ns: int, zone: tzinfo) -> None:
    text = format_time(ns, LocalZone(zone))
    assert is_time(text)
    assert parse_time(text) == ns
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=ns // SECOND)
    local = instant.astimezone(zone)
    if local.utcoffset() == timedelta(minutes=(local.utcoffset() or timedelta()) // timedelta(minutes=1)):
        assert text.startswith(local.strftime("%Y-%m-%dT%H:%M:%S").zfill(19))
        assert datetime.fromisoformat(text[:19] + text[-6:].lstrip("0123456789.:")) == local


def test_a_zone_changes_in_the_middle_of_an_hour_without_mixing() -> None:
    # Monrovia moved from -00:44:30 to UTC at 00:44:30 UTC on 7 January 1972
    change = 63_593_070
    for offsets in ((-1, 0, 1), (1, 0, -1)):
        zone = LocalZone(ZoneInfo("Africa/Monrovia"))
        found = {step: format_time((change + step) * SECOND, zone) for step in offsets}
        assert found[-1] == "1972-01-07T00:00:29-00:44"
        assert found[0] == "1972-01-07T00:44:30Z"
        assert found[1] == "1972-01-07T00:44:31Z"


def test_the_cache_of_a_zone_does_not_grow_for_ever() -> None:
    zone = LocalZone(UTC)
    for hour in range(0, 250_000, 2):
        zone.offset(hour * 3600)
    assert len(zone._hours) <= 100_000


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-62_135_596_800, "0001-01-01T00:00:00Z"),
        (-62_135_596_801, "0000-12-31T23:59:59Z"),
        (-62_167_219_200, "0000-01-01T00:00:00Z"),
        (-62_167_219_201, "0000-12-31T23:59:59Z"),  # clamped: a year before the year 0
        (253_402_300_799, "9999-12-31T23:59:59Z"),
        (253_402_300_800, "9999-01-01T00:00:00Z"),  # clamped: the year 10000
        (951_782_400, "2000-02-29T00:00:00Z"),
        (253_407_398_400, "9999-03-01T00:00:00Z"),  # 10000-02-29
        (2**63, "9999-12-04T15:30:08Z"),
        (-(2**63), "0000-01-27T08:29:52Z"),
    ],
)
def test_years_beyond_four_digits_are_clamped(seconds: int, text: str) -> None:
    assert format_time(seconds * SECOND, UTC_ZONE) == text
    assert is_time(format_time(seconds * SECOND, BERLIN))


def test_the_unknown_time_is_the_year_1() -> None:
    assert format_time(parse_time(ZERO_TIME), UTC_ZONE) == ZERO_TIME


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00+00:00", 0),
        ("1970-01-01T00:00:00.1Z", SECOND // 10),
        ("1970-01-01T00:00:00.000000001-23:59", 86_340 * SECOND + 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("0000-02-29T00:00:00Z", -62_162_121_600 * SECOND),
    ],
)
def test_times_are_read(text: str, ns: int) -> None:
    assert parse_time(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1970-01-01",
        "1970-01-01 00:00:00Z",
        "1970-01-01t00:00:00z",
        "1970-01-01T00:00:00",
        "1970-01-01T00:00:00,5Z",
        "1970-01-01T00:00:00.Z",
        "1970-01-01T00:00:00.0000000001Z",
        "1970-01-01T24:00:00Z",
        "1970-01-01T00:60:00Z",
        "1970-01-01T00:00:60Z",
        "1970-01-01T00:00:00+24:00",
        "1970-00-01T00:00:00Z",
        "1970-13-01T00:00:00Z",
        "1970-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "1970-04-31T00:00:00Z",
        "1970-01-00T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-001-01-01T00:00:00Z",
        "1970-01-01T00:00:00Z\n",
        "１９７０-01-01T00:00:00Z",
        '1970-01-01T00:00:00Z","x":"',
    ],
)
def test_other_times_are_damage(text: str) -> None:
    with pytest.raises(Damaged):
        parse_time(text)
