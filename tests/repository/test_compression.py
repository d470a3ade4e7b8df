"""zstd frames: every shape restic writes is read, ours is one that everyone reads, bombs do not go off."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from repository.compression import (
    MAX_WINDOW_BYTES,
    Mode,
    compress_blob,
    decode_unpacked,
    decompress_blob,
    encode_unpacked,
)
from repository.errors import Damaged
from tests.repository.hostile import mutations, peak_bytes, refuses_or_decodes

TEXT = b"the same line again and again\n" * 100
MiB = 1024 * 1024


def frame_without_size(data: bytes, **options: Any) -> bytes:
    """Compress as a stream does, which does not know the length beforehand."""
    parameters = zstandard.ZstdCompressionParameters.from_level(3, write_content_size=False, **options)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def frame_of_2_gib_window(data: bytes) -> bytes:
    """Write a frame by hand: window descriptor 0xa8 (exponent 21) and one raw block."""
    block = (len(data) << 3 | 1).to_bytes(3, "little") + data
    return b"\x28\xb5\x2f\xfd\x00\xa8" + block


@pytest.mark.parametrize("mode", ["auto", "max"])
@pytest.mark.parametrize("data", [TEXT, b"\0" * 8 * MiB, TEXT * 4000], ids=["text", "zeros", "12 MB"])
def test_a_blob_comes_back(mode: Mode, data: bytes) -> None:
    frame = compress_blob(data, mode)
    assert frame is not None
    assert len(frame) < len(data) / 10
    assert decompress_blob(frame, len(data)) == data


@pytest.mark.parametrize("mode", ["auto", "max"])
def test_our_frames_are_of_the_shape_that_everyone_reads(mode: Mode) -> None:
    for size in (1, 255, 256, 1000, 100_000, 600_000, 9 * MiB):
        frame = compress_blob(b"ab" * (size // 2) + b"a" * (size % 2), mode, always=True)
        assert frame is not None
        shape = zstandard.get_frame_parameters(frame)
        assert shape.content_size == size
        assert shape.dict_id == 0
        assert not shape.has_checksum
        assert shape.window_size <= 8 * MiB or shape.window_size == size  # single-segment: just its content


def test_nothing_is_gained_is_stored_as_it_is() -> None:
    noise = os.urandom(3000)
    assert compress_blob(noise, "auto") is None
    assert compress_blob(b"x", "max") is None
    assert compress_blob(TEXT, "off") is None


@pytest.mark.parametrize("mode", ["off", "auto", "max"])
def test_nothing_is_never_compressed(mode: Mode) -> None:
    assert compress_blob(b"", mode, always=True) is None


def test_a_tree_is_compressed_though_it_grows() -> None:
    frame = compress_blob(b'{"nodes":[]}\n', "auto", always=True)
    assert frame is not None
    assert decompress_blob(frame, 13) == b'{"nodes":[]}\n'


def test_it_takes_any_buffer() -> None:
    for form in (bytes, bytearray, memoryview):
        frame = compress_blob(form(TEXT), "auto")
        assert frame is not None
        assert decompress_blob(form(frame), len(TEXT)) == TEXT


@given(st.binary(min_size=1, max_size=3000), st.sampled_from(["auto", "max"]))
def test_any_blob_comes_back(data: bytes, mode: Mode) -> None:
    frame = compress_blob(data, mode, always=True)
    assert frame is not None
    assert decompress_blob(frame, len(data)) == data


@pytest.mark.parametrize("length", [0, 1, len(TEXT) - 1, len(TEXT) + 1, 2**32 - 1])
def test_a_wrong_length_is_damage(length: int) -> None:
    frame = compress_blob(TEXT, "auto")
    assert frame is not None
    for candidate in (frame, frame_without_size(TEXT)):
        with pytest.raises(Damaged):
            decompress_blob(candidate, length)


@pytest.mark.parametrize("size", [3000, 17 * MiB], ids=["one shot", "stream"])
def test_a_frame_cut_off_or_continued_is_damage(size: int) -> None:
    data = (TEXT * 6000)[:size]
    for frame in (frame_without_size(data), zstandard.compress(data)):
        for broken in (frame[:-1], frame[: len(frame) // 2], frame[:5], b"", frame + b"\0", frame + frame):
            with pytest.raises(Damaged):
                decompress_blob(broken, size)
        assert decompress_blob(frame, size) == data


def test_an_unpacked_file_without_size_cut_off_or_continued_is_damage() -> None:
    frame = frame_without_size(os.urandom(2000))
    for broken in (frame[:-1], frame[:300], frame[:5], frame + b"\0", frame + bytes(600), frame + frame):
        with pytest.raises(Damaged):
            decode_unpacked(b"\x02" + broken, 2)


def test_frames_of_all_kinds_that_restic_reads_are_read() -> None:
    for frame in (
        frame_without_size(TEXT),
        frame_without_size(TEXT, write_checksum=True),
        frame_without_size(TEXT, window_log=27),
        zstandard.ZstdCompressor(write_checksum=True).compress(TEXT),
    ):
        assert decompress_blob(frame, len(TEXT)) == TEXT
        assert decode_unpacked(b"\x02" + frame, 2) == TEXT
    assert MAX_WINDOW_BYTES == 2**27


def test_a_window_of_2_gib_is_refused_as_restic_does() -> None:
    frame = frame_of_2_gib_window(b"{}")
    assert zstandard.get_frame_parameters(frame).window_size == 2**31
    for call in (lambda: decompress_blob(frame, 2), lambda: decode_unpacked(b"\x02" + frame, 2)):
        with pytest.raises(Damaged):
            call()


def test_a_wrong_checksum_is_damage() -> None:
    frame = bytearray(zstandard.ZstdCompressor(write_checksum=True).compress(TEXT))
    frame[-1] ^= 1
    with pytest.raises(Damaged):
        decompress_blob(frame, len(TEXT))


@pytest.mark.parametrize("with_size", [True, False])
def test_bombs_stay_small(with_size: bool) -> None:
    zeros = b"\0" * 200 * MiB
    bomb = b"\x02" + (zstandard.compress(zeros) if with_size else frame_without_size(zeros))
    del zeros
    assert len(bomb) < 30_000

    def explode() -> None:
        with pytest.raises(Damaged, match="allowed"):
            decode_unpacked(bomb, 2, max_bytes=20 * MiB)
        with pytest.raises(Damaged):
            decompress_blob(bomb[1:], 20 * MiB)

    assert peak_bytes(explode) < 64 * MiB


def test_unpacked_files_are_bare_in_version_1_and_marked_in_version_2() -> None:
    text = b'{"a":"' + b"x" * 1000 + b'"}'
    assert encode_unpacked(text, 1) == text
    packed = encode_unpacked(text, 2)
    assert packed[0] == 2
    assert len(packed) < 100
    assert decode_unpacked(packed, 2) == text


@pytest.mark.parametrize("text", [b"{}", b"[]"])
def test_bare_json_is_read_in_both_versions(text: bytes) -> None:
    assert decode_unpacked(text, 1) == text
    assert decode_unpacked(text, 2) == text


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x02{}", b"\x01{}", b" {}", b"\xef\xbb\xbf{}"])
def test_other_first_bytes_are_damage(data: bytes) -> None:
    with pytest.raises(Damaged):
        decode_unpacked(data, 2)


def test_a_version_1_reader_does_not_take_the_mark() -> None:
    with pytest.raises(Damaged):
        decode_unpacked(encode_unpacked(b"{}", 2), 1)


@given(mutations(encode_unpacked(json.dumps(list(range(300))).encode(), 2)))
def test_mutated_files_are_damaged_or_decode(data: bytes) -> None:
    refuses_or_decodes(lambda data: decode_unpacked(data, 2, max_bytes=MiB), data)
    refuses_or_decodes(lambda data: decompress_blob(data, MiB), data[1:])


def test_the_mode_for_rows_makes_frames_like_any_other_and_smaller_ones_of_numbers() -> None:
    chance = random.Random(7)
    rows = "".join(f"{number}\t{chance.randrange(10**9)}\t{chance.random()}\n" for number in range(20_000))
    content = rows.encode()
    frame, usual = compress_blob(content, "rows"), compress_blob(content, "auto")
    assert frame is not None
    assert usual is not None
    assert decompress_blob(frame, len(content)) == content
    assert len(frame) < 0.97 * len(usual)


def test_rows_that_are_nearly_alike_are_made_smaller_still() -> None:
    rows = "".join(f"{number}\t{number % 70}\t0\t{' ' * 84}\n" for number in range(30_000)).encode()
    frame, usual = compress_blob(rows, "rows"), compress_blob(rows, "auto")
    assert frame is not None
    assert usual is not None
    assert decompress_blob(frame, len(rows)) == rows
    assert len(frame) < 0.98 * len(usual)
    assert zstandard.get_frame_parameters(frame).window_size <= MAX_WINDOW_BYTES
