"""JSON of others: only Damaged comes out, and it never quotes what it could not read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.errors import Damaged
from repository.gotext import go_value
from repository.jsontext import MAX_DEPTH, Fields, RawNumber, check_depth, load, load_object
from tests.repository.hostile import HOSTILE_TEXTS, refuses_or_decodes

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_any_value_comes_back(value: object) -> None:
    assert load(go_value(value).encode(), "a text") == value
    assert json.loads(go_value(value)) == value


@given(st.binary(max_size=50))
def test_any_bytes_are_damaged_or_decode(data: bytes) -> None:
    refuses_or_decodes(lambda data: load(data, "a text"), data)


def test_hostile_texts_are_damaged_or_decode() -> None:
    for data in HOSTILE_TEXTS:
        refuses_or_decodes(lambda data: load_object(data, "a text").rest(()), data)


@pytest.mark.parametrize("text", [b"NaN", b'{"a":[Infinity]}', b"-Infinity"])
def test_what_python_takes_for_json_is_damage(text: bytes) -> None:
    with pytest.raises(Damaged, match=r"not JSON|number"):
        load(text, "a text")


def test_the_last_of_two_keys_counts_as_in_go() -> None:
    assert load(b'{"a":1,"a":2}', "a text") == {"a": 2}


def test_a_surrogate_pair_stays_and_a_lone_half_does_not() -> None:
    assert load(rb'["\uD83D"]', "a text") == ["\ufffd"]
    assert load(rb'["\ud83d\ude00","\ud83d","a\\ud83d"]', "a text") == ["\U0001f600", "\ufffd", "a\\ud83d"]


def test_numbers_keep_their_text() -> None:
    value = load(b"[1.50,1e400,-0.0]", "a text")
    assert value == ["1.50", "1e400", "-0.0"]
    assert all(type(number) is RawNumber for number in value)
    with pytest.raises(Damaged):
        Fields({"a": value[0]}, "a text").text("a")


def test_the_message_says_where_but_not_what() -> None:
    for data in (b'{"password":"s3cret', b'{"a":"s3cret\xff"}', b'{"a":s3cret}'):
        with pytest.raises(Damaged) as caught:
            load(data, "the thing")
        assert str(caught.value).startswith("the thing is not valid JSON: ")
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 500])
def test_depth_is_counted_exactly(depth: int) -> None:
    value = load(b"[" * depth + b"]" * depth, "a text")
    if depth <= MAX_DEPTH:
        check_depth(value, "a text")
    else:
        with pytest.raises(Damaged, match="deeper"):
            check_depth(value, "a text")
