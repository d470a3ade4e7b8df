"""The index in memory."""

from __future__ import annotations

import os
import sys
import threading
import time
import tracemalloc
from collections import Counter
from copy import deepcopy
from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from repository.index import Index, Location
from repository.indexfile import decode_columns, encode_index
from repository.packfile import BlobType, PackedBlob, pack_size
from tests.repository.hostile import peak_bytes

Listing = list[tuple[bytes, list[PackedBlob]]]

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
    assert index.first_place("data", MORE) == Location(PACK, 100, 2**32 - 1, None)
    assert index.first_place("tree", BLOB) is None
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
    assert index.first_place("data", BLOB) == index.lookup("data", BLOB)[0]
    assert len(index) == 1


def test_only_one_may_claim_a_new_blob() -> None:
    index = Index()
    assert index.claim("data", BLOB)
    assert not index.claim("data", BLOB)
    assert index.claim("tree", BLOB)
    assert not index.has("data", BLOB)
    index.add_pack(PACK, [PackedBlob("data", BLOB, 0, 100, None)])
    assert not index.claim("data", BLOB)
    assert index._pending == {"data": set(), "tree": {BLOB}}
    index.drop_pending()
    assert index.claim("tree", BLOB)


def test_blobs_in_a_pack_come_by_offset() -> None:
    index = Index()
    blobs = [PackedBlob("data", MORE, 0, 100, 50), PackedBlob("tree", BLOB, 100, 60, None)]
    index.add_pack(PACK, reversed(blobs))
    index.add_pack(OTHER, [PackedBlob("data", MORE, 5, 100, 50)])
    assert index.blobs_in(PACK) == blobs


def places_in(packs: Listing) -> Counter[tuple[str, bytes, Location]]:
    return Counter(
        {(b.type, b.id, Location(pack, *b[2:])): 1 for pack, blobs in packs for b in blobs},
    )


# Few ids, packs and offsets, so that they meet often.
small_ids = st.sampled_from([bytes([number]) * 32 for number in range(6)])
some_blobs = st.builds(
    PackedBlob,
    st.sampled_from(["data", "tree"]),
    small_ids,
    st.integers(0, 1),
    st.integers(32, 33),
    st.sampled_from([None, 2**32 - 1]),
)
listings: st.SearchStrategy[Listing] = st.lists(
    st.tuples(small_ids, st.lists(some_blobs, max_size=6)), max_size=6
)


@given(st.lists(listings, max_size=4), st.booleans())
def test_the_index_is_the_union_of_what_was_added(files: list[Listing], in_bulk: bool) -> None:
    index = Index()
    for file in files:
        if in_bulk:
            # encode_index takes each pack once; an index file may list one twice.
            texts = [encode_index({pack: blobs})[len('{"packs":[') : -len("]}\n")] for pack, blobs in file]
            for columns in decode_columns(b'{"packs":[' + b",".join(texts) + b"]}"):
                index.add_columns(columns)
        else:
            for pack, blobs in file:
                index.add_pack(pack, blobs)
    added = [listing for file in files for listing in file]
    expected = places_in(added)
    assert Counter(index.places()) == expected
    assert len(index) == len({key[:2] for key in expected})
    _check_lookups(index, expected)
    _check_packs(index, {pack for pack, _ in added}, expected)


def _check_lookups(index: Index, expected: Counter[tuple[str, bytes, Location]]) -> None:
    kinds: tuple[BlobType, ...] = ("data", "tree")
    for kind, blob in product(kinds, (bytes([number]) * 32 for number in range(7))):
        places = Counter(place for *key, place in expected if key == [kind, blob])
        found = index.lookup(kind, blob)
        assert Counter(found) == places
        assert index.has(kind, blob) == bool(places)
        assert index.plain_length(kind, blob) == (found[0].plain_length if found else None)


