"""Bytes that no honest writer makes, for the decoders."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from repository.errors import Damaged

# What no field of any document may be, except where it happens to be right.
ODD_VALUES: list[Any] = [None, True, -1, 2**64, 2**63, 1.5, "", "x", "\ud800", "a" * 64, "A" * 64, [], {}]
ODD_VALUES += [[None], {"a": 1}, [[]], "0001-01-01T00:00:00Z", "9999-02-30T00:00:00Z", "\\", '"', "AA=", "é"]

HOSTILE_TEXTS = [
    b"",
    b"null",
    b"{}",
    b"[]",
    b"0",
    b"NaN",
    b"-Infinity",
    b'{"a":NaN}',
    b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'"\\ud800"',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 900 + b"1" + b"}" * 900,
    b'{"a":' * 900 + b'"\\ud800"' + b"}" * 900,
    b'{"a":1' + b"0" * 5000 + b"}",
    b'{"a":"\\u0000"}',
    b"{'a':1}",
    b'{"a":1,}',
    b'{"a":1}{"a":1}',
]


def mutations(sample: bytes) -> st.SearchStrategy[bytes]:
    """Cut, flip, overwrite and insert bytes of a good sample."""

    def change(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = bytearray(sample)
        for place, removed, added in edits:
            start = place % (len(data) + 1)
            data[start : start + removed] = added
        return bytes(data)

    edit = st.tuples(st.integers(0, len(sample)), st.integers(0, 4), st.binary(max_size=4))
    return st.lists(edit, min_size=1, max_size=4).map(change)


def odd_documents(sample: bytes) -> Iterator[bytes]:
    """Yield a JSON document with each of its values, at any depth, replaced by each odd one, or left out."""
    document = json.loads(sample)
    for path in list(_paths(document)):
        for value in ODD_VALUES:
            yield json.dumps(_replaced(document, path, value)).encode()
        yield json.dumps(_without(document, path)).encode()


def refuses_or_decodes(decode: Callable[[bytes], Any], data: bytes) -> Any:
    """Decode; Damaged is fine, whatever else is raised fails the test."""
    try:
        return decode(data)
    except Damaged:
        return None


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the most memory that Python held at a time during the call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield (*path, key)
        yield from _paths(child, (*path, key))


def _replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], new)
    return copy


def _without(value: Any, path: tuple[Any, ...]) -> Any:
    copy = value.copy()
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = _without(value[path[0]], path[1:])
    return copy
