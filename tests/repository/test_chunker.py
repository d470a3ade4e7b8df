"""The chunker: cuts that never change, whatever the reads."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterator

import pyfastcdc
import pytest

from repository.chunker import CHUNK_SIZES, Chunk, Chunker, cut_seed
from repository.errors import RepositoryError

POLYNOMIAL = "3DA3358B4DC173".lower()
OTHER = "2a41b6f1c3f8d5"


def sample(size: int) -> bytes:
    """Return bytes that do not depend on Python's random: SHA-256 in counter mode."""
    blocks = (hashlib.sha256(b"%d" % number).digest() for number in range(size // 32 + 1))
    return b"".join(blocks)[:size]


SAMPLE = sample(12 * 2**20)


GOLDEN = [1170173, 1069980, 1050526, 1143959, 1407575, 1204334, 1160472, 1343850, 1671497, 1360546]
GOLDEN_OTHER = [1054679, 1345760, 1252473, 1080904, 1429580, 1352640, 1084476, 1537118, 1094248, 1351034]


def reader(data: bytes, sizes: Callable[[], int]) -> Callable[[memoryview], int]:
    stream = io.BytesIO(data)

    def readinto(buffer: memoryview) -> int:
        return stream.readinto(buffer[: max(1, sizes())])

    return readinto


def cut(data: bytes, polynomial: str = POLYNOMIAL, sizes: Callable[[], int] = lambda: 2**30) -> list[bytes]:
    return list(map(bytes, Chunker(polynomial).cut(reader(data, sizes))))


def test_golden_cuts() -> None:
    """If this fails, the library cuts differently from before: every large file would be stored anew."""
    assert [len(chunk) for chunk in cut(SAMPLE)] == GOLDEN
    assert [len(chunk) for chunk in cut(SAMPLE, OTHER)] == GOLDEN_OTHER


def test_golden_cuts_of_data_that_repeats() -> None:
    assert [len(chunk) for chunk in cut(bytes(20 * 2**20))] == [8 * 2**20, 8 * 2**20, 4 * 2**20]


def test_seed_rule() -> None:
    expected = int.from_bytes(hashlib.sha256(POLYNOMIAL.encode()).digest()[:8], "little") & ~(1 << 63)
    assert cut_seed(POLYNOMIAL) == expected
    assert all(0 < cut_seed(f"{number:x}") < 2**63 for number in range(1000))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_cuts_do_not_depend_on_the_reads(seed: int) -> None:
    numbers = random.Random(seed)
    assert cut(SAMPLE, sizes=lambda: numbers.randrange(1, 700_000)) == cut(SAMPLE)
    assert cut(SAMPLE, sizes=lambda: 65_521) == cut(SAMPLE)


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK_SIZES.minimum - 1, CHUNK_SIZES.minimum, CHUNK_SIZES.minimum + 1, 2_000_001]
)
def test_chunks_join_to_the_whole(size: int) -> None:
    chunks = cut(SAMPLE[:size])
    assert b"".join(chunks) == SAMPLE[:size]
    assert all(chunks)
    if size <= CHUNK_SIZES.minimum:
        assert len(chunks) == (1 if size else 0)
    assert all(CHUNK_SIZES.minimum <= len(chunk) <= CHUNK_SIZES.maximum for chunk in chunks[:-1])


def test_an_insertion_changes_only_chunks_near_it() -> None:
    changed = SAMPLE[:5_000_000] + b"inserted" + SAMPLE[5_000_000:]
    assert len(set(cut(changed)) - set(cut(SAMPLE))) <= 2


def test_two_files_may_be_cut_side_by_side() -> None:
    chunker = Chunker(POLYNOMIAL)
    one: Iterator[Chunk] = chunker.cut(reader(SAMPLE, lambda: 2**30))
    first = next(one)
    assert list(chunker.cut(reader(b"another file", lambda: 5))) == [b"another file"]
    assert [first, *one] == cut(SAMPLE)


def test_two_large_files_may_be_cut_side_by_side() -> None:
    chunker, data = Chunker(POLYNOMIAL), SAMPLE * 3
    pairs = zip(
        chunker.cut(reader(data, lambda: 2**30)), chunker.cut(reader(data, lambda: 70_000)), strict=True
    )
    kept = [(one, other) for one, other in pairs]
    assert [bytes(one) for one, _ in kept] == [bytes(other) for _, other in kept] == cut(data)


def test_cuts_are_those_of_the_library_over_the_whole() -> None:
    """Blocks and comparisons are only there for speed: borders of blocks and repeats change no cut."""
    zeros, most = bytes(20 * 2**20 + 1), CHUNK_SIZES.maximum
    data = zeros + SAMPLE + zeros[: most + 5] + SAMPLE[1:] + b"x" * (2 * most) + zeros + SAMPLE[:777_777]
    cutter = pyfastcdc.FastCDC(
        CHUNK_SIZES.average,
        min_size=CHUNK_SIZES.minimum,
        max_size=most,
        normalized_chunking=CHUNK_SIZES.normalization,
        seed=cut_seed(POLYNOMIAL),
    )
    assert [len(chunk) for chunk in cut(data)] == [chunk.length for chunk in cutter.cut_buf(data)]
    assert b"".join(cut(data)) == data


def test_chunks_of_a_large_file_keep_their_content_while_it_is_read_on() -> None:
    data = sample(40 * 2**20)
    chunks = list(Chunker(POLYNOMIAL).cut(reader(data, lambda: 2**30)))
    assert b"".join(chunks) == data


def test_a_longest_chunk_that_repeats_is_the_same_object() -> None:
    chunks = list(Chunker(POLYNOMIAL).cut(reader(bytes(40 * 2**20), lambda: 2**30)))
    assert len(chunks) == 5
    assert all(chunk is chunks[0] for chunk in chunks)


def test_the_slow_fallback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from pyfastcdc.py import FastCDC

    monkeypatch.setattr(pyfastcdc, "FastCDC", FastCDC)
    with pytest.raises(RepositoryError, match="200 times slower"):
        Chunker(POLYNOMIAL)
