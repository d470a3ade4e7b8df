"""`flask backup compare`, `environment`, `restore --in-place`, `leftovers`: what they print, their codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from flask import Flask

from core.access import audit
from core.configs import configs
from core.points import points
from tests.core.making import back_up, make_config, make_storage, make_tree
from tests.core.restores.test_databases import source_of
from tests.jobs.test_commands import Run, flask
from tests.servers.postgres import Cluster

__all__ = ["flask"]


@pytest.fixture
def etc(install: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of configuration that has changed since it was backed up as point 1."""
    make_storage(tmp_path)
    monkeypatch.setenv("SHOP_TOKEN", "geheim")
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "app.conf").write_text("port = 80\n")
    (folder / ".env").write_text("TOKEN=first\n")
    source = {"paths": [str(folder)], "variables": "SHOP_TOKEN", "packages": False, "services": False}
    config = configs.create(configs.parse({"name": "Machine", "type": "config", "source": source}))
    assert back_up(config.id).status == "completed"
    (folder / "app.conf").write_text("port = 81\n")
    (folder / ".env").write_text("TOKEN=second\n")
    return folder


def test_a_point_is_compared_and_a_file_shown_without_its_secret(flask: Run, etc: Path) -> None:
    done = flask("backup", "compare", "1")
    assert done.returncode == 3, done.stderr
    assert [line.split() for line in done.stdout.splitlines()] == [
        ["changed", str(etc / ".env")],
        ["changed", str(etc / "app.conf")],
    ]
    told = json.loads(flask("backup", "compare", "1", "--json").stdout)
    assert [each["verdict"] for each in told["differences"]] == ["changed", "changed"]
    shown = flask("backup", "compare", "1", str(etc / "app.conf")).stdout
    assert "-port = 81\n+port = 80" in shown
    masked = flask("backup", "compare", "1", str(etc / ".env"))
    assert "first" not in masked.stdout
    assert "--reveal shows it" in masked.stderr
    assert "+TOKEN=first" in flask("backup", "compare", "1", str(etc / ".env"), "--reveal").stdout
    noted = audit.list_page(per_page=10).items[0]
    assert (noted.action, noted.result, "reveal" in noted.target) == ("backup compare", "done", True)


def test_the_environment_is_printed_masked(flask: Run, etc: Path) -> None:
    shown = json.loads(flask("backup", "environment", "1").stdout)
    assert shown["variables"] == {"SHOP_TOKEN": "********"}
    assert json.loads(flask("backup", "environment", "1", "--reveal").stdout)["variables"] == {
        "SHOP_TOKEN": "geheim"
    }


def test_files_are_put_back_after_a_safety_backup(flask: Run, etc: Path) -> None:
    done = flask("backup", "restore", "1", "--in-place", "--include", str(etc / "app.conf"))
    assert done.returncode == 0, done.stderr + done.stdout
    assert (etc / "app.conf").read_text() == "port = 80\n"
    assert (etc / ".env").read_text() == "TOKEN=second\n"
    config = next(each for each in configs.list_all() if each.name == "Machine")
    assert len(points.list_for(config.id)) == 2
    assert flask("backup", "restore", "1", "--in-place").returncode == 1


def test_files_of_a_files_config_are_put_back_by_a_rule(flask: Run, install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    assert back_up(make_config(tree).id).status == "completed"
    gone, changed = tree / "sub" / "0.txt", tree / "sub" / "1.txt"
    gone.unlink()
    changed.write_text("changed")
    asked = ("backup", "restore", "latest", "--in-place", "--include", str(tree / "sub"))
    done = flask(*asked)
    assert done.returncode == 0, done.stderr + done.stdout
    assert (gone.read_text(), changed.read_text()) == ("content 0\n" * 100, "changed")
    assert flask(*asked[:4]).returncode == 1, "never everything"
    wrong = flask(*asked, "--to", str(tmp_path / "out"))
    assert (wrong.returncode, "goes without --to" in wrong.stderr) == (2, True)


def test_what_restores_left_is_listed_put_in_place_and_dropped(
    flask: Run, install: Flask, postgres: Cluster, database: str, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    data = {"name": "Shop", "type": "database", "source": source_of(postgres, database)}
    configs.create(configs.parse(data))
    left = postgres.create(f"{database}_before_20260102T030405Z", "CREATE TABLE old (x int)")
    assert left in flask("backup", "leftovers").stdout
    done = flask("backup", "leftovers", "--put-in-place", left)
    assert done.returncode == 0, done.stderr
    assert postgres.ask("SELECT count(*) FROM old", database) == [(0,)]
    kept = json.loads(flask("backup", "leftovers", "--json").stdout)["leftovers"]
    (name,) = [each["name"] for each in kept if each["meant_for"] == database]
    refused = flask("backup", "leftovers", "--drop", database)
    assert (refused.returncode, "No restore left" in refused.stderr) == (1, True)
    assert flask("backup", "leftovers", "--drop", name).returncode == 0
    assert name not in flask("backup", "leftovers").stdout
