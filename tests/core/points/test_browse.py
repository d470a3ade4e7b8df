"""Looking into a point: folders, files, archives; and what happens when the storage does not play along."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from core.configs import configs
from core.errors import NotFound, Unreachable
from core.jobs.dead_locks import remove_dead_locks
from core.models import Point
from core.points import browse, opened, points
from core.points.tokens import path_from_token, printable, token_from_path
from core.settings import PROJECT_DIR
from core.storages import storages
from repository.errors import RepositoryError
from tests.core.making import back_up, make_config, make_storage, make_tree, restic

ODD = b"odd \xff\nname"


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    """Let no test see the repositories of another."""
    opened.forget_all()
    yield
    opened.forget_all()


@pytest.fixture
def point(context: Flask, tmp_path: Path) -> Point:
    """Return a point of a tree with an odd name, a link and a large file."""
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    Path(os.fsdecode(os.fsencode(tree) + b"/" + ODD)).write_text("odd")
    (tree / "link").symlink_to("sub/1.txt")
    (tree / "large").write_bytes(os.urandom(6 << 20))
    config = make_config(tree)
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    return found


def tree_path(tmp_path: Path, *names: bytes) -> bytes:
    """Return the path in the point of something in the tree."""
    return b"/".join([os.fsencode(tmp_path / "tree"), *names])


def test_a_folder_lists_its_entries_folders_first(point: Point, tmp_path: Path) -> None:
    rows = browse.list_dir(point, tree_path(tmp_path))
    assert [row.name for row in rows] == ["sub", "large", "link", "odd \\xff\\nname"]
    assert [row.kind for row in rows] == ["dir", "file", "symlink", "file"]
    assert [row.size for row in rows] == [None, 6 << 20, None, 3]
    assert rows[2].linktarget == "sub/1.txt"
    assert path_from_token(rows[3].token) == tree_path(tmp_path, ODD)


def test_a_file_is_read_whole(point: Point, tmp_path: Path) -> None:
    row, content = browse.read_file(point, tree_path(tmp_path, b"large"))
    data = b"".join(content)
    assert len(data) == row.size
    assert data == (tmp_path / "tree" / "large").read_bytes()


def test_a_lock_is_held_while_streaming_and_given_back(point: Point, tmp_path: Path) -> None:
    locks = tmp_path / "backups" / "repository" / "locks"
    _, content = browse.read_file(point, tree_path(tmp_path, b"large"))
    assert len(list(locks.iterdir())) == 1
    list(content)
    assert not list(locks.iterdir())
    content = browse.stream_folder(point, tree_path(tmp_path), "tar")
    next(content)
    assert len(list(locks.iterdir())) == 1
    content.close()  # type: ignore[attr-defined]
    assert not list(locks.iterdir())


def test_a_folder_streams_as_tar_and_zip(point: Point, tmp_path: Path) -> None:
    tar = b"".join(browse.stream_folder(point, tree_path(tmp_path, b"sub"), "tar"))
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
    assert sorted(Path(name).name for name in names) == ["0.txt", "1.txt", "2.txt"]
    packed = b"".join(browse.stream_folder(point, tree_path(tmp_path, b"sub"), "zip"))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive_zip:
        assert archive_zip.testzip() is None


def test_a_damaged_pack_cuts_a_download(point: Point, tmp_path: Path) -> None:
    for pack in (tmp_path / "backups" / "repository").glob("data/*/*"):
        if pack.stat().st_size > 1 << 20:
            pack.chmod(0o600)
            content = bytearray(pack.read_bytes())
            content[len(content) // 2] ^= 0xFF
            pack.write_bytes(content)
    with pytest.raises(RepositoryError):
        list(browse.read_file(point, tree_path(tmp_path, b"large"))[1])
    assert not list((tmp_path / "backups" / "repository" / "locks").iterdir())


@pytest.mark.parametrize("path", [b"/no/such", b"/tmp/nothing here"])
def test_what_is_not_in_the_point_is_not_found(point: Point, path: bytes) -> None:
    with pytest.raises(NotFound):
        browse.list_dir(point, path)
    with pytest.raises(NotFound):
        browse.read_file(point, path)


def test_a_folder_is_no_file(point: Point, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no file"):
        browse.read_file(point, tree_path(tmp_path, b"sub"))
    with pytest.raises(NotFound):
        browse.list_dir(point, tree_path(tmp_path, b"large"))


def test_a_repository_pruned_by_restic_is_read_anew(point: Point, tmp_path: Path) -> None:
    """A prune elsewhere moves pieces to other packs: what this process holds in memory is old then."""
    tree = tree_path(tmp_path)
    browse.list_dir(point, tree)
    repository = tmp_path / "backups" / "repository"
    subprocess.run(["rm", str(tmp_path / "tree" / "large")], check=True)
    back_up(configs.list_all()[0].id)
    newest = points.list_for(configs.list_all()[0].id)[0]
    restic(repository, "forget", point.copies[0].snapshot_id)
    restic(repository, "prune", "--max-unused", "0")
    assert b"".join(browse.read_file(newest, tree + b"/sub/1.txt")[1]).startswith(b"content 1")
    assert [row.name for row in browse.list_dir(newest, tree)] == ["sub", "link", "odd \\xff\\nname"]


def test_a_storage_that_is_gone_is_unreachable(point: Point, tmp_path: Path) -> None:
    browse.list_dir(point, b"/")
    (tmp_path / "backups").rename(tmp_path / "elsewhere")
    opened.forget_all()
    with pytest.raises(Unreachable):
        browse.list_dir(point, b"/")


def test_many_threads_browse_at_once(point: Point, tmp_path: Path, context: Flask) -> None:
    found: list[int] = []

    def look() -> None:
        with context.app_context():
            same = points.get(point_id)
            found.append(len(browse.list_dir(same, tree_path(tmp_path))))

    point_id = point.id
    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [4] * 8


def test_the_lock_of_a_killed_download_is_removed_by_the_next_job(
    point: Point, tmp_path: Path, environ: dict[str, str]
) -> None:
    code = (
        "import time; from core.settings import load; from jobs import queue\n"
        "app = queue.make_app(load())\n"
        "with app.app_context():\n"
        "    from core.points import browse, points\n"
        f"    content = browse.stream_folder(points.get({point.id}), b'/', 'tar')\n"
        "    next(content); print('streaming', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=PROJECT_DIR, env={**os.environ, **environ}, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"streaming\n"
    repo = storages.open_repository(storages.list_repositories()[0])
    assert remove_dead_locks(repo) == []
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(remove_dead_locks(repo)) == 1
    assert not list((tmp_path / "backups" / "repository" / "locks").iterdir())
    repo.close()


@pytest.mark.parametrize("path", [b"/", b"/a", b"/a/\xff\xfe/b c", "/ü/\n".encode()])
def test_tokens_keep_every_byte(path: bytes) -> None:
    assert path_from_token(token_from_path(path)) == path


@pytest.mark.parametrize("path", [b"", b"a", b"/a/../b", b"/a//b", b"/a/.", b"/a\0", b"/a/"])
def test_tokens_of_unclean_paths_are_refused(path: bytes) -> None:
    with pytest.raises(ValueError, match="not an absolute path"):
        path_from_token(token_from_path(path))


@pytest.mark.parametrize("token", ["=", "L", "ä", "L w", "../../etc"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        path_from_token(token)


def test_names_are_shown_without_control_characters() -> None:
    assert printable(b"a\x1b[31mb\n\xff") == "a\\x1b[31mb\\n\\xff"
    assert printable("grün".encode()) == "grün"
