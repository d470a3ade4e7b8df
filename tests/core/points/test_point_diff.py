"""What changed from one point to another, and in one file of theirs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from core import app_state, text_diff
from core.db import db
from core.errors import NotFound
from core.models import Point
from core.points import file_diff, opened, point_diff, points
from core.settings import load
from core.storages import storages
from core.text_diff import LARGEST_TEXT
from repository.keyfile import KdfParams
from tests.core.making import back_up, make_config, make_storage, make_tree

Pair = tuple[Point, Point]


@pytest.fixture(scope="module")
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one folder for all of these tests: they only look."""
    return tmp_path_factory.mktemp("diff")


@pytest.fixture(scope="module")
def pair(tmp_path: Path) -> Iterator[Pair]:
    """Return two points between which all sorts of things changed."""
    folders = {"HOLDFAST_DATA_DIR": str(tmp_path / "data"), "BACKUP_DIR": str(tmp_path / "backups")}
    settings = load(folders)
    app_state.prepare(settings)
    app = Flask("tests")
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    db.init_app(app)
    before, storages.KDF = storages.KDF, KdfParams(n=1024, r=8, p=1)
    with app.app_context():
        yield _make_pair(tmp_path)
        db.session.remove()
        db.engine.dispose()
    storages.KDF = before


def _make_pair(tmp_path: Path) -> Pair:
    opened.forget_all()
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    for name in ("same", "grows", "mode", "touched", "gone", "becomes-folder", "blob"):
        (tree / name).write_text(f"{name}\n")
    (tree / "link").symlink_to("here")
    (tree / "old-folder" / "deep").mkdir(parents=True)
    (tree / "old-folder" / "deep" / "file").write_text("x" * 100)
    config = make_config(tree)
    back_up(config.id)
    (tree / "grows").write_text("grows\nand grows\npassword = hunter22\n")
    (tree / "mode").chmod(0o600)
    os.utime(tree / "touched", (1, 1))
    (tree / "gone").unlink()
    (tree / "becomes-folder").unlink()
    (tree / "becomes-folder").mkdir()
    (tree / "blob").write_bytes(b"\0\1")
    (tree / "link").unlink()
    (tree / "link").symlink_to("there")
    (tree / "sub" / "new.txt").write_text("new\n")
    (tree / "sub" / "empty").touch()
    (tree / "old-folder" / "deep" / "file").unlink()
    (tree / "old-folder" / "deep").rmdir()
    (tree / "old-folder").rmdir()
    back_up(config.id)
    new, old = points.list_for(config.id)
    return old, new


def under(tmp_path: Path, name: str = "") -> bytes:
    return os.fsencode(tmp_path / "tree" / name) if name else os.fsencode(tmp_path / "tree")


def told(found: point_diff.PointDiff, tmp_path: Path) -> dict[tuple[str, str], str]:
    start = len(under(tmp_path)) + 1
    return {(each.path[start:].decode(), each.verdict): each.note for each in found.listed}


def test_what_changed_is_told_once_each(pair: Pair, tmp_path: Path) -> None:
    found = point_diff.compare(*pair, under(tmp_path))
    assert told(found, tmp_path) == {
        ("becomes-folder", "removed"): "",
        ("becomes-folder", "added"): "",
        ("blob", "changed"): "",
        ("gone", "removed"): "",
        ("grows", "changed"): "",
        ("link", "changed"): "it points elsewhere",
        ("mode", "attributes"): "mode 0644 → 0600",
        ("old-folder", "removed"): "",
        ("old-folder/deep", "removed"): "",
        ("old-folder/deep/file", "removed"): "",
        ("sub/empty", "added"): "",
        ("sub/new.txt", "added"): "",
        ("touched", "attributes"): "only the time of its last change",
    }
    assert found.complete
    sums = found.sums
    assert (sums.added, sums.changed, sums.removed, sums.attributes) == (3, 3, 5, 2)
    assert found.more == 0


