"""The catalog: filled after each backup, never with half a point; searched; dropped with its points."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core.db import db, utc_now, write
from core.errors import Invalid
from core.jobs import jobs
from core.models import Config, Copy, JobLog, Point
from core.points import (
    catalog,
    catalog_climb,
    catalog_drop,
    catalog_file,
    catalog_fill,
    catalog_pattern,
    file_search,
    file_versions,
    points,
)
from core.points.catalog_file import CatalogUnusable
from core.storages import storages
from repository.lookup import load_tree
from tests.core.making import back_up, make_config, make_storage, make_tree, run


@pytest.fixture
def config(context: Flask, tmp_path: Path) -> Config:
    """Return a config of a small tree that has one point."""
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"))
    back_up(made.id)
    return made


def path_of(tmp_path: Path, *names: str) -> bytes:
    return os.fsencode(str(tmp_path.joinpath("tree", *names)))


def rows(query: str) -> list[tuple[object, ...]]:
    with catalog_file.opened() as connection:
        return connection.execute(query).fetchall()


def forget(point_id: int) -> None:
    with write() as session:
        for copy in session.scalars(select(Copy).where(Copy.point_id == point_id)):
            copy.forgotten_at = utc_now()


def ids(config: Config) -> list[int]:
    """Return the points of a config, oldest first."""
    return [point.id for point in points.list_for(config.id)][::-1]


def test_a_file_is_found_in_the_points_that_hold_it(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub" / "Later.TXT").write_text("later")
    back_up(config.id)
    first, second = ids(config)
    (found,) = file_search.search("later").found
    assert (found.path, found.kind, found.size) == (path_of(tmp_path, "sub", "Later.TXT"), "file", 5)
    assert (found.points, found.versions, found.newest.id, found.oldest.id) == (1, 1, second, second)
    (found,) = file_search.search("1.txt", config.id).found
    assert (found.points, found.versions, found.newest.id, found.oldest.id) == (2, 1, second, first)
    assert catalog.coverage() == catalog.Coverage(2, 2, "")


def test_names_and_patterns(config: Config, tmp_path: Path) -> None:
    tree, every = path_of(tmp_path), ["0.txt", "1.txt", "2.txt"]
    for text, names in {
        "SUB": ["sub"],
        "*.txt": every,
        "?.txt": every,
        ".txt": every,
        "txt*": [],
        "sub/1": ["1.txt"],
        "tree/*/2.txt": ["2.txt"],
        "b/1.txt": [],
        f"{tmp_path}/tree/sub/0.txt": ["0.txt"],
        "/sub/0.txt": [],
        f"{tmp_path}/tree/sub/": ["sub"],
        "nothing like that": [],
    }.items():
        answer = file_search.search(text)
        # The test's own folder may be called so, too.
        assert [each.name for each in answer.found if each.path.startswith(tree + b"/")] == names, text
        assert not answer.more


def test_odd_names_are_found_as_they_are_shown(config: Config, tmp_path: Path) -> None:
    with open(path_of(tmp_path) + b"/odd \xff\nname [1]", "w") as file:
        file.write("odd")
    (tmp_path / "tree" / "Übergröße.odt").write_text("x")
    back_up(config.id)
    (odd,) = file_search.search("\\xff\\nname [1]").found
    assert odd.path.endswith(b"odd \xff\nname [1]")
    assert [each.name for each in file_search.search("ÜBERGRÖSSE").found] == ["Übergröße.odt"]


@pytest.mark.parametrize("text", ["", "  ", "*", "**?", "/", "x" * 401])
def test_what_names_nothing_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        catalog_pattern.parse(text)


def test_a_name_of_one_letter_is_looked_for_one_by_one(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tree" / "q").write_text("short")
    back_up(config.id)
    assert [each.name for each in file_search.search("q").found] == ["q"]


def test_versions_are_told_apart_by_content(config: Config, tmp_path: Path) -> None:
    file = tmp_path / "tree" / "sub" / "1.txt"
    first_content = file.read_text()
    for content in ("second version", first_content):
        file.write_text(content)
        back_up(config.id)
    file.unlink()
    back_up(config.id)
    first, second, third, _ = ids(config)
    history = file_versions.history(config.id, path_of(tmp_path, "sub", "1.txt"))
    told = [(each.newest.id, each.oldest.id, each.points, each.size) for each in history.versions]
    assert told == [(third, first, 2, len(first_content)), (second, second, 1, 14)]
    assert (history.points, history.absent) == (4, 1)
    assert file_versions.history(config.id, path_of(tmp_path, "sub", "none")).absent == 4


def test_an_unchanged_folder_costs_nothing(config: Config, tmp_path: Path) -> None:
    # Not of all folders: those above the test's change while others run.
    named = "SELECT count(*) FROM entries JOIN names ON name_id = names.id WHERE folded = '1.txt'"
    assert rows(named) == [(1,)]
    back_up(config.id)
    first, second = ids(config)
    assert rows(named) == [(1,)]
    assert {row[0] for row in rows("SELECT point_id FROM roots")} == {first, second}


def test_a_fill_that_was_stopped_counts_for_nothing_and_goes_on(config: Config) -> None:
    catalog_file.delete()
    (point,) = points.list_for(config.id)
    todo = [(point.id, bytes.fromhex(point.tree))]
    repo = storages.open_repository(storages.list_repositories()[0])
    read: list[bytes] = []
    steps = iter([True, True, True, False])
    try:
        filled = catalog_fill.fill(repo, todo, lambda: next(steps))
        assert (filled.points, filled.left) == (0, 1)
        assert catalog.coverage().lacking == 1
        assert file_search.search("txt").found == []
        known = {row[0] for row in rows("SELECT hash FROM trees WHERE state > 0")}
        assert len(known) >= 2

        def reading(repository: object, tree: bytes) -> object:
            read.append(tree)
            return load_tree(repo, tree)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(catalog_fill, "load_tree", reading)
            assert catalog_fill.fill(repo, todo).points == 1
    finally:
        repo.close()
    assert not known.intersection(read)
    assert len(file_search.search("txt").found) == 3


def test_a_tree_that_cannot_be_read_keeps_its_point_out_and_is_said(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tree" / "new").write_text("new")
    packs = set((tmp_path / "backups" / "repository").glob("data/*/*"))
    back_up(config.id)
    catalog_file.delete()
    for pack in set((tmp_path / "backups" / "repository").glob("data/*/*")) - packs:
        pack.unlink()
    filled = catalog_fill.fill_all()
    first, second = ids(config)
    assert filled.points == 1
    assert "is missing" in filled.unreadable[second] or "no index" in filled.unreadable[second]
    assert [each.newest.id for each in file_search.search("1.txt").found] == [first]
    assert catalog.coverage().lacking == 1


def test_what_fails_in_the_catalog_fails_no_backup(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*given: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(catalog_file, "_connect", full)
        job = back_up(config.id)
        assert job.status == "completed"
    said = db.session.scalars(select(JobLog.message).where(JobLog.job_id == job.id)).all()
    assert any("Search does not know all of this point yet" in line for line in said)
    assert "disk is full" in catalog.coverage().trouble
    assert catalog.coverage().lacking == 1
    back_up(config.id)
    assert catalog.coverage() == catalog.Coverage(3, 3, "")


def test_what_no_point_holds_is_dropped(config: Config, tmp_path: Path) -> None:
    (tmp_path / "tree" / "sub" / "only-second").write_text("x")
    back_up(config.id)
    first, second = ids(config)
    forget(second)
    assert file_search.search("only-second").found == []
    assert catalog_drop.sweep() == 1
    assert rows("SELECT point_id FROM roots") == [(first,)]
    assert rows("SELECT count(*) FROM names WHERE name = CAST('only-second' AS BLOB)") == [(0,)]
    assert rows("SELECT count(*) FROM letters WHERE folded GLOB '*only-second*'") == [(0,)]
    assert rows("SELECT count(*) FROM trees WHERE state < 2") == [(0,)]
    assert len(file_search.search(".txt").found) == 3
    forget(first)
    catalog_drop.sweep()
    left = [rows(f"SELECT count(*) FROM {table}")[0][0] for table in ("roots", "trees", "entries", "names")]
    assert left == [0, 0, 0, 0]


def test_nothing_is_dropped_while_somebody_fills(config: Config) -> None:
    forget(ids(config)[0])
    with catalog_file.filling():
        assert catalog_drop.sweep() == 0
    assert catalog_drop.sweep() == 1


def test_a_clean_up_drops_what_is_gone(config: Config, tmp_path: Path) -> None:
    (snapshot,) = (tmp_path / "backups" / "repository" / "snapshots").iterdir()
    snapshot.unlink()
    run(jobs.create_retention("manual", config.id))
    assert rows("SELECT count(*) FROM roots") == [(0,)]


def test_a_file_that_is_none_is_said_and_begun_anew(config: Config, tmp_path: Path) -> None:
    (tmp_path / "data" / catalog_file.NAME).write_bytes(b"no database at all" * 500)
    for ending in ("-wal", "-shm"):
        (tmp_path / "data" / (catalog_file.NAME + ending)).unlink(missing_ok=True)
    with pytest.raises(CatalogUnusable, match="cannot be used"):
        file_search.search("txt")
    catalog_file.delete()
    assert catalog_fill.fill_all().points == 1
    assert len(file_search.search("txt").found) == 3


def test_a_file_of_another_version_is_begun_anew(config: Config) -> None:
    with catalog_file.opened() as connection:
        connection.execute("PRAGMA user_version = 99")
    assert catalog.coverage().lacking == 1
    assert catalog_fill.fill_all().points == 1


def test_nobody_else_may_read_it(config: Config, tmp_path: Path) -> None:
    files = list((tmp_path / "data").glob(f"{catalog_file.NAME}*"))
    assert files
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_a_search_looks_at_so_much_and_no_more(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for limit, most in (("_MOST_NAMES", 2), ("_MOST_ENTRIES", 2), ("MOST_SHOWN", 2)):
        with monkeypatch.context() as patch:
            patch.setattr(file_search, limit, most)
            answer = file_search.search(".txt")
            assert (len(answer.found), answer.more) == (2, True), limit
    monkeypatch.setattr(catalog_climb, "MOST_PATHS", 1)
    assert file_search.search(".txt").more


def test_what_others_hold_keeps_nothing_of_a_config_from_being_found(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "zebra.txt").write_text("only here")
    (tmp_path / "other" / "0.txt").write_text("not that one")
    other = make_config(tmp_path / "other", "Other")
    back_up(other.id)
    for limit in ("_MOST_NAMES", "_MOST_ENTRIES"):
        with monkeypatch.context() as patch:
            patch.setattr(file_search, limit, 2)
            answer = file_search.search(".txt", other.id)
            assert {each.name for each in answer.found} == {"0.txt", "zebra.txt"}, limit
            assert {each.config_id for each in answer.found} == {other.id}


def test_the_same_folder_in_many_places(config: Config, tmp_path: Path) -> None:
    """Two copies of a tree are one in the catalog, and stand in both places."""
    for place in ("left", "right"):
        (tmp_path / "tree" / place / "deep").mkdir(parents=True)
    back_up(config.id)
    found = file_search.search("deep").found
    both = [path_of(tmp_path, place, "deep") for place in ("left", "right")]
    assert sorted(each.path for each in found) == both


def test_points_as_bits_keep_configs_apart() -> None:
    now = utc_now()
    held = [catalog_climb.Held(number, now, "ab"[number % 2]) for number in range(1, 7)]
    bits = catalog_climb.Bits(held)
    every = sum(bits.bit_of.values())
    assert every == 2**6 - 1
    assert {name: [each.id for each in bits.all_of(mask)] for name, mask in bits.by_config(every)} == {
        "a": [6, 4, 2],
        "b": [5, 3, 1],
    }
    (_, of_a), _ = bits.by_config(every)
    assert (bits.newest(of_a).id, bits.oldest(of_a).id) == (6, 2)


def test_brackets_are_only_brackets() -> None:
    pattern = catalog_pattern.parse("photo [1]*")
    assert pattern.glob == "*photo [[]1]*"
    assert pattern.name.match("photo [1].jpg")
    assert not pattern.name.match("photo 1.jpg")


def test_points_of_no_config_have_versions_too(config: Config, tmp_path: Path) -> None:
    with write() as session:
        for point in session.scalars(select(Point)):
            point.config_id = None
    history = file_versions.history(None, path_of(tmp_path, "sub", "1.txt"))
    assert [each.points for each in history.versions] == [1]
    assert file_search.search("1.txt").found[0].config_id is None
