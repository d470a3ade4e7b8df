"""Columns of blobs say just what lists of PackedBlobs say."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.bloblist import BlobList
from repository.crypto import OVERHEAD
from repository.errors import Damaged
from repository.index import Index
from repository.indexfile import encode_index
from repository.packfile import BlobType, PackedBlob, encode_header, parse_header
from tests.repository.hostile import mutations, refuses_or_decodes

PACK = b"p" * 32
Sizes = list[tuple[int, int | None]]  # sealed, and of the content if that is compressed

kinds = st.sampled_from(["data", "tree"])
sizes = st.lists(
    st.tuples(st.integers(OVERHEAD, 2**24), st.none() | st.integers(1, 2**32 - 1)), min_size=1, max_size=30
)


def listed(kind: BlobType, blobs: Sizes) -> BlobList:
    found = BlobList(kind)
    for number, (length, plain) in enumerate(blobs):
        found.append(number.to_bytes(32, "big"), length, plain)
    return found


SAMPLE = listed("tree", [(100, None), (132, 500), (40, 900)]).encode()


@given(kinds, sizes)
def test_it_is_the_same_as_a_list(kind: BlobType, blobs: Sizes) -> None:
    columns, offset, plain = listed(kind, blobs), 0, []
    for number, (length, content) in enumerate(blobs):
        plain.append(PackedBlob(kind, number.to_bytes(32, "big"), offset, length, content))
        offset += length
    assert list(columns) == plain
    assert columns.encode() == encode_header(plain)
    assert BlobList.decode(columns.encode()) == columns
    assert encode_index({PACK: columns}) == encode_index({PACK: plain})
    assert list(pickle.loads(pickle.dumps(columns, pickle.HIGHEST_PROTOCOL))) == plain
    one, other = Index(), Index()
    for _ in range(2):  # a second time is harmless
        one.add_pack(PACK, columns)
        other.add_pack(PACK, plain)
    assert one.blobs_in(PACK) == other.blobs_in(PACK) == plain


@given(kinds, sizes, st.integers(0, 29), kinds)
def test_a_difference_anywhere_is_seen(kind: BlobType, blobs: Sizes, at: int, other: BlobType) -> None:
    at %= len(blobs)
    longer = [*blobs[:at], (blobs[at][0] + 1, blobs[at][1]), *blobs[at + 1 :]]
    fuller = [*blobs[:at], (blobs[at][0], (blobs[at][1] or 0) // 2 + 1_000), *blobs[at + 1 :]]
    assert (listed(kind, blobs) == listed(other, blobs)) == (kind == other)
    for changed in (longer, fuller, blobs[1:], blobs[::-1]):
        assert (listed(kind, changed) == listed(kind, blobs)) == (changed == blobs)
    renamed = listed(kind, blobs)
    renamed.ids[32 * at] ^= 1
    assert renamed != listed(kind, blobs)


def test_a_pack_of_nothing_and_one_of_more_than_4_gib_cannot_be_described() -> None:
    for blobs in ([], [(2**31, None), (2**31, None)]):
        with pytest.raises(ValueError, match="described"):
            listed("data", blobs).encode()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\x00",
        SAMPLE[:-1],
        SAMPLE + b"\x00",
        b"\x04" + bytes(40),
        encode_header([PackedBlob("data", PACK, 0, 100), PackedBlob("tree", PACK, 100, 100)]),
        encode_header([PackedBlob("data", PACK, 0, OVERHEAD - 1)]),
        encode_header([PackedBlob("data", PACK, 0, 2**31)]) * 2,
    ],
    ids=["empty", "one byte", "cut", "more", "type 4", "two types", "too short a blob", "4 GiB"],
)
def test_headers_that_we_do_not_write_are_damage(header: bytes) -> None:
    with pytest.raises(Damaged):
        BlobList.decode(header)


@given(mutations(SAMPLE))
def test_mutated_headers_are_damage_or_read_as_ever(data: bytes) -> None:
    found = refuses_or_decodes(BlobList.decode, data)
    assert found is None or [(b.id, b.length, b.uncompressed_length or 0) for b in found] == [
        (b.id, b.length, b.uncompressed_length or 0) for b in parse_header(data)
    ]
