"""Loading all index files."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from repository import indexload
from repository.errors import Damaged
from repository.files import LOADERS, StoredFile
from repository.indexfile import encode_index
from repository.packfile import BlobType, PackedBlob
from tests.repository.engine import new_local_repo, new_repo, open_local


def make_packs(seed: int, count: int) -> dict[bytes, list[PackedBlob]]:
    chance = random.Random(seed)
    return {chance.randbytes(32): list(make_blobs(chance)) for _ in range(count)}


def make_blobs(chance: random.Random) -> Iterator[PackedBlob]:
    kind: BlobType = "tree" if chance.random() < 0.2 else "data"
    for number in range(chance.randrange(1, 6)):
        yield PackedBlob(kind, chance.randbytes(32), number * 100, 100, chance.choice([None, 300]))


def test_all_files_are_loaded_and_nothing_else_is_in_the_index(tmp_path: Path) -> None:
    # More packs a file than are decoded at a time; files of very different sizes.
    files = [make_packs(seed, count) for seed, count in enumerate((1, 1500, 3, 600))]
    repo = new_local_repo(tmp_path / "repo")
    for packs in files:
        repo.files.save("index", encode_index(packs))
    again = open_local(tmp_path / "repo")
    again.load_index()
    loaded = {pack: blobs for packs in files for pack, blobs in packs.items()}
    assert dict(again.index.blobs_by_pack()) == loaded
    assert len(again.index) == sum(map(len, loaded.values()))


def test_a_file_that_is_listed_and_gone_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    repo = new_repo()
    for seed in range(3):
        repo.files.save("index", encode_index(make_packs(seed, 2)))
    listed = repo.files.list("index")
    repo.files.remove("index", listed[0].id)
    monkeypatch.setattr(type(repo.files), "list", lambda *_: listed)  # as it was before the prune
    repo.load_index()
    assert sum(1 for _ in repo.index.pack_totals()) == 4


@pytest.mark.parametrize("text", [b'{"packs":[{"id":"xx"}]}', b'{"packs":[', b'{"packs":{}}'])
def test_a_damaged_file_is_named_and_the_index_stays(text: bytes) -> None:
    repo = new_repo()
    repo.files.save("index", encode_index(make_packs(1, 2)))
    repo.load_index()
    before = repo.index
    damaged = repo.files.save("index", text)
    with pytest.raises(Damaged, match=f"index/{damaged.id.hex()}"):
        repo.load_index()
    with pytest.raises(Damaged, match=f"index/{damaged.id.hex()}"):
        repo.load_index_file(damaged.id)
    assert repo.index is before


def test_a_file_that_says_much_in_few_bytes_does_not_reserve_room_for_others_like_it() -> None:
    dense = encode_index({b"p" * 32: [PackedBlob("data", b"b" * 32, 0, 100)] * 100_000})
    other = encode_index({os.urandom(32): [] for _ in range(5000)})
    repo = new_repo()
    repo.files.save("index", other)
    while (first := repo.files.save("index", dense)).id != repo.files.list("index")[0].id:
        repo.files.remove("index", first.id)
    repo.load_index()
    assert len(repo.index.lookup("data", b"b" * 32)) == 1
    assert len(repo.index._tables["data"]._slots) == 2**18


def test_what_is_loaded_ahead_is_limited_in_number_and_in_bytes() -> None:
    sizes = [10] * 40 + [indexload._AHEAD_BYTES // 2] * 6 + [indexload._AHEAD_BYTES * 2] * 2 + [10] * 3
    files = [StoredFile(number.to_bytes(32, "big"), size) for number, size in enumerate(sizes)]
    ahead: list[StoredFile] = []
    most_files = most_bytes = 0

    def load(file: StoredFile) -> bytes:
        time.sleep(0.0005)
        return file.id

    def listing() -> Iterator[StoredFile]:
        nonlocal most_files, most_bytes
        for file in files:
            yield file
            ahead.append(file)  # asked for the next one: this one was handed to a thread
            most_files = max(most_files, len(ahead))
            if len(ahead) > 1:
                most_bytes = max(most_bytes, sum(each.size_bytes for each in ahead))

    with ThreadPoolExecutor(LOADERS) as pool:
        for number, (file, text) in enumerate(indexload._in_turn(pool, load, listing())):
            assert (file, text) == (files[number], file.id)
            ahead.remove(file)
    assert number == len(files) - 1
    assert 1 < most_files <= LOADERS
    assert most_bytes <= indexload._AHEAD_BYTES
