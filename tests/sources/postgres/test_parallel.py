"""Parallel dumps, which go through files: the same data, no file left, and no room is said before."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from repository.browse import list_dir
from repository.entries import SourceUnavailable
from sources.postgres import work_folder
from sources.postgres.dump import DumpOptions
from sources.postgres.errors import DumpFailed, NoWorkRoom
from sources.postgres.leftovers import started, sweep
from sources.postgres.restore import Dump, RestoreOptions, restore_to_new
from sources.postgres.source import DATABASES, PostgresSource
from sources.postgres.work_folder import WorkFolder
from tests.conftest import PROJECT
from tests.repository.engine import latest, new_repo, restore_to
from tests.servers.postgres import PASSWORD, Cluster, running
from tests.sources.postgres.making import HURTING, back_up, contents, leave_behind, store
from tests.waiting import wait_for


def test_a_parallel_dump_comes_back_whole(postgres: Cluster, database: str, tmp_path: Path) -> None:
    work, restored = tmp_path / "work", tmp_path / "restored"
    work.mkdir()
    (leave_behind(work) / "x").write_text("of a backup that was killed")
    postgres.run(*HURTING, database=database)
    point = back_up(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(work)))
    assert point.problems == []
    assert os.listdir(work) == []
    record = point.manifest.find(database)
    assert record is not None
    assert (record.file, record.rows_unknown) == (f"databases/{database}.dir", "")
    restore_to(point.repo, restored)
    dump = Dump(point.manifest, record, [], folder=str(restored / record.file))
    result = restore_to_new(postgres.tcp, dump, f"{database}_new", RestoreOptions(jobs=2))
    try:
        assert result.errors == []
        assert result.complete
        assert contents(postgres, f"{database}_new") == contents(postgres, database)
    finally:
        postgres.drop(f"{database}_new")


def test_the_files_of_a_dump_are_in_the_point(postgres: Cluster, database: str, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE t AS SELECT 1 AS x", database=database)
    point = back_up(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(tmp_path)))
    folder = DATABASES + b"/" + database.encode() + b".dir"
    names = {node.name for node in list_dir(point.repo, latest(point.repo), folder)}
    assert b"toc.dat" in names
    assert len(names) == 2


def test_too_little_room_is_told_before_anything_is_written(
    postgres: Cluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NoWorkRoom, match="No such file or directory"):
        back_up(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(tmp_path / "no")))
    usage = shutil._ntuple_diskusage(1 << 40, 1 << 40, 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    repo = new_repo()
    with pytest.raises(NoWorkRoom, match=r"MB in .* are free"):
        back_up(postgres.tcp, [database], repo=repo, options=DumpOptions(jobs=2, work_folder=str(tmp_path)))
    assert list(repo.list_snapshots()) == []
    with pytest.raises(NoWorkRoom, match="choose a folder"):
        DumpOptions(jobs=2)


def test_a_file_that_is_lost_on_the_way_makes_no_snapshot(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    postgres.run("CREATE TABLE t AS SELECT 1 AS x", database=database)
    source = PostgresSource(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(tmp_path)))
    true_list = source.list_dir

    def list_and_lose(path: bytes) -> object:
        listing = true_list(path)
        for file in tmp_path.glob("*/*/toc.dat"):
            file.unlink()
        return listing

    source.list_dir = list_and_lose  # type: ignore[assignment, method-assign]
    repo = new_repo()
    with pytest.raises(DumpFailed, match=r"toc\.dat cannot be opened"):
        store(source, repo)
    assert list(repo.list_snapshots()) == []
    del source


def test_too_little_room_is_found_before_a_dump_begins(
    postgres: Cluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(1 << 40, 1 << 40, 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    source = PostgresSource(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(tmp_path)))
    with pytest.raises(NoWorkRoom, match=r"needs about \d+\.\d MB"):
        source.check()
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_folder_that_fills_up_makes_no_snapshot_and_is_left_empty(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    """The size of a database says too little where its values are kept compressed."""
    postgres.run("CREATE TABLE t AS SELECT repeat('x', 24000000) AS x", database=database)
    work = tmp_path / "work"
    work.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "none", str(work)], check=True)
    try:
        repo, options = new_repo(), DumpOptions(jobs=2, work_folder=str(work))
        with (
            closing(PostgresSource(postgres.tcp, [database], options=options)) as source,
            pytest.raises(NoWorkRoom, match="No space left on device"),
        ):
            store(source, repo)
        assert list(repo.list_snapshots()) == []
        assert os.listdir(work) == []
    finally:
        subprocess.run(["umount", "-l", str(work)], check=True)


KILLED = """
import sys
from sources.postgres.dump import DumpOptions
from sources.postgres.server import Server
from sources.postgres.source import DATABASES, PostgresSource, dump_path
name, port, password, work = sys.argv[1:]
server = Server("127.0.0.1", int(port), password=password)
source = PostgresSource(server, [name], options=DumpOptions(jobs=2, work_folder=work))
source.check()
source.list_dir(dump_path(name, folder=True))
"""


def test_what_a_killed_backup_left_is_ended_and_removed(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    """pg_dump waits for a table here: it would go on for long after its backup is dead."""
    postgres.run("CREATE TABLE t (x int)", database=database)
    with postgres.socket.connect(database) as session, session.transaction():
        session.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        arguments = [database, str(postgres.port), PASSWORD, str(tmp_path)]
        backup = subprocess.Popen([sys.executable, "-c", KILLED, *arguments], cwd=PROJECT)
        try:
            wait_for(lambda: noted(tmp_path) != 0)
            assert sweep(str(tmp_path)) == [], "it runs"
        finally:
            backup.send_signal(signal.SIGKILL)
            backup.wait()
        orphan = noted(tmp_path)
        assert len(sweep(str(tmp_path))) == 1
        assert os.listdir(tmp_path) == []
        assert not started(orphan)


def noted(work: Path) -> int:
    """Return the id of the process that uses a work folder, 0 if none is noted yet."""
    for file in work.glob("holdfast-dump-*/child"):
        return int(file.read_text().partition(" ")[0] or 0)
    return 0


def test_a_folder_in_use_is_swept_by_nobody(tmp_path: Path) -> None:
    work = WorkFolder(str(tmp_path))
    assert sweep(str(tmp_path)) == []
    assert len(os.listdir(tmp_path)) == 1
    work.close()
    assert os.listdir(tmp_path) == []


def test_a_database_dropped_while_all_are_dumped_is_told_and_the_others_are_whole(
    restless: Cluster, tmp_path: Path
) -> None:
    for name in ("goes", "stays"):
        restless.create(name)
    try:
        options = DumpOptions(jobs=2, work_folder=str(tmp_path))
        with closing(PostgresSource(restless.tcp, options=options)) as source:
            source.check()
            source.check = lambda: None  # type: ignore[method-assign]  # the engine's look is behind us
            restless.drop("goes")
            point = store(source)
        told = {problem.path: problem.loses_data for problem in point.problems}
        assert told == {DATABASES + b"/goes.dir": True}
        assert point.manifest.find("goes") is None
        assert point.manifest.find("stays") is not None
        assert os.listdir(tmp_path) == []
    finally:
        restless.drop("stays")


def test_a_server_that_dies_in_mid_dump_makes_no_snapshot_and_leaves_no_file(tmp_path: Path) -> None:
    with running() as cluster:
        name = cluster.create("big", "CREATE TABLE t (x int)")
        with suppress(psycopg.OperationalError), cluster.socket.connect(name) as session:
            session.execute("BEGIN")
            session.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")  # pg_dump waits for it
            kill = threading.Thread(target=_quit_once_begun, args=(cluster, tmp_path))
            kill.start()
            repo, options = new_repo(), DumpOptions(jobs=2, work_folder=str(tmp_path))
            with (
                closing(PostgresSource(cluster.tcp, [name], options=options)) as source,
                pytest.raises(SourceUnavailable),
            ):
                store(source, repo)
            kill.join()
        assert list(repo.list_snapshots()) == []
        assert os.listdir(tmp_path) == []


def _quit_once_begun(cluster: Cluster, work: Path) -> None:
    wait_for(lambda: noted(work) != 0)
    cluster.process.send_signal(signal.SIGQUIT)


def test_how_much_is_written_is_told_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    looked: list[int] = []
    waiting = work_folder.telling(str(tmp_path / "dump"), "shop", told.append, lambda: looked.append(1))
    waiting()
    (tmp_path / "dump").mkdir()
    (tmp_path / "dump" / "1.dat").write_bytes(bytes(2_500_000))
    waiting()
    monkeypatch.setattr(work_folder, "_TELL_EVERY_S", 0.0)
    waiting()
    place = tmp_path / "dump"
    assert told == [f"shop: 0.0 MB dumped to {place}", f"shop: 2.5 MB dumped to {place}"]
    assert len(looked) == 3
