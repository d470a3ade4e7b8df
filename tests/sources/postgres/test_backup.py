"""Backups of a real PostgreSQL server: what is in the point, and that a broken dump makes none."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from repository.browse import list_dir
from repository.entries import SourceUnavailable
from repository.errors import Cancelled
from sources.postgres import source as source_module
from sources.postgres.dump import DumpFile, DumpOptions, start_dump
from sources.postgres.errors import (
    DumpFailed,
    MissingRight,
    NoSuchDatabase,
    ProgramMissing,
    ServerUnavailable,
)
from sources.postgres.programs import find_program
from sources.postgres.restore import restore_to_new
from sources.postgres.server import Server
from sources.postgres.source import DATABASES, PostgresSource, dump_path
from tests.repository.engine import Restic, latest, new_local_repo, new_repo
from tests.servers.postgres import PASSWORD, Cluster, running
from tests.sources.postgres.making import back_up, store
from tests.waiting import wait_for


def test_a_point_holds_dump_globals_and_manifest(postgres: Cluster, database: str) -> None:
    postgres.run("CREATE TABLE t AS SELECT g FROM generate_series(1, 1234) g", database=database)
    point = back_up(postgres.tcp, [database])
    assert point.problems == []
    assert point.read(dump_path(database)).startswith(b"PGDMP")
    assert b"CREATE ROLE postgres" in point.read(b"/globals.sql")
    record = point.manifest.find(database)
    assert record is not None
    assert [(table.schema, table.name, table.rows) for table in record.tables] == [("public", "t", 1234)]
    assert (record.rows_unknown, record.large_objects, record.encoding) == ("", 0, "UTF8")
    assert record.dump_bytes == len(point.read(dump_path(database)))
    assert point.manifest.globals is not None
    assert point.manifest.globals.role_passwords


def test_rows_are_counted_inside_the_dump_s_own_snapshot(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that come between the snapshot and pg_dump's start, or later, are in neither dump nor count."""
    postgres.run("CREATE TABLE t AS SELECT g FROM generate_series(1, 2000) g", database=database)
    more = "INSERT INTO t SELECT 1 FROM generate_series(1, 777)"

    def start_late(*arguments: Any) -> DumpFile:
        postgres.run(more, "CREATE TABLE u (x int)", database=database)
        file = start_dump(*arguments)
        postgres.run(more, database=database)
        return file

    monkeypatch.setattr(source_module, "start_dump", start_late)
    point = back_up(postgres.tcp, [database])
    result = restore_to_new(postgres.tcp, point.dump(database), f"{database}_new")
    postgres.drop(f"{database}_new")
    assert [(table.name, table.expected, table.found) for table in result.tables] == [("t", 2000, 2000)]
    assert result.complete


def test_real_restic_dumps_the_same_bytes(
    postgres: Cluster, database: str, restic: str, tmp_path: Path
) -> None:
    postgres.run(
        "CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 50000) g", database=database
    )
    point = back_up(postgres.tcp, [database], repo=new_local_repo(tmp_path / "repo"))
    real = Restic(restic, tmp_path / "repo")
    real.check()
    for name in (f"/databases/{database}.dump", "/manifest.json", "/globals.sql"):
        command = [restic, "-r", str(real.repo), "--no-cache", "dump", "latest", name]
        assert subprocess.check_output(command, env=real.env()) == point.read(name.encode())


def test_all_takes_every_database_and_says_what_it_leaves_out(restless: Cluster) -> None:
    names = [restless.create(name) for name in ("a/b%c", "ünï 单", 'q"uote')]
    restless.create("shut")
    restless.run("ALTER DATABASE shut ALLOW_CONNECTIONS false")
    try:
        source = PostgresSource(restless.tcp, exclude=["postgres"])
        seen = source.preview()
        assert [found.name for found in seen.databases] == sorted(names)
        assert seen.bytes > 3_000_000
        reasons = {left.name: left.reason for left in seen.left_out}
        assert reasons.keys() == {"postgres", "shut", "template0", "template1"}
        point = store(source)
        stored = {node.name for node in list_dir(point.repo, latest(point.repo), DATABASES)}
        assert stored == {b"a%2Fb%25c.dump", "ünï 单.dump".encode(), b'q"uote.dump'}
        assert {database.name for database in point.manifest.databases} == set(names)
        assert {left.name for left in point.manifest.left_out} == reasons.keys()
        assert point.problems == []
    finally:
        for name in [*names, "shut"]:
            restless.drop(name)


def test_a_database_dropped_or_made_while_all_runs_is_told(restless: Cluster) -> None:
    for name in ("goes", "stays"):
        restless.create(name)
    source = PostgresSource(restless.tcp)
    source.check()
    source.check = lambda: None  # the engine's look is behind us
    restless.drop("goes")
    restless.create("comes")
    try:
        point = store(source)
        assert {(problem.path, problem.kind) for problem in point.problems} == {
            (b"/databases/goes.dump", "vanished"),
            (b"/databases/comes.dump", "changed"),
        }
        assert point.result.files_failed == 1
        assert point.manifest.find("goes") is None
        left = {left.name for left in point.manifest.left_out}
        assert {"goes", "comes"} <= left
    finally:
        for name in ("stays", "comes"):
            restless.drop(name)


