"""BACKUP_PATHS and its kin: checked before they are stored, corrected until they count, told of after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from core import app_state, configs, setup, storages
from core.errors import Refused
from core.settings import PROJECT_DIR, load
from tests.core.making import back_up, make_tree

GIVEN = "my own long password"

Begin = Callable[..., list[str]]


@pytest.fixture
def begin(context: Flask, environ: dict[str, str]) -> Begin:
    """Start with a changed environment, as a server or a command does; return what it says."""

    def start(**more: str) -> list[str]:
        app_state.prepare(load(environ | {"BACKUP_ENCRYPTION_KEY": GIVEN} | more))
        return setup.apply_environment(app_state.settings())

    return start


def paths() -> list[str]:
    """Return what the default config backs up."""
    (config,) = configs.list_all()
    return list(config.source["paths"])


def test_paths_that_do_not_exist_are_refused_and_nothing_is_saved(begin: Begin, tmp_path: Path) -> None:
    for wrong in ("/no/such/folder", "relative/folder"):
        with pytest.raises(Refused, match=r"BACKUP_PATHS names /.*, which does not exist"):
            begin(BACKUP_PATHS=f"{make_tree(tmp_path / 'tree')}:{wrong}")
        assert configs.list_all() == []
        assert storages.list_all() == []
    assert not (tmp_path / "backups").exists()
    assert begin(BACKUP_PATHS=str(tmp_path / "tree")) == []
    assert paths() == [str(tmp_path / "tree")]


def test_relative_paths_are_taken_from_the_project(begin: Begin) -> None:
    begin(BACKUP_PATHS="templates")
    assert paths() == [f"{PROJECT_DIR}/templates"]


def test_wrong_paths_are_corrected_until_there_is_a_point(begin: Begin, tmp_path: Path) -> None:
    typo, meant, later = (str(make_tree(tmp_path / name)) for name in ("typo", "meant", "later"))
    begin(BACKUP_PATHS=typo)
    assert begin(BACKUP_PATHS=meant) == []
    assert paths() == [meant]
    assert back_up(configs.list_all()[0].id).status == "completed"
    (note,) = begin(BACKUP_PATHS=later)
    assert note.startswith(f"BACKUP_PATHS differs from the config Daily Files, which backs up {meant};")
    assert paths() == [meant]
    assert begin() == []


def test_what_was_changed_on_the_page_is_not_undone(begin: Begin, tmp_path: Path) -> None:
    given, edited = (str(make_tree(tmp_path / name)) for name in ("given", "edited"))
    begin(BACKUP_PATHS=given)
    (config,) = configs.list_all()
    data = configs.to_input(config)
    source = data.source.model_copy(update={"paths": [edited]})
    configs.update(config.id, data.model_copy(update={"source": source}))
    (note,) = begin(BACKUP_PATHS=given)
    assert edited in note
    assert paths() == [edited]


def test_all_that_differs_is_told_and_not_applied(begin: Begin, tmp_path: Path) -> None:
    given = {"BACKUP_PATHS": str(make_tree(tmp_path / "tree")), "BACKUP_RETENTION_DAYS": "9"}
    assert begin(**given) == []
    told = begin(
        **given | {"BACKUP_RETENTION_DAYS": "1", "BACKUP_MAX_BACKUPS": "3", "BACKUP_COMPRESSION": "max"},
        BACKUP_DIR=str(tmp_path / "elsewhere"),
    )
    assert [note.split()[0] for note in told] == [
        "BACKUP_DIR", "BACKUP_RETENTION_DAYS", "BACKUP_MAX_BACKUPS", "BACKUP_COMPRESSION",
    ]  # fmt: skip
    assert "which keeps 9 days; the config counts" in told[1]
    assert "sets no limit in points" in told[2]
    assert configs.list_all()[0].retention == {"days": 9, "max_backups": None}
