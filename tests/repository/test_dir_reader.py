"""Directories read in one go: the trees are those of listing and reading file by file."""

from __future__ import annotations

import os
from datetime import UTC
from pathlib import Path

import pytest

from repository import dir_reader
from repository.chunker import Chunker
from repository.content_reader import ContentReader
from repository.dir_reader import DirReader
from repository.entries import Entry, Problem
from repository.gotext import LocalZone
from repository.ids import hash_bytes
from repository.read_results import ReadDir
from repository.tree import EncodedNodes, encode_tree, node_from_entry
from repository.tree_decode import decode_tree
from sources.local import LocalSource
from tests.repository import meddling

ZONE = LocalZone(UTC)


class Chunk:
    def __init__(self, data: bytes) -> None:
        self.id = hash_bytes(data)


def read(source: LocalSource, path: Path) -> tuple[ReadDir | Problem, list[bytes]]:
    content = ContentReader(source, Chunker("3DA3358B4DC173"), Chunk, lambda path, count: None)
    found, chunks = DirReader(source, content, ZONE).read(os.fsencode(path))
    source.close()
    return found, [chunk.id for chunk in chunks]


def read_dir(source: LocalSource, path: Path) -> ReadDir:
    found = read(source, path)[0]
    assert isinstance(found, ReadDir)
    return found


@pytest.fixture
def top(tmp_path: Path) -> Path:
    folder = tmp_path / "top"
    folder.mkdir()
    for name in "abdf":
        (folder / name).write_bytes(name.encode() * 10)
    (folder / "c").mkdir()
    (folder / "e").symlink_to("a")
    return folder


def test_what_is_complete_is_encoded_and_the_folders_stand_between(top: Path) -> None:
    source = LocalSource([os.fsencode(top)])
    listing = source.list_dir(os.fsencode(top))
    found, chunks = read(source, top)
    assert isinstance(found, ReadDir)
    first, folder, rest = found.items
    assert isinstance(first, EncodedNodes)
    assert isinstance(rest, EncodedNodes)
    assert (first.first, first.last, first.files, first.size_bytes, first.others) == (b"a", b"b", 2, 20, 0)
    assert (rest.first, rest.last, rest.files, rest.size_bytes, rest.others) == (b"d", b"f", 2, 20, 1)
    assert Entry(*folder) == listing.entries[2]
    assert (found.problems, found.failed, found.links) == ([], 0, 1)
    assert (found.fingerprint, found.newest_ns) == (listing.fingerprint, listing.newest_ns)
    assert sorted(chunks) == sorted(hash_bytes(name.encode() * 10) for name in "abdf")


def test_its_nodes_are_those_made_one_by_one(top: Path) -> None:
    os.setxattr(top / "a", "user.color", b"red")
    (top / "b").chmod(0o4755)
    (top / "d").write_bytes(b"")
    (top / "c").rmdir()
    source = LocalSource([os.fsencode(top)])
    nodes = [node_from_entry(entry, ZONE) for entry in source.list_dir(os.fsencode(top)).entries]
    for node in nodes:
        data = (top / os.fsdecode(node.name)).read_bytes()
        if node.type == "file":
            node.content = [hash_bytes(data)] if data else []
    (encoded,) = read_dir(source, top).items
    assert isinstance(encoded, EncodedNodes)
    assert encode_tree([encoded]) == encode_tree(nodes)
    assert [node.name for node in decode_tree(encode_tree([encoded]))] == [b"a", b"b", b"d", b"e", b"f"]


def test_large_files_and_files_of_several_names_are_left_to_the_parent(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dir_reader, "LARGE_BYTES", 10)
    (top / "a").write_bytes(bytes(700_000))
    (top / "b").write_bytes(bytes(11))
    os.link(top / "d", top / "z")
    left = [
        Entry(*item).name for item in read_dir(LocalSource([os.fsencode(top)]), top).items if len(item) > 6
    ]
    assert left == [b"a", b"c", b"d", b"z"]


def test_of_many_files_some_are_left_to_be_dealt_out(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dir_reader, "MOST_FILES", 2)
    found = read_dir(LocalSource([os.fsencode(top)]), top)
    left = [Entry(*item).name for item in found.items if not isinstance(item, EncodedNodes)]
    assert left == [b"c", b"d", b"f"]


def test_a_file_that_changes_or_fails_makes_the_folder_unknown(top: Path) -> None:
    for source, kinds in (
        (meddling.Appending(top, "/a", 2), ["changed"]),
        (meddling.Appending(top, "/a"), []),
    ):
        found = read_dir(source, top)
        assert ([problem.kind for problem in found.problems], found.fingerprint) == (kinds, b"")
        assert found.failed == 0
    found = read_dir(meddling.Withholding(top, "/a"), top)
    assert ([problem.kind for problem in found.problems], found.failed) == (["unreadable"], 1)
    assert found.fingerprint == b""


def test_a_folder_that_cannot_be_listed_is_a_problem(top: Path) -> None:
    found, chunks = read(LocalSource([os.fsencode(top)]), top / "gone")
    assert isinstance(found, Problem)
    assert (found.path, found.kind, chunks) == (os.fsencode(top / "gone"), "unreadable", [])
    assert "the folder cannot be listed" in found.message
