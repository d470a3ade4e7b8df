"""`flask backup database` and `flask backup restore --to-database`, with a real PostgreSQL server."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from core.configs import configs
from tests.core.making import make_storage
from tests.core.restores.test_databases import source_of
from tests.jobs.test_commands import Run, flask
from tests.servers.postgres import Cluster

__all__ = ["flask"]


@pytest.fixture
def shop(install: Flask, postgres: Cluster, database: str, tmp_path: Path) -> str:
    """Return the name of a database with rows, which a config backs up."""
    make_storage(tmp_path)
    postgres.run("CREATE TABLE t AS SELECT generate_series(1, 70) AS id", database=database)
    data = {"name": "Shop", "type": "database", "source": source_of(postgres, database)}
    configs.create(configs.parse(data))
    return database


def test_a_database_is_backed_up_and_comes_back_under_its_name(
    flask: Run, postgres: Cluster, shop: str
) -> None:
    done = flask("backup", "database", "--wait")
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stdout.startswith("Shop: completed.")
    postgres.drop(shop)
    done = flask("backup", "restore", "latest", "--to-database", shop)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "1 table, 70 rows" in done.stdout
    assert postgres.ask("SELECT count(*) FROM t", shop) == [(70,)]


def test_failures_are_told_by_exit_code_and_sentence(flask: Run, shop: str) -> None:
    done = flask("backup", "restore", "latest", "--to-database", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no good point" in done.stderr
    assert flask("backup", "database", "--wait").returncode == 0
    done = flask("backup", "restore", "latest", "--to-database", shop)
    assert (done.returncode, done.stdout) == (1, "")
    assert "choose another name" in done.stderr
    done = flask("backup", "restore", "latest", "--to-database", "x", "--to", "/srv/x")
    assert done.returncode == 2
    assert "either --to DIR or --to-database NAME" in done.stderr


def test_without_a_config_of_the_type_a_sentence_and_1(flask: Run, install: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    done = flask("backup", "database", "--wait")
    assert done.returncode == 1
    assert "no enabled config of type database" in done.stderr


@pytest.mark.slow
def test_in_place_the_safety_dump_comes_first(flask: Run, postgres: Cluster, shop: str) -> None:
    assert flask("backup", "database", "--wait").returncode == 0
    postgres.run("DELETE FROM t WHERE id > 3", database=shop)
    done = flask("backup", "restore", "1", "--to-database", shop, "--in-place")
    assert done.returncode == 0, done.stderr + done.stdout
    safety, restored = done.stdout.strip().split("\n")[0], done.stdout
    assert safety.startswith("Shop: completed. Stored")
    assert "1 table, 70 rows" in restored
    assert postgres.ask("SELECT count(*) FROM t", shop) == [(70,)]
    ((kept,),) = postgres.ask(f"SELECT datname FROM pg_database WHERE datname LIKE '{shop}_before_%'")
    assert postgres.ask("SELECT count(*) FROM t", kept) == [(3,)]
    postgres.drop(kept)
