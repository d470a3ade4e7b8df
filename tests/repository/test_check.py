"""Check: every fault is found and named, and nothing that is whole is called damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from repository.browse import find_node
from repository.check import CheckResult, check
from repository.errors import Damaged
from repository.files import pack_key
from repository.gotext import UTC_ZONE, format_time
from repository.indexfile import encode_index
from repository.packfile import PackedBlob
from repository.progress import Progress
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import TREE_END, TREE_START, Node, encode_node, go_mode
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, Restic, each_file, latest, make_backup, new_local_repo, new_repo


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> MemoryAdapter:
    """A small repository: two snapshots of `/tree`, with a data and a tree pack each. Not to be changed."""
    top = tmp_path_factory.mktemp("check")
    (top / "tree" / "sub").mkdir(parents=True)
    (top / "tree" / "one").write_bytes(os.urandom(5000))
    (top / "tree" / "sub" / "two").write_bytes(b"text " * 1000)
    storage = MemoryAdapter()
    repo = new_repo(storage)
    make_backup(repo, "tree", cwd=top)
    (top / "tree" / "three").write_bytes(os.urandom(3000))
    make_backup(repo, "tree", cwd=top)
    return storage


@pytest.fixture
def copy(storage: MemoryAdapter) -> MemoryAdapter:
    copy = MemoryAdapter()
    copy.objects = dict(storage.objects)
    return copy


@pytest.fixture
def repo(copy: MemoryAdapter) -> Repository:
    return Repository.open(copy, PASSWORD)


def run(storage: MemoryAdapter, *, read_data: bool = True) -> CheckResult:
    return check(Repository.open(storage, PASSWORD), read_data=read_data)


def short_ids(repo: Repository) -> list[str]:
    return [snapshot_id.hex() for snapshot_id, _ in repo.list_snapshots()]


def test_a_whole_repository_is_clean(copy: MemoryAdapter) -> None:
    result = run(copy)
    assert result.ok
    assert (result.errors, result.hints, result.affected) == ([], [], [])
    assert (result.snapshots, result.packs, result.packs_read, result.trees) == (2, 4, 4, 5)
    assert run(copy, read_data=False).packs_read == 0


def flip(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a bit in the middle": lambda data: flip(data, len(data) // 2),
    "a bit at the start": lambda data: flip(data, 0),
    "a bit at the end": lambda data: flip(data, len(data) - 1),
    "cut off": lambda data: data[:-10],
    "longer": lambda data: data + b"\0",
    "empty": lambda data: b"",
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_damaged_file_is_found_and_named(
    storage: MemoryAdapter, change: Callable[[bytes], bytes]
) -> None:
    kinds = set()
    for key, damaged in each_file(storage, change):
        kinds.add(key.split("/")[0])
        name = key.rpartition("/")[2]
        try:
            errors = run(damaged).errors
        except Damaged as error:
            errors = [str(error)]
            assert key == "config" or key.startswith("keys/")
        assert any(name in error for error in errors), (key, errors)
    assert kinds == {"config", "keys", "index", "snapshots", "data"}


def test_damage_is_said_of_the_snapshots_and_files_it_hits(copy: MemoryAdapter, repo: Repository) -> None:
    repo.load_index()
    first, second = short_ids(repo)
    node = find_node(repo, latest(repo), b"/tree/three")
    assert node.content
    place = repo.index.lookup("data", node.content[0])[0]
    key = pack_key(place.pack)
    data = bytearray(copy.objects[key])
    data[place.offset + place.length // 2] ^= 1
    copy.objects[key] = bytes(data)
    result = run(copy)
    assert result.affected == [(second, b"/tree/three")]
    assert any(
        place.pack.hex() in error and "content does not fit its name" in error for error in result.errors
    )
    assert any(node.content[0].hex() in error for error in result.errors)
    assert run(copy, read_data=False).ok, "only a full read can see it"
    assert first != second


def test_a_missing_pack_is_said_of_what_it_hits(copy: MemoryAdapter, repo: Repository) -> None:
    repo.load_index()
    node = find_node(repo, latest(repo), b"/tree/one")
    assert node.content
    pack = repo.index.lookup("data", node.content[0])[0].pack
    copy.delete(pack_key(pack))
    result = run(copy, read_data=False)
    assert result.errors == [f"pack {pack.hex()} is missing"]
    assert result.affected == [
        (each, path) for each in short_ids(repo) for path in (b"/tree/one", b"/tree/sub/two")
    ]


def test_a_lost_tree_is_said_of_its_folder(copy: MemoryAdapter, repo: Repository) -> None:
    repo.load_index()
    node = find_node(repo, latest(repo), b"/tree/sub")
    assert node.subtree
    _forget_blob(repo, node.subtree)
    result = run(copy)
    assert result.affected == [(each, b"/tree/sub") for each in short_ids(repo)]
    assert any("folder b'/tree/sub'" in error for error in result.errors)


def _forget_blob(repo: Repository, blob: bytes) -> None:
    """Write the index anew, without one blob."""
    files = repo.files.list("index")
    packs = [pack for file in files for pack in repo.load_index_file(file.id).packs]
    kept = {pack: [each for each in blobs if each.id != blob] for pack, blobs in packs}
    repo.files.save("index", encode_index(kept))
    for file in files:
        repo.files.remove("index", file.id)


def test_leftovers_are_hints(copy: MemoryAdapter, repo: Repository) -> None:
    before = set(repo.files.list("index"))
    repo.load_index()
    repo.save_blob("data", b"in no index")
    repo.flush()
    (newest,) = set(repo.files.list("index")) - before
    repo.files.remove("index", newest.id)
    copy.put("data/00/leftover", b"x")
    result = run(copy)
    assert result.ok
    assert len(result.hints) == 1
    assert "left by an interrupted backup" in result.hints[0]


def test_a_pack_in_two_index_files_is_a_hint_but_a_part_of_it_an_error(
    copy: MemoryAdapter, repo: Repository
) -> None:
    (pack, blobs), *_ = repo.load_index_file(repo.files.list("index")[0].id).packs
    repo.files.save("index", encode_index({pack: blobs, bytes(32): _dummy()}))
    copy.put(pack_key(bytes(32)), b"")
    result = run(copy, read_data=False)
    assert any(f"pack {pack.hex()} stands in several index files" in hint for hint in result.hints)
    assert [error for error in result.errors if pack.hex() in error] == []
    assert any(bytes(32).hex() in error and "index says" in error for error in result.errors)


def _dummy() -> list[PackedBlob]:
    return [PackedBlob("data", bytes(32), 0, 100, None)]


def test_an_index_that_lies_about_a_length_is_found(copy: MemoryAdapter, repo: Repository) -> None:
    """restic computes offsets in files from it: contents would be shifted."""
    (file, *_) = repo.files.list("index")
    packs = dict(repo.load_index_file(file.id).packs)
    pack, blobs = next((pack, blobs) for pack, blobs in packs.items() if blobs[-1].uncompressed_length)
    length = blobs[-1].uncompressed_length
    assert length
    packs[pack] = [*blobs[:-1], blobs[-1]._replace(uncompressed_length=length + 1)]
    repo.files.save("index", encode_index(packs))
    repo.files.remove("index", file.id)
    assert any("what its header says" in error and pack.hex() in error for error in run(copy).errors)


def hand_made(repo: Repository, *nodes: Node) -> None:
    data = TREE_START + b",".join(map(encode_node, nodes)) + TREE_END
    tree = repo.save_blob("tree", data).id
    repo.flush()
    repo.save_snapshot(Snapshot(format_time(0, UTC_ZONE), tree, ["/"]))


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (Node(b"x", "irregular"), "unknown type"),
        (Node(b"..", "fifo"), "no file can have this name"),
        (Node(b"x", "dir", go_mode("dir", 0o755)), "the folder has no content"),
        (Node(b"x", "file"), "the file has no content"),
        (Node(b"x", "file", content=[bytes(32)]), "is in no index file"),
        (Node(b"x", "file", size=3, content=[]), "its size is 3, but its content has 0 bytes"),
    ],
)
def test_impossible_nodes_are_errors(copy: MemoryAdapter, repo: Repository, node: Node, said: str) -> None:
    repo.load_index()
    hand_made(repo, node)
    errors = run(copy, read_data=False).errors
    assert len(errors) == 1
    assert said in errors[0]
    assert repr(b"/" + node.name) in errors[0]


def test_an_unreadable_lock_is_an_error_and_an_empty_one_a_hint(copy: MemoryAdapter) -> None:
    copy.put("locks/" + "22" * 32, b"")
    assert run(copy, read_data=False).ok
    copy.put("locks/" + "33" * 32, b"torn")
    assert "the lock 3333" in run(copy, read_data=False).errors[0]


def test_progress_counts_the_packs(repo: Repository) -> None:
    seen: list[Progress] = []
    check(repo, read_data=True, progress=seen.append)
    assert (seen[-1].files_done, seen[-1].files_total) == (4, 4)
    assert seen[-1].bytes_done == seen[-1].bytes_total != 0


def test_restic_agrees_that_a_damaged_repository_is_damaged(restic: str, tmp_path: Path) -> None:
    """The same flipped byte: both say no, and both say yes before."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(os.urandom(10_000))
    repo = new_local_repo(tmp_path / "repo")
    make_backup(repo, tmp_path / "tree")
    theirs = Restic(restic, tmp_path / "repo")
    theirs.check()
    assert check(repo, read_data=True).ok
    pack = max((tmp_path / "repo" / "data").glob("??/*"), key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[500] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    assert theirs.run("check", "--read-data", check=False).returncode == 1
    result = check(repo, read_data=True)
    assert [path for _, path in result.affected] == [os.fsencode(tmp_path / "tree" / "file")]
