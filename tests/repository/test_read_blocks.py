"""Blocks that are read into: used again, but never while somebody sees their content."""

from __future__ import annotations

from repository.read_blocks import ReadBlocks


def test_a_block_is_used_again_when_its_last_view_is_gone() -> None:
    blocks = ReadBlocks(100)
    first = blocks.take()
    view = memoryview(first)[10:20]
    second = blocks.take()
    assert second is not first
    part = view[2:3]
    view.release()
    kept = memoryview(second)
    third = blocks.take()
    assert third is not first
    assert third is not second
    del third
    part.release()
    assert blocks.take() is first
    assert (len(first), len(kept)) == (100, 100)


def test_what_is_seen_is_not_altered_by_looking_for_a_free_block() -> None:
    blocks = ReadBlocks(4)
    block = blocks.take()
    block[:] = b"abcd"
    view = memoryview(block)
    blocks.take()
    assert bytes(view) == b"abcd"


def test_only_one_block_is_kept_when_asked_and_what_is_seen_stays() -> None:
    blocks = ReadBlocks(4)
    views = [memoryview(blocks.take()) for _ in range(3)]
    for number, view in enumerate(views):
        view[:] = b"%d" % number * 4
    blocks.keep_one()
    assert [bytes(view) for view in views] == [b"0000", b"1111", b"2222"]
    first = views[0].obj
    del views, view
    assert blocks.take() is first
