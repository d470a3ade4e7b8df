"""Preparing a process: private files, one master key, a migrated database, from many processes at once."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from core import app_state, secrets
from core.settings import SettingsError, load

SECRET = "0123456789abcdef0123456789abcdef"
PLACE = {"table": "t", "row": "r", "column": "c"}


def mode_of(path: str) -> int:
    """Return the permission bits."""
    return stat.S_IMODE(os.stat(path).st_mode)


def test_all_that_it_makes_is_private(environ: dict[str, str]) -> None:
    settings = load(environ)
    before = os.umask(0)
    try:
        app_state.prepare(settings)
    finally:
        os.umask(before)
    assert mode_of(settings.data_dir) == 0o700
    names = set(os.listdir(settings.data_dir))
    assert {"master.key", "node-id", "holdfast.db"} <= names
    assert {name for name in names if mode_of(os.path.join(settings.data_dir, name)) != 0o600} == set()


def test_a_data_folder_that_others_could_read_is_closed(environ: dict[str, str]) -> None:
    settings = load(environ)
    os.mkdir(settings.data_dir, 0o755)
    app_state.prepare(settings)
    assert mode_of(settings.data_dir) == 0o700


def test_a_second_start_finds_the_same_key_and_node(environ: dict[str, str]) -> None:
    app_state.prepare(load(environ))
    node, sealed = app_state.node_id(), secrets.seal("x", **PLACE)
    app_state.prepare(load(environ))
    assert app_state.node_id() == node
    assert secrets.unseal(sealed, **PLACE) == "x"
    assert app_state.boot_id() == app_state.boot_id()


def test_a_key_of_the_environment_leaves_no_file(environ: dict[str, str]) -> None:
    settings = load(environ | {"HOLDFAST_SECRET_KEY": SECRET})
    app_state.prepare(settings)
    assert "master.key" not in os.listdir(settings.data_dir)


def test_a_lost_master_key_file_is_not_replaced(environ: dict[str, str]) -> None:
    settings = load(environ)
    app_state.prepare(settings)
    path = os.path.join(settings.data_dir, "master.key")
    os.rename(path, path + ".away")
    with pytest.raises(SettingsError, match="missing"):
        app_state.prepare(settings)
    assert not os.path.exists(path)
    os.rename(path + ".away", path)
    app_state.prepare(settings)


@pytest.mark.parametrize("content", ["", "f" * 64])
def test_another_master_key_file_stops_the_start(environ: dict[str, str], content: str) -> None:
    settings = load(environ)
    app_state.prepare(settings)
    Path(settings.data_dir, "master.key").write_text(content)
    with pytest.raises(SettingsError, match=r"master\.key"):
        app_state.prepare(settings)


def test_another_master_key_in_the_environment_stops_the_start(environ: dict[str, str]) -> None:
    app_state.prepare(load(environ))
    with pytest.raises(SettingsError, match="HOLDFAST_SECRET_KEY") as caught:
        app_state.prepare(load(environ | {"HOLDFAST_SECRET_KEY": SECRET}))
    assert SECRET not in str(caught.value)


def test_a_data_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="HOLDFAST_DATA_DIR"):
        app_state.prepare(load({"HOLDFAST_DATA_DIR": str(tmp_path / "file" / "data")}))


def test_a_database_that_is_none_is_a_sentence(environ: dict[str, str]) -> None:
    settings = load(environ)
    os.mkdir(settings.data_dir)
    Path(settings.data_dir, "holdfast.db").write_bytes(b"this is no database" * 1000)
    with pytest.raises(SettingsError, match="not a database"):
        app_state.prepare(settings)


def test_a_database_that_cannot_be_reached_keeps_its_password_to_itself(environ: dict[str, str]) -> None:
    url = "postgresql+psycopg://user:hush-hush@127.0.0.1:1/db"
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        app_state.prepare(load(environ | {"DATABASE_URL": url}))
    assert "hush-hush" not in str(caught.value)


def test_a_database_of_a_newer_version_is_left_alone(environ: dict[str, str]) -> None:
    settings = load(environ)
    app_state.prepare(settings)
    path = os.path.join(settings.data_dir, "holdfast.db")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    with pytest.raises(SettingsError, match="9999"):
        app_state.prepare(settings)


def _prepare_in_process(environ: dict[str, str], gate: object, results: object) -> None:
    gate.wait(120)  # type: ignore[attr-defined]
    app_state.prepare(load(environ))
    results.put((app_state.node_id(), secrets.derive("test").hex()))  # type: ignore[attr-defined]


def test_many_processes_may_start_at_once_on_a_fresh_folder(environ: dict[str, str]) -> None:
    start = multiprocessing.get_context("spawn")
    gate, results = start.Barrier(4), start.Queue()
    doors = [start.Process(target=_prepare_in_process, args=(environ, gate, results)) for _ in range(4)]
    for door in doors:
        door.start()
    found = {results.get(timeout=240) for _ in doors}
    for door in doors:
        door.join(120)
    assert [door.exitcode for door in doors] == [0] * 4
    assert len(found) == 1


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # of 3.12; the child only dies
def test_a_lock_keeps_another_process_out_and_ends_with_its_holder(environ: dict[str, str]) -> None:
    app_state.prepare(load(environ))
    reading, writing = os.pipe()
    with app_state.lock("test"):
        child = os.fork()
        if child == 0:
            with app_state.lock("test"):
                os.write(writing, b"in")
                os.kill(os.getpid(), 9)
        os.set_blocking(reading, False)
        with pytest.raises(BlockingIOError):
            os.read(reading, 2)
    os.waitpid(child, 0)
    assert os.read(reading, 2) == b"in"
    with app_state.lock("test"):
        os.close(reading)
        os.close(writing)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")
def test_a_full_disk_is_a_sentence_and_leaves_no_half_key(environ: dict[str, str], tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=False).returncode:
        pytest.skip("this place allows no mounts")
    try:
        filler = small / "filler"
        filler.write_bytes(b"x" * 65536)
        with pytest.raises(SettingsError, match=r"(?i)disk is full|no space"):
            app_state.prepare(load(environ | {"HOLDFAST_DATA_DIR": str(small)}))
        filler.unlink()
        assert [path.name for path in small.iterdir() if path.suffix == ".new"] == []
        with pytest.raises(SettingsError, match=r"(?i)disk is full|no space"):  # too small for a database
            app_state.prepare(load(environ | {"HOLDFAST_DATA_DIR": str(small)}))
    finally:
        subprocess.run(["umount", str(small)], check=True)
