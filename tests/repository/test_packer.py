"""Packs: what is written is parsed back, and dead packs never pass."""

from __future__ import annotations

import pytest

from repository.bloblist import BlobList
from repository.crypto import new_master_key, seal
from repository.errors import Damaged
from repository.ids import hash_bytes
from repository.packer import Packer, read_header
from repository.packfile import encode_header

KEY = new_master_key()


def filled(count: int = 3) -> Packer:
    pack = Packer("data", target_bytes=1000)
    for number in range(count):
        pack.add(hash_bytes(b"%d" % number), seal(KEY, b"x" * 300), None if number % 2 else 900)
    return pack


def test_a_finished_pack_is_named_by_its_content_and_reads_back() -> None:
    pack = filled().finish(KEY)
    assert pack.id == hash_bytes(pack.data)
    assert read_header(KEY, bytes(pack.data)) == list(pack.blobs)
    assert [blob.offset for blob in pack.blobs] == [0, 332, 664]


def test_a_pack_is_full_once_it_reaches_its_target() -> None:
    assert Packer("tree").empty
    assert not filled(3).full
    assert filled(4).full


def test_a_header_that_does_not_say_what_was_added_is_never_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    one = filled(1).finish(KEY).blobs
    monkeypatch.setattr(BlobList, "encode", lambda blobs: encode_header(list(one)))
    with pytest.raises(Damaged):
        filled().finish(KEY)


@pytest.mark.parametrize("at", [0, 20, 331, 332, 995])  # iv, content and tag of the first and last
def test_a_bit_that_flips_while_a_pack_fills_keeps_it_from_being_stored(at: int) -> None:
    pack = filled()
    assert pack._buffer is not None
    pack._buffer._map[at] ^= 1
    with pytest.raises(Damaged, match="memory"):
        pack.finish(KEY)


@pytest.mark.parametrize("cut", [1, 40, 200])
def test_a_pack_with_a_byte_too_many_or_too_few_is_damaged(cut: int) -> None:
    data = bytes(filled().finish(KEY).data)
    for changed in (data[cut:], data[:-cut], data[:100] + b"\0" * cut + data[100:], b""):
        with pytest.raises(Damaged):
            read_header(KEY, changed)
