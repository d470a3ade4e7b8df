"""When the catalog cannot be used, all else goes on; what is read of it is of one moment."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.jobs import jobs
from core.models import Config, Job
from core.points import catalog_drop, catalog_file, catalog_fill, file_search, file_versions, points
from core.points.catalog_file import CatalogUnusable
from tests.core.making import back_up, make_config, make_storage, make_tree, run


@pytest.fixture
def config(context: Flask, tmp_path: Path) -> Config:
    """Return a config of a small tree that has one point."""
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"))
    back_up(made.id)
    return made


def spoil_lock(tmp_path: Path) -> None:
    """Let the lock of the catalog be something that nobody can open, root neither."""
    lock = tmp_path / "data" / "catalog.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()


def waiting_clean_ups() -> list[Job]:
    return list(jobs.list_jobs(kind="retention", status="queued").items)


def test_a_lock_that_cannot_be_opened_fails_nothing_but_search(config: Config, tmp_path: Path) -> None:
    for waiting in waiting_clean_ups():
        run(waiting)
    spoil_lock(tmp_path)
    with pytest.raises(CatalogUnusable), catalog_file.filling():
        pass
    with pytest.raises(CatalogUnusable), catalog_file.dropping():
        pass
    job = back_up(config.id)
    assert job.status == "completed"
    (follows,) = waiting_clean_ups()
    assert run(follows).status == "completed"


def test_what_cannot_even_be_noted_fails_no_backup(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(why: str) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(catalog_fill, "note_trouble", fails)
    job = back_up(config.id)
    assert (job.status, len(points.list_for(config.id))) == ("completed", 2)


def test_an_error_of_our_own_fails_no_clean_up(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> int:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(catalog_drop, "sweep", fails)
    assert run(jobs.create_retention("manual", config.id)).status == "completed"


def drop_everything() -> None:
    """Do what a sweep does, and what gives its ids to others."""
    with catalog_file.opened() as connection, catalog_file.transaction(connection):
        for table in ("roots", "entries", "trees"):
            connection.execute(f"DELETE FROM {table}")


def test_a_search_sees_one_state_whatever_is_dropped_meanwhile(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = file_search._rows

    def rows(*given: Any) -> Any:
        drop_everything()
        return real(*given)

    monkeypatch.setattr(file_search, "_rows", rows)
    assert [each.name for each in file_search.search("1.txt").found] == ["1.txt"]
    assert file_search.search("1.txt").found == []


def test_versions_are_of_one_state_too(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = file_versions._walk

    def walk(*given: Any) -> Any:
        drop_everything()
        return real(*given)

    monkeypatch.setattr(file_versions, "_walk", walk)
    path = str(tmp_path / "tree" / "sub" / "1.txt").encode()
    assert len(file_versions.history(config.id, path).versions) == 1
    assert file_versions.history(config.id, path).versions == []
