"""Repositories: made once, opened by any key, blobs found wherever they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository import keys
from repository.crypto import seal
from repository.errors import (
    BlobNotFound,
    Damaged,
    DamagedKey,
    NoRepository,
    RepositoryExists,
    SnapshotNotFound,
    WrongPassword,
)
from repository.ids import hash_bytes
from repository.indexfile import encode_index
from repository.repository import Repository
from repository.snapshot import Snapshot
from storage_adapters.memory import MemoryAdapter
from storage_adapters.prefixed import PrefixedAdapter
from tests.repository.engine import CHEAP, PASSWORD, new_repo


@pytest.fixture
def storage() -> MemoryAdapter:
    return MemoryAdapter()


@pytest.fixture
def repo(storage: MemoryAdapter) -> Repository:
    return new_repo(storage)


def test_init_writes_a_key_then_the_config(storage: MemoryAdapter, repo: Repository) -> None:
    assert [key.split("/")[0] for key in storage.objects] == ["keys", "config"]
    again = Repository.open(storage, PASSWORD)
    assert (again.id, again.key, again.config) == (repo.id, repo.key, repo.config)
    assert repo.config.version == 2


def test_it_opens_with_a_search_for_the_key_that_was_begun_before(
    storage: MemoryAdapter, repo: Repository
) -> None:
    assert Repository.open(storage, keys.KeySearch(storage, PASSWORD)).key == repo.key
    wrong = keys.KeySearch(storage, "another")
    with pytest.raises(WrongPassword):
        Repository.open(storage, wrong)


def test_a_given_polynomial_is_kept(storage: MemoryAdapter) -> None:
    polynomial = new_repo().config.chunker_polynomial
    repo = Repository.init(storage, PASSWORD, kdf=CHEAP, chunker_polynomial=polynomial)
    assert repo.config.chunker_polynomial == polynomial
    assert repo.id != new_repo().id


@pytest.mark.parametrize("key", ["config", "keys/" + "00" * 32, "snapshots/" + "00" * 32])
def test_init_refuses_what_is_there_already(storage: MemoryAdapter, key: str) -> None:
    storage.put(key, b"")
    with pytest.raises(RepositoryExists):
        new_repo(storage)
    assert storage.objects == {key: b""}


def test_a_repository_lives_below_a_prefix(storage: MemoryAdapter) -> None:
    new_repo(PrefixedAdapter(storage, "repository/"))
    assert all(key.startswith("repository/") for key in storage.objects)
    assert Repository.open(PrefixedAdapter(storage, "repository/"), PASSWORD)


def test_what_is_no_repository_is_told_from_a_wrong_password(storage: MemoryAdapter) -> None:
    with pytest.raises(NoRepository):
        Repository.open(storage, PASSWORD)
    new_repo(storage)
    with pytest.raises(WrongPassword):
        Repository.open(storage, "other")
    del storage.objects[next(key for key in storage.objects if key.startswith("keys/"))]
    with pytest.raises(NoRepository, match="no key file"):
        Repository.open(storage, PASSWORD)
    storage.objects["config"] = b""
    with pytest.raises(Damaged, match="config is empty"):
        Repository.open(storage, PASSWORD)


def test_any_of_several_keys_opens_though_one_is_damaged(storage: MemoryAdapter, repo: Repository) -> None:
    keys.add_key(storage, repo.key, "second", CHEAP)
    storage.put("keys/" + "00" * 32, b"torn")
    for password in (PASSWORD, "second"):
        assert Repository.open(storage, password).key == repo.key
    with pytest.raises(DamagedKey, match="0000"):
        Repository.open(storage, "third")


def test_a_key_of_another_repository_is_not_taken_for_ours(storage: MemoryAdapter, repo: Repository) -> None:
    other = new_repo()
    storage.objects["config"] = seal(other.key, other.config.encode())
    with pytest.raises(Damaged, match="the file config is damaged"):
        Repository.open(storage, PASSWORD)


def test_a_blob_is_durable_after_flush(storage: MemoryAdapter, repo: Repository) -> None:
    saved = repo.save_blob("data", b"content")
    assert saved.id == hash_bytes(b"content")
    assert saved.is_new
    assert saved.stored_bytes == 7 + 32, "too short to compress"
    assert repo.save_blob("data", b"content") == (saved.id, False, 0)
    tree = repo.save_blob("tree", b"content")
    assert (tree.id, tree.is_new) == (saved.id, True)
    repo.flush()
    again = Repository.open(storage, PASSWORD)
    with pytest.raises(BlobNotFound, match="no index"):
        again.load_blob("data", saved.id)
    again.load_index()
    assert again.load_blob("data", saved.id) == again.load_blob("tree", saved.id) == b"content"
    assert again.save_blob("data", b"content").is_new is False


def test_an_index_that_mixes_blobs_up_harms_nothing(storage: MemoryAdapter, repo: Repository) -> None:
    """Every seal is whole; only the id tells."""
    one, two = repo.save_blob("data", b"content one").id, repo.save_blob("data", b"content two").id
    repo.flush()
    (file,) = repo.files.list("index")
    ((pack, blobs),) = repo.load_index_file(file.id).packs
    swapped = [blobs[0]._replace(id=blobs[1].id), blobs[1]._replace(id=blobs[0].id)]
    repo.files.save("index", encode_index({pack: swapped}))
    repo.files.remove("index", file.id)
    repo.load_index()
    for blob in (one, two):
        with pytest.raises(Damaged, match=f"{blob.hex()} cannot be read: pack {pack.hex()}"):
            repo.load_blob("data", blob)


def test_trees_are_compressed_in_every_mode_and_data_when_it_helps(storage: MemoryAdapter) -> None:
    new_repo(storage)
    text, noise = b"text " * 100, hash_bytes(b"") + hash_bytes(b"1")
    off = Repository.open(storage, PASSWORD, compression="off")
    assert off.save_blob("data", text).stored_bytes == 532
    assert off.save_blob("tree", text).stored_bytes < 100
    auto = Repository.open(storage, PASSWORD)
    assert auto.save_blob("data", text).stored_bytes < 100
    assert auto.save_blob("data", noise).stored_bytes == 96
    assert auto.save_blob("tree", noise).stored_bytes > 96, "restic would repack an uncompressed tree"


def test_unflushed_blobs_are_gone_after_stop(storage: MemoryAdapter, repo: Repository) -> None:
    repo.save_blob("data", b"content")
    repo.stop_writing()
    assert repo.save_blob("data", b"content").is_new
    repo.close()
    assert not [key for key in storage.objects if key.startswith("data/")]


def test_a_damaged_index_file_is_named(storage: MemoryAdapter, repo: Repository) -> None:
    repo.save_blob("data", b"content")
    repo.flush()
    key = next(key for key in storage.objects if key.startswith("index/"))
    storage.objects[key] = storage.objects[key][:-1] + b"x"
    with pytest.raises(Damaged, match=key):
        Repository.open(storage, PASSWORD).load_index()


def snapshot(time: str, **fields: object) -> Snapshot:
    return Snapshot(time, bytes(32), ["/srv", "/etc"], **fields)  # type: ignore[arg-type]


@pytest.fixture
def three(repo: Repository) -> list[bytes]:
    return [
        repo.save_snapshot(snapshot("2024-01-02T00:00:00+02:00", hostname="a", tags=["x", "y"])),
        repo.save_snapshot(snapshot("2024-01-01T23:00:00Z", hostname="b", tags=["x"])),
        repo.save_snapshot(snapshot("2023-01-01T00:00:00Z", hostname="a")),
    ]


def test_snapshots_come_oldest_first_by_instant(repo: Repository, three: list[bytes]) -> None:
    assert [found for found, _ in repo.list_snapshots()] == [three[2], three[0], three[1]]


def test_latest_fits_host_paths_and_tags(repo: Repository, three: list[bytes]) -> None:
    assert repo.find_snapshot("latest")[0] == three[1]
    assert repo.find_snapshot("latest", hostname="a")[0] == three[0]
    assert repo.find_snapshot("latest", tags=["x", "y"], paths=["/etc"])[0] == three[0]
    with pytest.raises(SnapshotNotFound):
        repo.find_snapshot("latest", paths=["/home"])


def test_a_prefix_must_mean_one_snapshot(repo: Repository, three: list[bytes]) -> None:
    assert repo.find_snapshot(three[0].hex()[:10])[0] == three[0]
    for wanted in ("", "zz", "0" * 64):
        with pytest.raises(SnapshotNotFound, match="no snapshot"):
            repo.find_snapshot(wanted)
    first = {found.hex()[0] for found in three}
    while len(first) == len(repo.files.list("snapshots")):
        first.add(repo.save_snapshot(snapshot("2020-01-01T00:00:00Z")).hex()[0])
    twice = [found.id.hex()[0] for found in repo.files.list("snapshots")]
    with pytest.raises(SnapshotNotFound, match="several"):
        repo.find_snapshot(next(letter for letter in twice if twice.count(letter) > 1))


def test_a_damaged_snapshot_is_told_and_may_be_passed_over(
    storage: MemoryAdapter, repo: Repository, three: list[bytes]
) -> None:
    key = f"snapshots/{three[1].hex()}"
    storage.objects[key] = b"x" + storage.objects[key][1:]
    with pytest.raises(Damaged, match=key):
        repo.list_snapshots()
    passed: list[bytes] = []
    found = repo.list_snapshots(lambda snapshot_id, error: passed.append(snapshot_id))
    assert ([each for each, _ in found], passed) == ([three[2], three[0]], [three[1]])


def test_names_that_are_no_id_are_ignored(
    storage: MemoryAdapter, repo: Repository, three: list[bytes]
) -> None:
    for kind in ("snapshots", "index", "locks", "keys"):
        storage.put(f"{kind}/{'0' * 64}.part", b"leftover")
    assert len(repo.list_snapshots()) == 3
    repo.load_index()
    assert Repository.open(storage, PASSWORD)


@pytest.mark.parametrize(("key", "password"), [("key1", "test"), ("key2", "test2")])
def test_keys_of_rustic_open(fixtures_dir: Path, storage: MemoryAdapter, key: str, password: str) -> None:
    folder = fixtures_dir / "rustic-keys"
    storage.put("config", (folder / "config").read_bytes())
    for name in ("key1", "key2", "key-failing"):
        data = (folder / name).read_bytes()
        storage.put(f"keys/{hash_bytes(data).hex()}", data)
    assert Repository.open(storage, password).config.version == 2
