"""A zip that programs of other systems unpack: no way out of it, no two names that are one there."""

from __future__ import annotations

import io
import os
import zipfile

import pytest

from repository.archive import NOTES_IN_ZIP
from repository.browse import Made, find_node, measure, stream_tar, stream_zip
from repository.errors import PathNotFound
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.zip_names import ZipNames
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import latest, make_backup, new_repo

NAMES = [
    b"README",
    b"readme",
    b"..\\..\\evil",
    b"C:boot.ini",
    b"caf\xc3\xa9",
    b"cafe\xcc\x81",
    b"line\nbreak",
]


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    top = tmp_path_factory.mktemp("names")
    for folder in (b"Docs", b"docs", b"latin-\xe9", b"latin-\xe8"):
        (top / "tree" / os.fsdecode(folder)).mkdir(parents=True)
        (top / "tree" / os.fsdecode(folder) / "same.txt").write_bytes(folder)
    for name in NAMES:
        (top / "tree" / os.fsdecode(name)).write_bytes(name)
    os.symlink("/etc/passwd", top / "tree" / "link")
    os.mkfifo(top / "tree" / "pipe")
    made = new_repo(MemoryAdapter())
    make_backup(made, "tree", cwd=top)
    return made


@pytest.fixture
def snapshot(repo: Repository) -> Snapshot:
    return latest(repo)


def zip_of(repo: Repository, snapshot: Snapshot, *paths: bytes, made: Made | None = None) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(stream_zip(repo, snapshot, *paths, made=made))))


def test_names_stay_apart_where_capitals_and_accents_are_alike(repo: Repository, snapshot: Snapshot) -> None:
    names = zip_of(repo, snapshot).namelist()
    assert len({name.casefold() for name in names}) == len(names)
    archive = zip_of(repo, snapshot)
    for folder in (b"Docs", b"docs", b"latin-\xe9", b"latin-\xe8"):  # each keeps what is in it
        holders = [name for name in names if name.endswith("/same.txt") and archive.read(name) == folder]
        assert len(holders) == 1, (folder, names)


def test_no_name_leads_out_of_the_zip_on_any_system(repo: Repository, snapshot: Snapshot) -> None:
    for name in zip_of(repo, snapshot, made=Made()).namelist():
        assert "\\" not in name
        assert not name.startswith("/")
        assert ".." not in name.split("/")
        assert not any(part[1:2] == ":" for part in name.split("/"))


def test_what_was_changed_or_left_out_is_said_in_the_zip(repo: Repository, snapshot: Snapshot) -> None:
    made = Made()
    archive = zip_of(repo, snapshot, b"/tree", made=made)
    text = archive.read(NOTES_IN_ZIP).decode()
    assert "'tree/pipe': a fifo, which a zip cannot hold" in text
    assert ".._.._evil" in text
    assert made.noted == len(made.notes) == text.count("\r\n")
    assert (made.files, made.size) == (11, sum(map(len, NAMES)) + len(b"Docsdocslatin-1latin-2"))
    assert NOTES_IN_ZIP not in zip_of(repo, snapshot, b"/tree").namelist()  # nobody asked
    assert NOTES_IN_ZIP not in zip_of(repo, snapshot, b"/tree/docs", made=Made()).namelist()  # nothing to say


def test_a_tar_keeps_all_names_as_they_are(repo: Repository, snapshot: Snapshot) -> None:
    made = Made()
    assert len(b"".join(stream_tar(repo, snapshot, made=made))) > 0
    assert (made.files, made.noted) == (11, 0)


def test_it_says_before_how_much_it_will_be(repo: Repository, snapshot: Snapshot) -> None:
    found = measure(repo, snapshot, b"/tree")
    assert (found.files, found.complete) == (11, True)
    assert found.bytes == sum(map(len, NAMES)) + len(b"Docsdocslatin-1latin-2")
    for stream in (stream_tar, stream_zip):
        assert len(b"".join(stream(repo, snapshot, b"/tree"))) <= found.archive_bytes
    assert measure(repo, snapshot, go_on=lambda extent: extent.files < 3).complete is False
    assert find_node(repo, snapshot, b"/tree/README").size == measure(repo, snapshot, b"/tree/README").bytes
    with pytest.raises(PathNotFound):
        measure(repo, snapshot, b"/tree/none")


def test_folders_on_the_way_to_what_was_chosen_get_names_too() -> None:
    names = ZipNames()
    assert names.of(b"a\\b/c/file") == "a_b/c/file"
    assert names.of(b"a\\b/c/File") == "a_b/c/File~2"
    assert names.of(b"a\\b/d", is_dir=True) == "a_b/d"
    assert names.of(b"a_b/c/file") == "a_b~2/c/file"
    assert names.of(b"top") == "top"


def test_a_large_tree_needs_the_names_of_one_folder_at_a_time() -> None:
    names = ZipNames()
    for folder in range(100):
        names.of(b"%d" % folder, is_dir=True)
        for number in range(10):
            names.of(b"%d/%d" % (folder, number))
    assert len(names._open) <= 2