def test_a_named_database_that_is_missing_is_refused(postgres: Cluster) -> None:
    with pytest.raises(NoSuchDatabase, match="'nowhere'"):
        back_up(postgres.tcp, ["nowhere"])
    with pytest.raises(NoSuchDatabase, match="at least one"):
        PostgresSource(postgres.tcp, [])


def test_a_second_dump_of_the_same_rows_adds_little(postgres: Cluster, database: str) -> None:
    postgres.run(
        "CREATE TABLE t AS SELECT g, md5(g::text) a, md5((g + 1)::text) b FROM generate_series(1, 400000) g",
        database=database,
    )
    first = back_up(postgres.tcp, [database])
    second = back_up(postgres.tcp, [database], repo=first.repo)
    # The header's time differs, and with it a chunk, of 8 MiB at most; and the manifest.
    assert first.result.bytes_added > 30_000_000
    assert second.result.bytes_added < 17_000_000


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_pg_dump_killed_in_mid_dump_makes_no_snapshot(
    postgres: Cluster, database: str, number: signal.Signals
) -> None:
    _expect_no_snapshot(postgres, database, lambda pid: os.kill(pid, number), DumpFailed)


def test_a_backend_ended_in_mid_dump_makes_no_snapshot(postgres: Cluster, database: str) -> None:
    end = f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '{database}' AND application_name = 'pg_dump'"""
    _expect_no_snapshot(postgres, database, lambda pid: postgres.run(end), SourceUnavailable)


def test_a_server_that_dies_in_mid_dump_makes_no_snapshot() -> None:
    with running() as cluster:
        name = cluster.create("big")
        _expect_no_snapshot(
            cluster, name, lambda pid: cluster.process.send_signal(signal.SIGQUIT), SourceUnavailable
        )


def _expect_no_snapshot(cluster, database, fault, error) -> None:
    """Cause a fault once a part of a dump was read; expect the error, no snapshot and no process left."""
    cluster.run(
        "CREATE TABLE t AS SELECT g, repeat(md5(g::text), 20) x FROM generate_series(1, 60000) g",
        database=database,
    )
    source = PostgresSource(cluster.tcp, [database])
    pids = []
    true_open = source.open_files

    def open_files(paths):
        for file in true_open(paths):
            if file.path == dump_path(database):
                pid = file._child.pid
                pids.append(pid)
                fault(pid)  # the pipe holds less than the dump
            yield file

    source.open_files = open_files
    repo = new_repo()
    with pytest.raises(error) as caught:
        store(source, repo)
    assert PASSWORD not in str(caught.value)
    assert database in str(caught.value)
    assert list(repo.list_snapshots()) == []
    assert pids
    assert not os.path.exists(f"/proc/{pids[0]}")


def test_cancelling_ends_pg_dump_even_while_it_waits_for_a_lock(postgres: Cluster, database: str) -> None:
    postgres.run("CREATE TABLE t (x int)", database=database)
    started = time.monotonic()

    def cancel() -> None:
        raise Cancelled("asked to stop")

    with postgres.socket.connect(database) as session:
        session.execute("BEGIN")
        session.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(Cancelled):
            back_up(postgres.tcp, [database], waiting=cancel)
    assert time.monotonic() - started < 30
    sessions = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'"
    wait_for(lambda: postgres.ask(sessions) == [(0,)])


def test_a_locked_table_fails_after_the_time_allowed(postgres: Cluster, database: str) -> None:
    postgres.run("CREATE TABLE t (x int)", database=database)
    with postgres.socket.connect(database) as session:
        session.execute("BEGIN")
        session.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DumpFailed, match="stayed locked by somebody else"):
            back_up(postgres.tcp, [database], options=DumpOptions(lock_timeout_s=1))


@pytest.mark.timeout(240)  # without the second cancel it waits for ever
def test_a_cancel_that_comes_between_two_queries_is_repeated(
    postgres: Cluster, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_cancel, cancels = psycopg.Connection.cancel_safe, []

    def cancel(self: psycopg.Connection[Any], **more: Any) -> None:
        cancels.append(more)
        if len(cancels) > 1:  # the first one meets no query
            true_cancel(self, **more)

    monkeypatch.setattr(psycopg.Connection, "cancel_safe", cancel)
    test_a_locked_table_fails_after_the_time_allowed(postgres, database)
    assert len(cancels) > 1


def test_a_wrong_password_is_told_without_the_right_one(postgres: Cluster) -> None:
    with pytest.raises(ServerUnavailable, match="password authentication failed") as caught:
        back_up(postgres.login("postgres", "wrong-secret"))
    assert "wrong-secret" not in str(caught.value)


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ServerUnavailable, match="cannot connect"):
        back_up(Server("127.0.0.1", 1, connect_timeout_s=2))


def test_missing_rights_fail_the_dump(postgres: Cluster, database: str) -> None:
    postgres.run("CREATE TABLE secret (x int)", database=database)
    postgres.run(f"CREATE ROLE {database}_poor LOGIN PASSWORD '{PASSWORD}'")
    try:
        with pytest.raises(MissingRight, match="permission denied for table secret"):
            back_up(postgres.login(f"{database}_poor"), [database])
    finally:
        postgres.run(f"DROP ROLE {database}_poor")


def test_roles_without_passwords_are_told_and_lose_nothing(postgres: Cluster, database: str) -> None:
    user = f"{database}_poor"
    postgres.run(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
    try:
        point = back_up(postgres.login(user), [database])
        assert [(problem.path, problem.loses_data) for problem in point.problems] == [
            (b"/globals.sql", False)
        ]
        sql = point.read(b"/globals.sql")
        assert b"CREATE ROLE postgres" in sql
        assert b"PASSWORD" not in sql
        assert point.manifest.globals is not None
        assert "without" in point.manifest.globals.missing
    finally:
        postgres.run(f"DROP ROLE {user}")


def test_globals_that_cannot_be_read_are_a_warning(restless: Cluster) -> None:
    restless.run(
        "CREATE ROLE poor LOGIN PASSWORD 'x y'", "REVOKE SELECT ON pg_catalog.pg_tablespace FROM PUBLIC"
    )
    name = restless.create("one")
    try:
        point = back_up(restless.login("poor", "x y"), [name])
        assert [(problem.path, problem.kind) for problem in point.problems] == [
            (b"/globals.sql", "unreadable")
        ]
        assert "permission denied" in point.problems[0].message
        assert point.manifest.globals is not None
        assert point.manifest.globals.roles == []
    finally:
        restless.run("GRANT SELECT ON pg_catalog.pg_tablespace TO PUBLIC")
        restless.drop(name)
        restless.run("DROP ROLE poor")


def test_rows_stay_unknown_where_no_snapshot_is_exported(postgres: Cluster, database: str) -> None:
    """As behind a pooler that spreads statements over servers."""
    user = f"{database}_user"
    postgres.run(
        "CREATE TABLE t AS SELECT 1 AS x",
        "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_export_snapshot() FROM PUBLIC",
        f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data",
        database=database,
    )
    try:
        point = back_up(postgres.login(user), [database])
        record = point.manifest.find(database)
        assert record is not None
        assert [(problem.path, problem.loses_data) for problem in point.problems] == [
            (dump_path(database), False)
        ]
        assert "exports no snapshot" in record.rows_unknown
        assert [table.rows for table in record.tables] == [None]
        assert record.dump_bytes > 500
    finally:
        postgres.drop(database)
        postgres.run(f"DROP ROLE {user}")


def test_a_pg_dump_older_than_the_server_is_refused(tmp_path: Path) -> None:
    """A program of the name in a folder of its own stands for an older installation."""
    for major in ("13", "14"):
        folder = tmp_path / major
        folder.mkdir()
        script = folder / "pg_dump_test"
        script.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {major}.9'\n")
        script.chmod(0o755)
    folders = [str(tmp_path / "*")]
    assert find_program("pg_dump_test", 13, folders).major == 13
    with pytest.raises(ProgramMissing, match=r"15 or newer is needed, and the newest one here is 14\.9"):
        find_program("pg_dump_test", 15, folders)
    with pytest.raises(ProgramMissing, match="not installed"):
        find_program("pg_dump_absent", 15, folders)


def test_no_secret_is_in_an_argument_list(postgres: Cluster, database: str) -> None:
    postgres.run(
        "CREATE TABLE t AS SELECT repeat(md5(g::text), 20) x FROM generate_series(1, 20000) g",
        database=database,
    )
    source = PostgresSource(postgres.tcp, [database])
    source.check()
    file = next(source.open_files([dump_path(database)]))
    try:
        with open(f"/proc/{file._child.pid}/cmdline", "rb") as arguments:
            words = arguments.read()
        assert database.encode() in words
        assert b"geheim" not in words
        assert "geheim" not in repr(postgres.tcp)
    finally:
        file.close()


def test_what_pg_dump_leaves_out_with_a_warning_makes_one(postgres: Cluster, database: str) -> None:
    user = f"{database}_user"
    postgres.run(
        f"CREATE SUBSCRIPTION {user} CONNECTION 'host=nowhere' PUBLICATION p WITH (connect = false)",
        f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}' IN ROLE pg_read_all_data",
        database=database,
    )
    try:
        point = back_up(postgres.login(user), [database])
        assert [(problem.path, problem.kind) for problem in point.problems] == [
            (dump_path(database), "incomplete")
        ]
        assert "subscriptions not dumped" in point.problems[0].message
        assert back_up(postgres.tcp, [database]).problems == []
    finally:
        off = f"ALTER SUBSCRIPTION {user} DISABLE", f"ALTER SUBSCRIPTION {user} SET (slot_name = NONE)"
        postgres.run(*off, f"DROP SUBSCRIPTION {user}", f"DROP ROLE {user}", database=database)


def test_threads_and_sessions_end_with_the_backup(postgres: Cluster, database: str) -> None:
    before = set(threading.enumerate())
    back_up(postgres.tcp, [database])
    assert set(threading.enumerate()) <= before
