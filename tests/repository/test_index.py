"""The index in memory."""

from __future__ import annotations

from repository.index import Index, Location
from repository.packfile import PackedBlob

PACK, OTHER = b"P" * 32, b"Q" * 32
BLOB, MORE = b"b" * 32, b"c" * 32


def test_a_blob_is_found_by_type_and_id() -> None:
    index = Index()
    index.add_pack(
        PACK, [PackedBlob("data", BLOB, 0, 100, 500), PackedBlob("data", MORE, 100, 2**32 - 1, None)]
    )
    assert index.lookup("data", BLOB) == [Location(PACK, 0, 100, 500)]
    assert index.lookup("data", MORE) == [Location(PACK, 100, 2**32 - 1, None)]
    assert index.lookup("tree", BLOB) == []
    assert not index.has("tree", BLOB)
    assert index.plain_length("data", BLOB) == 500
    assert index.plain_length("data", MORE) == 2**32 - 33
    assert index.plain_length("tree", BLOB) is None
    assert len(index) == 2


def test_several_places_are_kept_in_order_and_once() -> None:
    index = Index()
    for pack in (PACK, OTHER, PACK):
        index.add_pack(pack, [PackedBlob("data", BLOB, 7, 100, None)])
    assert [place.pack for place in index.lookup("data", BLOB)] == [PACK, OTHER]
    assert len(index) == 1


def test_only_one_may_claim_a_new_blob() -> None:
    index = Index()
    assert index.claim("data", BLOB)
    assert not index.claim("data", BLOB)
    assert index.claim("tree", BLOB)
    assert not index.has("data", BLOB)
    index.add_pack(PACK, [PackedBlob("data", BLOB, 0, 100, None)])
    assert not index.claim("data", BLOB)
    index.drop_pending()
    assert index.claim("tree", BLOB)


def test_blobs_in_a_pack_come_by_offset() -> None:
    index = Index()
    blobs = [PackedBlob("data", MORE, 0, 100, 50), PackedBlob("tree", BLOB, 100, 60, None)]
    index.add_pack(PACK, reversed(blobs))
    index.add_pack(OTHER, [PackedBlob("data", MORE, 5, 100, 50)])
    assert index.blobs_in(PACK) == blobs
