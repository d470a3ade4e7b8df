"""Pack headers."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.crypto import OVERHEAD
from repository.errors import Damaged
from repository.packfile import (
    HEADER_PROBE_BYTES,
    MAX_HEADER,
    MIN_PACK_BYTES,
    PackedBlob,
    encode_header,
    encode_trailer,
    header_size,
    pack_size,
    parse_header,
    read_trailer,
)
from tests.repository.hostile import mutations, refuses_or_decodes

ID = bytes(range(32))


def placed(blobs: list[tuple[Any, int, int | None]]) -> list[PackedBlob]:
    """Lay blobs of (type, sealed length, uncompressed length) one after the other."""
    result, offset = [], 0
    for number, (kind, length, uncompressed) in enumerate(blobs):
        result.append(PackedBlob(kind, number.to_bytes(32, "big"), offset, length, uncompressed))
        offset += length
    return result


blob_lists = st.lists(
    st.tuples(
        st.sampled_from(["data", "tree"]),
        st.integers(OVERHEAD, 2**24),
        st.none() | st.integers(0, 2**32 - 1),
    ),
    min_size=1,
    max_size=30,
).map(placed)

SAMPLE = placed([("data", 100, None), ("tree", 132, 500), ("data", 40, 900), ("tree", 32, None)])


def test_entries_are_restics(vectors: dict[str, Any]) -> None:
    for row in vectors["pack_header_plain"]:
        entry = bytes.fromhex(row["entry"])
        blob = PackedBlob(row["type"], bytes.fromhex(row["id"]), 0, row["length"], row["uncompressed"])
        assert parse_header(entry) == [blob]
        assert encode_header([blob]) == entry


def test_all_four_types_have_their_number() -> None:
    text = encode_header(SAMPLE)
    assert [text[0], text[37], text[78], text[119]] == [0, 3, 2, 1]


@given(blob_lists)
def test_a_header_comes_back(blobs: list[PackedBlob]) -> None:
    header = encode_header(blobs)
    assert parse_header(header) == blobs
    assert header_size(blobs) == len(header) + OVERHEAD + 4
    assert pack_size(blobs) == blobs[-1].offset + blobs[-1].length + header_size(blobs)


def test_content_lengths() -> None:
    assert [blob.plain_length for blob in SAMPLE] == [68, 500, 900, 0]


@pytest.mark.parametrize(
    "blobs",
    [
        [],
        [PackedBlob("data", ID, 1, 100)],
        [PackedBlob("data", ID, 0, 100), PackedBlob("data", ID, 101, 100)],
        [PackedBlob("data", ID, 0, 100), PackedBlob("data", ID, 99, 100)],
        [PackedBlob("data", ID, 0, 2**31), PackedBlob("data", ID, 2**31, 2**31)],
    ],
    ids=["none", "not from 0", "gap", "overlap", "4 GiB"],
)
def test_we_never_write_a_header_that_cannot_be(blobs: list[PackedBlob]) -> None:
    with pytest.raises(ValueError, match=r"gaps|described"):
        encode_header(blobs)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x00",
        encode_header(SAMPLE)[:-1],
        encode_header(SAMPLE) + b"\x00",
        b"\x04" + bytes(40),
        b"\xff" + bytes(40),
        struct.pack("<BI32s", 0, OVERHEAD - 1, ID),
        struct.pack("<BI32s", 0, 2**32 - 1, ID) * 2,
        bytes(MAX_HEADER + 1),
    ],
    ids=["empty", "one byte", "cut", "more", "type 4", "type 255", "too short a blob", "4 GiB", "too long"],
)
def test_impossible_headers_are_damage(header: bytes) -> None:
    with pytest.raises(Damaged):
        parse_header(header)


def test_the_trailer_says_where_the_header_starts() -> None:
    sealed = bytes(len(encode_header(SAMPLE)) + OVERHEAD)
    tail = sealed + encode_trailer(sealed)
    assert read_trailer(tail, 10_000) == len(sealed)
    assert read_trailer(tail[-4:], 10_000) == len(sealed)


def test_the_probe_covers_15_compressed_blobs() -> None:
    blobs = placed([("data", 100, 200)] * 15)
    assert header_size(blobs) == HEADER_PROBE_BYTES == 651
    assert MIN_PACK_BYTES == 73


@pytest.mark.parametrize(
    ("tail", "size"),
    [
        (b"", 0),
        (b"abc", 3),
        (struct.pack("<I", 69), 72),
        (struct.pack("<I", 68), 1000),
        (struct.pack("<I", 997), 1000),
        (struct.pack("<I", MAX_HEADER + 1), 2**31),
        (b"\xff\xff\xff\xff", 2**33),
        (bytes(4), 1000),
    ],
)
def test_a_trailer_that_cannot_be_is_damage(tail: bytes, size: int) -> None:
    with pytest.raises(Damaged):
        read_trailer(tail, size)


def test_a_header_beyond_what_readers_take_is_not_written() -> None:
    with pytest.raises(ValueError, match="more than any reader"):
        encode_trailer(bytes(MAX_HEADER + 1))


@given(mutations(encode_header(SAMPLE)))
def test_mutated_headers_are_damaged_or_decode(data: bytes) -> None:
    blobs = refuses_or_decodes(parse_header, data)
    assert blobs is None or encode_header(blobs) == data