def test_sums_are_told_by_folder(pair: Pair, tmp_path: Path) -> None:
    found = point_diff.compare(*pair, under(tmp_path))
    folders = {each.name: (each.verdict, each.sums.total) for each in found.folders.values()}
    assert folders == {"becomes-folder": ("added", 1), "old-folder": ("removed", 3), "sub": (None, 2)}
    assert found.folders[b"old-folder"].sums.bytes_removed == 100
    above = point_diff.compare(*pair)
    assert above.sums == found.sums
    assert len(above.folders) == 1


def test_the_other_way_round_is_the_opposite(pair: Pair, tmp_path: Path) -> None:
    there, back = point_diff.compare(*pair).sums, point_diff.compare(*pair[::-1]).sums
    assert (there.added, there.removed, there.changed) == (back.removed, back.added, back.changed)
    assert (there.bytes_added, there.bytes_removed) == (back.bytes_removed, back.bytes_added)


def test_a_folder_that_only_one_has(pair: Pair, tmp_path: Path) -> None:
    found = point_diff.compare(*pair, under(tmp_path, "old-folder"))
    assert found.sums.removed == 2
    with pytest.raises(NotFound, match="in neither"):
        point_diff.compare(*pair, under(tmp_path, "nowhere"))


def test_a_point_is_the_same_as_itself(pair: Pair) -> None:
    found = point_diff.compare(pair[0], pair[0])
    assert (found.sums.total, found.listed, found.complete) == (0, [], True)


def test_what_takes_too_long_says_so(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_diff, "LONGEST_S", -1.0)
    assert not point_diff.compare(*pair).complete


def test_more_than_is_listed_is_counted(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_diff, "MOST_LISTED", 3)
    found = point_diff.compare(*pair)
    assert (len(found.listed), found.more) == (3, 10)


def test_a_text_is_shown_line_by_line_its_secrets_masked(pair: Pair, tmp_path: Path) -> None:
    found = file_diff.diff(*pair, under(tmp_path, "grows"))
    assert ("+", "and grows") in [tuple(line) for line in found.lines]
    assert found.hidden
    assert not any("hunter22" in line.text for line in found.lines)
    shown = file_diff.diff(*pair, under(tmp_path, "grows"), reveal=True)
    assert any("hunter22" in line.text for line in shown.lines)


def test_a_file_of_one_point_only(pair: Pair, tmp_path: Path) -> None:
    gone = file_diff.diff(*pair, under(tmp_path, "gone"))
    assert (gone.before, gone.after) == (True, False)
    assert [line.sign for line in gone.lines] == ["@", "-"]
    with pytest.raises(NotFound, match="in neither"):
        file_diff.diff(*pair, under(tmp_path, "sub"))


def test_what_is_no_text_or_the_same_or_too_large(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no text" in file_diff.diff(*pair, under(tmp_path, "blob")).note
    assert file_diff.diff(*pair, under(tmp_path, "same")).note == file_diff.SAME
    monkeypatch.setattr(file_diff, "LARGEST_TEXT", 3)
    assert "too large" in file_diff.diff(*pair, under(tmp_path, "grows")).note
    assert LARGEST_TEXT > 3


def test_an_empty_file_of_one_point_only_is_told_empty(pair: Pair, tmp_path: Path) -> None:
    found = file_diff.diff(*pair, under(tmp_path, "sub/empty"))
    assert (found.note, found.lines) == ("It is empty. not there → 0 B.", [])


def test_what_differs_only_beyond_the_lines_that_are_compared_is_not_called_the_same(
    pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_diff, "MOST_LINES", 1)
    found = file_diff.diff(*pair, under(tmp_path, "grows"))
    assert (found.note, found.lines) == ("It differs only after line 20,000, which is not shown.", [])


def test_no_lock_stays_behind(pair: Pair, tmp_path: Path) -> None:
    file_diff.diff(*pair, under(tmp_path, "grows"))
    assert not list((tmp_path / "backups" / "repository" / "locks").iterdir())
