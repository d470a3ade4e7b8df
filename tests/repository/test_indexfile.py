"""Index files."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.errors import Damaged
from repository.ids import split_ids
from repository.indexfile import BlobColumns, PackListing, decode_columns, decode_index, encode_index
from repository.packfile import BlobType, PackedBlob
from tests.repository.hostile import HOSTILE_TEXTS, mutations, odd_documents, refuses_or_decodes
from tests.repository.test_packfile import SAMPLE, blob_lists

PACK = b"\xab" * 32
TEXT = encode_index({PACK: SAMPLE, b"\xcd" * 32: SAMPLE[:1]})


def test_the_text_is_restics() -> None:
    blobs = [PackedBlob("data", b"\x01" * 32, 0, 50), PackedBlob("tree", b"\x02" * 32, 50, 60, 99)]
    assert encode_index({PACK: blobs}).decode() == (
        f'{{"packs":[{{"id":"{"ab" * 32}","blobs":['
        f'{{"id":"{"01" * 32}","type":"data","offset":0,"length":50}},'
        f'{{"id":"{"02" * 32}","type":"tree","offset":50,"length":60,"uncompressed_length":99}}]}}]}}\n'
    )


@given(blob_lists)
def test_an_index_comes_back(blobs: list[PackedBlob]) -> None:
    expected = [b if b.uncompressed_length else b._replace(uncompressed_length=None) for b in blobs]
    assert decode_index(encode_index({PACK: blobs})).packs == [(PACK, expected)]


def test_an_empty_index_is_one() -> None:
    assert encode_index({}) == b'{"packs":[]}\n'
    assert decode_index(b'{"packs":[]}\n').packs == []


def test_what_it_supersedes_is_told() -> None:
    text = b'{"supersedes":["' + b"12" * 32 + b'"],' + TEXT[1:]
    index = decode_index(text)
    assert index.supersedes == [b"\x12" * 32]
    assert index.packs == decode_index(TEXT).packs
    assert decode_index(TEXT).supersedes == []


def test_the_array_of_restic_0_1_is_read() -> None:
    array = json.dumps(json.loads(TEXT)["packs"]).encode()
    assert decode_index(array) == decode_index(TEXT)


def test_what_rustic_adds_is_ignored() -> None:
    document = json.loads(TEXT)
    document["packs"][0] |= {"time": "2026-01-01T00:00:00Z", "size": 12}
    document["packs_to_delete"] = document["packs"][:1]
    assert decode_index(json.dumps(document).encode()) == decode_index(TEXT)


def test_a_pack_listed_twice_is_listed_twice() -> None:
    document = json.loads(TEXT)
    document["packs"] *= 2
    assert len(decode_index(json.dumps(document).encode()).packs) == 4


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("type", "Data"),
        ("type", None),
        ("offset", -1),
        ("offset", 2**32),
        ("offset", True),
        ("length", 31),
        ("length", 2**32),
        ("length", "50"),
        ("uncompressed_length", -1),
        ("uncompressed_length", 2**32),
        ("uncompressed_length", 1.5),
        ("id", "AB" * 32),
        ("id", "ab"),
        ("id", None),
    ],
)
def test_blobs_that_cannot_be_are_damage(field: str, value: object) -> None:
    document = json.loads(TEXT)
    document["packs"][0]["blobs"][1][field] = value
    with pytest.raises(Damaged):
        decode_index(json.dumps(document).encode())


@given(mutations(TEXT))
def test_mutated_indexes_are_damaged_or_decode(data: bytes) -> None:
    index = refuses_or_decodes(decode_index, data)
    assert index is None or len({pack for pack, _ in index.packs}) <= 2


def test_hostile_indexes_are_damaged() -> None:
    for data in HOSTILE_TEXTS:
        index = refuses_or_decodes(decode_index, data)
        assert index is None or index.packs == []
    for data in odd_documents(TEXT):
        refuses_or_decodes(decode_index, data)


@pytest.mark.parametrize(("offset", "fits"), [(2**32 - 101, True), (2**32 - 100, False)])
def test_a_blob_must_end_inside_a_pack(offset: int, fits: bool) -> None:
    text = encode_index({PACK: [PackedBlob("data", PACK, 0, 50), PackedBlob("data", PACK, offset, 100)]})
    for decode in (decode_index, listed_in_columns):
        assert bool(refuses_or_decodes(decode, text)) == fits


def listed_in_columns(data: bytes) -> list[PackListing]:
    """Decode in columns; return each pack's data blobs, then its tree blobs."""
    packs = []
    for part in decode_columns(data):
        blobs = {kind: columns_to_blobs(kind, columns) for kind, columns in part.blobs.items()}
        for number, pack in enumerate(part.packs):
            counts = [(blobs[kind], columns.counts[number]) for kind, columns in part.blobs.items()]
            packs.append((pack, [next(each) for each, count in counts for _ in range(count)]))
        assert not any(list(each) for each in blobs.values())
    return packs


def columns_to_blobs(kind: BlobType, columns: BlobColumns) -> Iterator[PackedBlob]:
    rows = zip(columns.offsets, columns.lengths, columns.plains, strict=True)
    for blob_id, (offset, length, plain) in zip(split_ids(columns.ids), rows, strict=True):
        yield PackedBlob(kind, blob_id, offset, length, plain or None)


def data_first(packs: list[PackListing]) -> list[PackListing]:
    return [(pack, sorted(blobs, key=lambda blob: blob.type)) for pack, blobs in packs]


@given(st.lists(blob_lists, max_size=4))
def test_columns_say_the_same(packs: list[list[PackedBlob]]) -> None:
    text = encode_index({bytes([number]) * 32: blobs for number, blobs in enumerate(packs)})
    assert listed_in_columns(text) == data_first(decode_index(text).packs)


def test_columns_of_many_packs_say_the_same() -> None:
    text = encode_index({number.to_bytes(32, "big"): SAMPLE[: number % 5] for number in range(12_000)})
    assert sum(1 for _ in decode_columns(text)) > 1
    assert listed_in_columns(text) == data_first(decode_index(text).packs)


@given(mutations(TEXT))
def test_columns_are_refused_where_the_index_is(data: bytes) -> None:
    index = refuses_or_decodes(decode_index, data)
    packs = refuses_or_decodes(listed_in_columns, data)
    assert packs == (None if index is None else data_first(index.packs))


def test_columns_refuse_what_is_hostile() -> None:
    for data in (*HOSTILE_TEXTS, *odd_documents(TEXT)):
        index = refuses_or_decodes(decode_index, data)
        packs = refuses_or_decodes(listed_in_columns, data)
        assert packs == (None if index is None else data_first(index.packs))


def test_damage_in_a_later_pack_is_found() -> None:
    text = encode_index({number.to_bytes(32, "big"): SAMPLE for number in range(4000)})
    before, _, after = text.rpartition(b'"tree"')
    for decode in (decode_index, listed_in_columns):
        with pytest.raises(Damaged, match=r"from number [1-9]\d{3} on.*type"):
            decode(before + b'"twig"' + after)
