"""Index files."""

from __future__ import annotations

import json

import pytest
from hypothesis import given

from repository.errors import Damaged
from repository.indexfile import decode_index, encode_index
from repository.packfile import PackedBlob
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