def _check_packs(index: Index, packs: set[bytes], expected: Counter[tuple[str, bytes, Location]]) -> None:
    listed = dict(index.blobs_by_pack())
    assert listed.keys() == packs
    for pack, blobs in listed.items():
        assert blobs == index.blobs_in(pack)
        assert [blob.offset for blob in blobs] == sorted(blob.offset for blob in blobs)
    assert places_in(list(listed.items())) == expected
    for total in index.pack_totals():
        blobs = listed.pop(total.id)
        kinds = Counter(blob.type for blob in blobs)
        assert total[1:] == (kinds["data"], kinds["tree"], pack_size(blobs))
    assert not listed


def test_a_pack_that_lists_a_blob_twice_at_one_place_has_it_once() -> None:
    index, blob = Index(), PackedBlob("data", BLOB, 5, 100, 300)
    for columns in decode_columns(encode_index({PACK: [blob, blob]})):
        index.add_columns(columns)
    assert list(index.places()) == [("data", BLOB, Location(PACK, 5, 100, 300))]
    assert index.blobs_in(PACK) == [blob]
    assert index.lookup("data", BLOB) == [Location(PACK, 5, 100, 300)]


def test_blobs_in_sees_what_was_added_since() -> None:
    index = Index()
    blob, more = PackedBlob("data", BLOB, 0, 100), PackedBlob("data", MORE, 100, 100)
    assert index.blobs_in(PACK) == []
    index.add_pack(PACK, [blob])
    assert index.blobs_in(PACK) == [blob]
    index.add_pack(PACK, [more])
    index.add_pack(OTHER, [blob])
    assert index.blobs_in(PACK) == [blob, more]
    assert index.blobs_in(OTHER) == [blob]
    assert index.blobs_in(b"?" * 32) == []


def test_a_million_blobs_take_less_than_80_mb() -> None:
    count = 66_000  # just above a power of two: the worst for the slots
    blobs = [PackedBlob("data", os.urandom(32), 100 * number, 100, 200) for number in range(count)]
    text = encode_index({os.urandom(32): blobs[start : start + 16] for start in range(0, count, 16)})
    columns = list(decode_columns(text))
    index = Index()

    def load() -> None:
        for each in columns:
            index.add_columns(each)

    assert peak_bytes(load) / count < 105  # also while the slots grow
    tracemalloc.start()
    kept = deepcopy(index._tables), deepcopy(index._packs)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept[0]["data"]) == count
    assert [(blob, place.offset) for _, blob, place in index.places()] == [(b.id, b.offset) for b in blobs]
    assert [blob for _, listed in index.blobs_by_pack() for blob in listed] == blobs
    assert used / count < 80


def test_a_blob_with_many_places_costs_no_more_each() -> None:
    index = Index()
    started = time.process_time()
    for _ in range(2):
        index.add_pack(PACK, (PackedBlob("data", BLOB, offset, 100) for offset in range(30_000)))
    # Half a second; comparing each with each would take minutes.
    assert time.process_time() - started < 20
    assert len(index.lookup("data", BLOB)) == 30_000
    assert len(index) == 1


def test_each_blob_is_claimed_by_one_thread_while_packs_are_added_and_read() -> None:
    index, won = Index(), Counter[bytes]()
    ids = [os.urandom(32) for _ in range(4000)]
    start_all = threading.Barrier(4)
    stop = threading.Event()
    wrong: list[object] = []

    def claim() -> None:
        start_all.wait()
        mine = [each for each in ids if index.claim("data", each)]
        won.update(mine)
        for start in range(0, len(mine), 16):
            blobs = [PackedBlob("data", each, 7, 100, 500) for each in mine[start : start + 16]]
            index.add_pack(os.urandom(32), blobs)
            wrong.extend(each for each in mine[start : start + 16] if index.claim("data", each))

    def read() -> None:
        while not stop.is_set():
            for each in ids[::37]:
                places = index.lookup("data", each)
                wrong.extend(place for place in places if place[1:] != (7, 100, 500) or len(places) > 1)
            wrong.extend(place for *_, place in index.places() if place[1:] != (7, 100, 500))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    reader = threading.Thread(target=read)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in (reader, *threads):
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        stop.set()
        reader.join()
        sys.setswitchinterval(interval)
    assert not wrong
    assert won == Counter(ids)
    assert len(index) == len(ids)
