"""The schema is brought to a newer step while another process goes on writing: nothing is lost."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import create_engine

from core import app_state, migrations
from core.migrations import steps
from core.settings import load
from tests.conftest import PROJECT

OLD = "0005"
WRITER = """
import os, sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA busy_timeout = 30000")
number = 0
while not os.path.exists(sys.argv[2]):
    connection.execute("BEGIN IMMEDIATE")
    number += 1
    connection.execute("INSERT INTO instance_values VALUES (?, '1', '2026-01-01')", (f"live {number}",))
    connection.execute("COMMIT")
    time.sleep(0.002)  # SQLite wakes nobody who waits: without a pause they may starve
    if number % 20 == 0:
        print(number, flush=True)
print(number, flush=True)
"""


@pytest.fixture
def database(environ: dict[str, str]) -> Path:
    """Return a database of an older version, with something in it."""
    path = Path(environ["HOLDFAST_DATA_DIR"]) / "holdfast.db"
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(steps.alembic_config(connection), OLD)
    engine.dispose()
    return path


@pytest.fixture
def writer(database: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database), str(tmp_path / "stop")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
    )  # fmt: skip
    yield process
    process.kill()
    process.communicate()


def test_it_is_upgraded_under_a_live_writer(
    environ: dict[str, str], database: Path, writer: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert writer.stdout is not None
    assert writer.stdout.readline()  # it is at work
    app_state.prepare(load(environ))
    for _ in range(2):
        assert writer.stdout.readline(), writer.communicate()[1]  # and still is, on the new schema
    (tmp_path / "stop").touch()
    out, errors = writer.communicate(timeout=240)
    assert (writer.returncode, errors) == (0, "")
    written = int(out.split()[-1])
    connection = sqlite3.connect(database)
    count = connection.execute("SELECT count(*) FROM instance_values WHERE key LIKE 'live %'").fetchone()[0]
    assert count == written
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (migrations.newest(),)
    connection.close()


def test_a_writer_that_holds_the_database_is_waited_for(environ: dict[str, str], database: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO instance_values VALUES ('held', '1', '2026-01-01 00:00:00')")
    with ThreadPoolExecutor(1) as pool:
        prepared = pool.submit(app_state.prepare, load(environ))
        with pytest.raises(TimeoutError):
            prepared.result(0.5)
        connection.execute("COMMIT")
        prepared.result()
    assert connection.execute("SELECT count(*) FROM instance_values WHERE key = 'held'").fetchone() == (1,)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (migrations.newest(),)
    connection.close()
