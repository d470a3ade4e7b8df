"""Looking into snapshots: folders, files, archives that are cut off visibly when something is damaged."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository.browse import find_node, list_dir, read_file, stream_tar, stream_zip, walk
from repository.errors import BlobNotFound, Damaged, PathNotFound
from repository.gotext import UTC_ZONE, format_time
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import TREE_END, TREE_START, Node, encode_node
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import PASSWORD, differences, latest, make_backup, new_repo
from tests.repository.nasty import make_nasty_tree


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    top = tmp_path_factory.mktemp("browse")
    make_nasty_tree(top / "tree", raw_links=True)
    return top


@pytest.fixture(scope="module")
def objects(top: Path) -> dict[str, bytes]:
    storage = MemoryAdapter()
    make_backup(new_repo(storage), "tree", cwd=top)
    return storage.objects


@pytest.fixture
def storage(objects: dict[str, bytes]) -> MemoryAdapter:
    storage = MemoryAdapter()
    storage.objects = dict(objects)
    return storage


@pytest.fixture
def repo(storage: MemoryAdapter) -> Repository:
    repo = Repository.open(storage, PASSWORD)
    repo.load_index()
    return repo


@pytest.fixture
def snapshot(repo: Repository) -> Snapshot:
    return latest(repo)


def test_folders_are_listed_by_raw_name(repo: Repository, snapshot: Snapshot, top: Path) -> None:
    assert [node.name for node in list_dir(repo, snapshot)] == [b"tree"]
    names = [node.name for node in list_dir(repo, snapshot, b"/tree/names \xe9/")]
    assert names == sorted(os.listdir(os.fsencode(top / "tree" / "names \udce9")))


def test_paths_lead_to_nodes_or_say_what_is_wrong(repo: Repository, snapshot: Snapshot) -> None:
    assert find_node(repo, snapshot, b"/tree/small").size == 5
    assert find_node(repo, snapshot, b"//tree/./names \xe9//deep/deep").type == "dir"
    assert find_node(repo, snapshot, b"/").subtree == snapshot.tree
    for path in (b"/none", b"/tree/small/below", b"/tree/names"):
        with pytest.raises(PathNotFound):
            find_node(repo, snapshot, path)
    with pytest.raises(PathNotFound):
        list_dir(repo, snapshot, b"/tree/small")
    with pytest.raises(PathNotFound):
        next(read_file(repo, find_node(repo, snapshot, b"/tree/link")))


def test_walk_names_everything_once(repo: Repository, snapshot: Snapshot, top: Path) -> None:
    found = [path for path, _ in walk(repo, find_node(repo, snapshot, b"/tree"))]
    expected = []
    for folder, folders, files in os.walk(os.fsencode(top / "tree")):
        expected += [os.path.join(folder, name) for name in folders + files]
    prefix = len(os.fsencode(top / "tree"))
    assert sorted(found) == sorted(path[prefix:] for path in expected)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("name", ["empty", "small", "large", "sparse", "text", "names \udce9/large too"])
def test_files_are_read_whole(repo: Repository, snapshot: Snapshot, top: Path, name: str) -> None:
    node = find_node(repo, snapshot, b"/tree/" + os.fsencode(name))
    assert b"".join(read_file(repo, node)) == (top / "tree" / name).read_bytes()


def test_a_tar_holds_everything(repo: Repository, snapshot: Snapshot, top: Path, tmp_path: Path) -> None:
    archive = tmp_path / "tree.tar"
    with archive.open("wb") as file:
        file.writelines(stream_tar(repo, snapshot, b"/tree"))
    command = ["tar", "-x", "--xattrs", "--xattrs-include=*", "--acls", "-pf", archive, "-C", tmp_path]
    if os.geteuid() == 0:
        command.insert(2, "--same-owner")
    subprocess.run(command, check=True)
    assert differences(top / "tree", tmp_path / "tree") == ""


def names_in_tar(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return archive.getnames()


def test_archives_of_one_file_and_of_the_root(repo: Repository, snapshot: Snapshot) -> None:
    assert names_in_tar(b"".join(stream_tar(repo, snapshot, b"/tree/small"))) == ["small"]
    assert names_in_tar(b"".join(stream_tar(repo, snapshot)))[0] == "tree"
    archive = zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(repo, snapshot, b"/tree/small"))))
    assert archive.read("small") == b"small"
    for stream in (stream_tar, stream_zip):
        with pytest.raises(PathNotFound):
            b"".join(stream(repo, snapshot, b"/none"))


def test_a_zip_holds_files_folders_and_links(repo: Repository, snapshot: Snapshot, top: Path) -> None:
    archive = zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(repo, snapshot, b"/tree"))))
    assert archive.testzip() is None
    for name in ("large", "text", "sparse", "empty", "same"):
        assert archive.read(f"tree/{name}") == (top / "tree" / name).read_bytes()
    assert archive.read("tree/link") == b"large"
    assert archive.getinfo("tree/link").external_attr >> 28 == 0o12
    assert archive.getinfo("tree/empty folder/").is_dir()
    names = archive.namelist()
    assert len(names) == len(set(names))
    assert "tree/fifo" not in names


def break_blob_of(repo: Repository, storage: MemoryAdapter, path: bytes, number: int) -> None:
    node = find_node(repo, latest(repo), path)
    place = repo.index.lookup("data", (node.content or [])[number])[0]
    key = f"data/{place.pack.hex()[:2]}/{place.pack.hex()}"
    data = bytearray(storage.objects[key])
    data[place.offset + 20] ^= 1
    storage.objects[key] = bytes(data)


def consume(stream: Iterator[bytes]) -> bytes:
    """Return what came before the error."""
    got: list[bytes] = []
    with pytest.raises(Damaged):
        got.extend(stream)
    return b"".join(got)


def test_a_damaged_file_ends_with_an_error_not_short(
    repo: Repository, storage: MemoryAdapter, snapshot: Snapshot, top: Path
) -> None:
    break_blob_of(repo, storage, b"/tree/large", 1)
    got = consume(read_file(repo, find_node(repo, snapshot, b"/tree/large")))
    whole = (top / "tree" / "large").read_bytes()
    assert 0 < len(got) < len(whole)
    assert whole.startswith(got)


def test_archives_with_a_damaged_file_are_cut_off(
    repo: Repository, storage: MemoryAdapter, snapshot: Snapshot
) -> None:
    break_blob_of(repo, storage, b"/tree/large", 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(tarfile.ReadError):
            names_in_tar(consume(stream_tar(repo, snapshot, b"/tree")))
        with pytest.raises(zipfile.BadZipFile):
            zipfile.ZipFile(io.BytesIO(consume(stream_zip(repo, snapshot, b"/tree"))))


def test_a_length_that_is_not_the_snapshots_is_an_error(repo: Repository, snapshot: Snapshot) -> None:
    node = find_node(repo, snapshot, b"/tree/small")
    node.size += 1
    assert consume(read_file(repo, node)) == b"small"


def test_a_reader_that_goes_away_leaves_no_thread(repo: Repository, snapshot: Snapshot) -> None:
    before = set(threading.enumerate())
    for stream in (stream_tar(repo, snapshot, b"/tree"), stream_zip(repo, snapshot, b"/tree")):
        next(stream)
        stream.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("name", [b"..", b"a/b", b"/abs"])
def test_names_that_lead_out_of_an_archive_are_refused(repo: Repository, name: bytes) -> None:
    data = TREE_START + encode_node(Node(name, "fifo")) + TREE_END
    tree = repo.save_blob("tree", data).id
    repo.flush()
    hostile = Snapshot(format_time(0, UTC_ZONE), tree, ["/"])
    for stream in (stream_tar, stream_zip):
        with pytest.raises(Damaged, match="which no file can have"):
            b"".join(stream(repo, hostile))


def test_a_tree_that_a_prune_has_moved_is_found_in_the_new_index(
    repo: Repository, storage: MemoryAdapter, snapshot: Snapshot
) -> None:
    """Browsing holds no lock."""
    pruning = Repository.open(storage, PASSWORD)
    for each in walk_trees(repo, snapshot.tree):
        pruning.save_blob("tree", repo.load_blob("tree", each))
    pruning.flush()
    for pack in {repo.index.lookup("tree", each)[0].pack.hex() for each in walk_trees(repo, snapshot.tree)}:
        storage.delete(f"data/{pack[:2]}/{pack}")
    with pytest.raises(BlobNotFound):
        repo.load_blob("tree", snapshot.tree)
    assert find_node(repo, snapshot, b"/tree/small").size == 5


def walk_trees(repo: Repository, root: bytes) -> list[bytes]:
    nodes = walk(repo, Node(b"", "dir", subtree=root))
    return [root, *(node.subtree for _, node in nodes if node.subtree)]
