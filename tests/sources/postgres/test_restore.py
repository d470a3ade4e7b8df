"""Restores into a real PostgreSQL server: the same data, and no "complete" that is not."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest

from repository.errors import Damaged
from sources.postgres import swap
from sources.postgres.errors import RestoreFailed, RestoreRefused, RestoreTargetFull, ServerUnavailable
from sources.postgres.manifest import Extension
from sources.postgres.restore import (
    Dump,
    RestoreOptions,
    accept,
    errors_of,
    restore_in_place,
    restore_to_new,
)
from sources.postgres.roles import restore_roles, split_statements
from sources.postgres.server import Server
from tests.servers.postgres import PASSWORD, Cluster, running
from tests.sources.postgres.making import HURTING, back_up, contents
from tests.waiting import wait_for

NOW = datetime(2026, 11, 23, 2, 0, 5, tzinfo=UTC)


@pytest.fixture
def new_name(postgres: Cluster, database: str) -> Iterator[str]:
    name = f"{database}_new"
    yield name
    postgres.drop(name)


def names_like(cluster: Cluster, part: str) -> list[str]:
    asked = f"SELECT datname FROM pg_database WHERE strpos(datname, '{part}') > 0 ORDER BY 1"
    return [name for (name,) in cluster.ask(asked)]


def test_all_that_hurts_comes_back_after_the_database_is_gone(postgres: Cluster, database: str) -> None:
    roles = [f'{database}_o"wner', f"{database}_reader"]
    owner, reader = ('"' + role.replace('"', '""') + '"' for role in roles)
    postgres.run(
        *HURTING,
        f"CREATE ROLE {owner} LOGIN PASSWORD 'x' VALID UNTIL '2040-01-01'",
        f"CREATE ROLE {reader} NOLOGIN IN ROLE pg_monitor",
        f"GRANT {reader} TO {owner}",
        f"ALTER TABLE kinds OWNER TO {owner}",
        f"GRANT SELECT (id, raw) ON kinds TO {reader} WITH GRANT OPTION",
        f"GRANT ALL ON base TO {owner}",
        f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}",
        f"GRANT CONNECT ON DATABASE {database} TO {reader}",
        f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
        f"COMMENT ON DATABASE {database} IS 'it''s here'",
        f'ALTER DATABASE {database} SET search_path TO public, "Größe ""und"" 单位"',
        f"ALTER DATABASE {database} SET my.own TO 'a, b'",
        f"ALTER ROLE {reader} IN DATABASE {database} SET work_mem TO '7MB'",
        f"ALTER DATABASE {database} CONNECTION LIMIT 33",
        database=database,
    )
    before, outside = contents(postgres, database), _outside(postgres, database)
    point = back_up(postgres.tcp, [database])
    assert point.problems == []
    postgres.drop(database)
    postgres.run(f"DROP ROLE {owner}", f"DROP ROLE {reader}")

    result = restore_to_new(postgres.tcp, point.dump(database, roles=True), database)
    try:
        assert result.errors == []
        assert {table.verdict for table in result.tables} == {"equal"}
        assert result.large_objects is not None
        assert (result.large_objects.found, result.large_objects.verdict) == (2, "equal")
        assert result.complete
        assert result.in_place
        assert result.roles is not None
        assert set(result.roles.made) == set(roles)
        assert contents(postgres, database) == before
        assert _outside(postgres, database) == outside
        members = f"SELECT count(*) FROM pg_auth_members WHERE member = '{owner}'::regrole"
        assert postgres.ask(members) == [(1,)]
    finally:
        postgres.drop(database)
        postgres.run(f"DROP ROLE IF EXISTS {owner}", f"DROP ROLE IF EXISTS {reader}")


def _outside(cluster: Cluster, database: str) -> list[object]:
    """Return what is kept for a database outside of it."""
    rights = f"""SELECT pg_get_userbyid(datdba), datcollate, datconnlimit,
        shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{database}'"""
    grants = f"""SELECT grantee::regrole::text, privilege_type FROM pg_database, aclexplode(datacl)
        WHERE datname = '{database}' ORDER BY 1, 2"""
    settings = f"""SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting JOIN pg_database d
        ON d.oid = setdatabase WHERE datname = '{database}' ORDER BY 1"""
    return [cluster.ask(rights), cluster.ask(grants), cluster.ask(settings)]


def test_another_server_gets_the_data_and_the_roles(postgres: Cluster, database: str) -> None:
    role = f"{database}_app"
    postgres.run(
        f"CREATE ROLE {role} LOGIN PASSWORD 'p;''x\"'",
        f"COMMENT ON ROLE {role} IS 'a; b''\n;c'",
        "CREATE TABLE t AS SELECT g FROM generate_series(1, 1000000) g",
        f"ALTER TABLE t OWNER TO {role}",
        database=database,
    )
    point = back_up(postgres.tcp, [database])
    try:
        with running() as other:
            with pytest.raises(RestoreRefused, match=f"lacks the roles '{role}'"):
                restore_to_new(other.tcp, point.dump(database), "copy")
            assert names_like(other, "copy") == []
            result = restore_to_new(other.tcp, point.dump(database, roles=True), "copy")
            assert result.complete
            assert [(table.expected, table.found) for table in result.tables] == [(1000000, 1000000)]
            assert contents(other, "copy") == contents(postgres, database)
            comment = f"SELECT shobj_description('{role}'::regrole, 'pg_authid'), rolpassword FROM pg_authid"
            mine = f"{comment} WHERE rolname = '{role}'"
            assert other.ask(mine) == postgres.ask(mine)
            plain = restore_to_new(other.tcp, point.dump(database), "plain", RestoreOptions(owners=False))
            assert plain.complete
    finally:
        postgres.drop(database)
        postgres.run(f"DROP ROLE {role}")


def test_a_restore_in_place_keeps_what_was_there(postgres: Cluster, database: str) -> None:
    postgres.run("CREATE TABLE t AS SELECT g FROM generate_series(1, 100) g", database=database)
    point = back_up(postgres.tcp, [database])
    postgres.run("DELETE FROM t WHERE g > 10", database=database)
    with postgres.socket.connect(database) as user:  # a program that uses it: it is cut off
        result = restore_in_place(postgres.tcp, point.dump(database), database, now=NOW)
        assert user.execute is not None
    assert (result.complete, result.in_place) == (True, True)
    assert result.previous == f"{database}_before_20261123T020005Z"
    try:
        assert postgres.ask("SELECT count(*) FROM t", database) == [(100,)]
        assert postgres.ask("SELECT count(*) FROM t", result.previous) == [(10,)]
        assert names_like(postgres, database) == [database, result.previous]
        assert [left.name for left in swap.leftovers(postgres.tcp) if database in left.name] == [
            result.previous
        ]
        again = restore_in_place(postgres.tcp, point.dump(database), database, now=NOW)
        assert again.previous == f"{result.previous}_2"
        swap.discard(postgres.tcp, again.previous)
    finally:
        swap.discard(postgres.tcp, result.previous)
    with pytest.raises(RestoreRefused, match="not made by a restore"):
        swap.discard(postgres.tcp, database)


def test_programs_that_connect_again_and_again_do_not_hinder_the_change(
    postgres: Cluster, database: str
) -> None:
    postgres.run("CREATE TABLE t AS SELECT 1 AS x", database=database)
    point = back_up(postgres.tcp, [database])
    done = threading.Event()
    connected = []

    def program() -> None:
        while not done.is_set():
            try:
                with postgres.socket.connect(database) as session:
                    connected.append(1)
                    session.execute("SELECT pg_sleep(10)")
            except (psycopg.Error, ServerUnavailable):
                continue

    programs = [threading.Thread(target=program) for _ in range(3)]
    for each in programs:
        each.start()
    try:
        wait_for(lambda: bool(connected))
        result = restore_in_place(postgres.tcp, point.dump(database), database, now=NOW)
    finally:
        done.set()
        postgres.run(
            f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE strpos(datname, '{database}') > 0 AND query LIKE '%pg_sleep%' AND pid <> pg_backend_pid()"""
        )
        for each in programs:
            each.join()
    assert result.in_place
    swap.discard(postgres.tcp, result.previous)


def test_a_name_that_is_taken_is_refused(postgres: Cluster, database: str) -> None:
    point = back_up(postgres.tcp, [database])
    with pytest.raises(RestoreRefused, match="already; choose another name"):
        restore_to_new(postgres.tcp, point.dump(database), database)
    assert names_like(postgres, database) == [database]


def test_a_missing_extension_is_refused_before_anything_is_made(
    postgres: Cluster, database: str, new_name: str
) -> None:
    dump = back_up(postgres.tcp, [database]).dump(database)
    dump.record.extensions.append(Extension("postgis", "3.4"))
    with pytest.raises(RestoreRefused, match="lacks the extensions 'postgis'"):
        restore_to_new(postgres.tcp, dump, new_name)
    assert names_like(postgres, new_name) == []


def test_a_user_without_the_right_to_make_databases_is_refused(
    postgres: Cluster, database: str, new_name: str
) -> None:
    point = back_up(postgres.tcp, [database])
    user = f"{database}_poor"
    postgres.run(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
    try:
        with pytest.raises(RestoreRefused, match="may not make databases"):
            restore_to_new(postgres.login(user), point.dump(database), new_name)
    finally:
        postgres.run(f"DROP ROLE {user}")


def test_statements_that_fail_are_listed_and_the_name_is_not_given(
    postgres: Cluster, database: str, new_name: str
) -> None:
    """The rows are all there, but an index cannot be made: a person decides."""
    postgres.run(
        "CREATE FUNCTION two() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 2'",
        "CREATE TABLE u AS SELECT g FROM generate_series(1, 5) g",
        "CREATE UNIQUE INDEX once ON u ((CASE WHEN two() = 3 THEN 0 ELSE g END))",
        # Now the index could not be built again: each row has the same key.
        "CREATE OR REPLACE FUNCTION two() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 3'",
        database=database,
    )
    point = back_up(postgres.tcp, [database])
    result = restore_to_new(postgres.tcp, point.dump(database), new_name)
    assert len(result.errors) == 1
    assert "could not create unique index" in result.errors[0]
    assert "UNIQUE INDEX once" in result.errors[0]
    assert result.rows_agree
    assert not result.complete
    assert not result.in_place
    assert names_like(postgres, new_name) == [result.database]
    accept(postgres.tcp, result.database, new_name)
    assert postgres.ask("SELECT count(*) FROM u", new_name) == [(5,)]


def test_rows_that_do_not_arrive_are_seen_and_the_database_is_dropped(
    postgres: Cluster, database: str, new_name: str
) -> None:
    postgres.run("CREATE TABLE t AS SELECT g FROM generate_series(1, 50) g", database=database)
    dump = back_up(postgres.tcp, [database]).dump(database)
    dump.record.tables[0].rows = 51
    result = restore_to_new(postgres.tcp, dump, new_name)
    assert [(table.expected, table.found, table.verdict) for table in result.tables] == [
        (51, 50, "different")
    ]
    assert result.errors == []
    assert not result.complete
    assert result.dropped
    assert names_like(postgres, new_name) == []


def test_rows_of_unknown_number_are_not_called_equal(postgres: Cluster, database: str, new_name: str) -> None:
    postgres.run("CREATE TABLE t AS SELECT 1 AS x", database=database)
    dump = back_up(postgres.tcp, [database]).dump(database)
    dump.record.tables[0].rows = None
    result = restore_to_new(postgres.tcp, dump, new_name)
    assert [table.verdict for table in result.tables] == ["unknown"]
    assert (result.complete, result.rows_unknown) == (True, True)


def test_rows_that_a_policy_hides_are_unknown_and_not_called_missing(
    postgres: Cluster, database: str, new_name: str
) -> None:
    postgres.run(
        "CREATE TABLE t AS SELECT g FROM generate_series(1, 50) g",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE t FORCE ROW LEVEL SECURITY",
        "CREATE POLICY none ON t USING (false)",
        database=database,
    )
    point = back_up(postgres.tcp, [database])
    user = f"{database}_maker"
    postgres.run(f"CREATE ROLE {user} LOGIN CREATEDB PASSWORD '{PASSWORD}'")
    try:
        own = RestoreOptions(owners=False)
        result = restore_to_new(postgres.login(user), point.dump(database), new_name, own)
        assert [(table.name, table.verdict) for table in result.tables] == [("t", "unknown")]
        assert result.errors == []
        assert "could not be counted" in " ".join(result.notes)
        assert postgres.ask("SELECT count(*) FROM t", new_name) == [(50,)]
    finally:
        postgres.drop(new_name)
        postgres.run(f"DROP ROLE {user}")


def test_roles_that_are_there_are_not_touched(postgres: Cluster, database: str) -> None:
    old, new = f"{database}_old", f"{database}_new_role"
    postgres.run(f"CREATE ROLE {old} LOGIN PASSWORD 'first'", f"CREATE ROLE {new} IN ROLE {old}")
    password = f"SELECT rolpassword, rolcanlogin FROM pg_authid WHERE rolname = '{old}'"
    try:
        dump = back_up(postgres.tcp, [database]).read(b"/globals.sql")
        postgres.run(f"DROP ROLE {new}", f"ALTER ROLE {old} NOLOGIN PASSWORD 'second'")
        before = postgres.ask(password)
        result = restore_roles(postgres.tcp, dump)
        assert (result.made, result.errors) == ([new], [])
        assert {old, "postgres"} <= set(result.kept)
        assert postgres.ask(password) == before
        assert postgres.ask(f"SELECT pg_has_role('{new}', '{old}', 'MEMBER')") == [(True,)]
    finally:
        postgres.run(f"DROP ROLE IF EXISTS {new}", f"DROP ROLE {old}")


def test_statements_are_split_where_they_end() -> None:
    text = """-- a; comment
\\restrict xyz
CREATE ROLE "a;""b";
ALTER ROLE x SET s TO 'it''s; -- no comment
\\n';
GRANT g TO "a;""b" WITH ADMIN OPTION GRANTED BY postgres;
SELECT 5-3;
"""
    assert list(split_statements(text)) == [
        'CREATE ROLE "a;""b"',
        "ALTER ROLE x SET s TO 'it''s; -- no comment\n\\n'",
        'GRANT g TO "a;""b" WITH ADMIN OPTION',
        "SELECT 5-3",
    ]


def test_a_dump_that_breaks_off_leaves_nothing(postgres: Cluster, database: str, new_name: str) -> None:
    postgres.run(
        "CREATE TABLE t AS SELECT repeat(md5(g::text), 20) x FROM generate_series(1, 20000) g",
        database=database,
    )
    dump = back_up(postgres.tcp, [database]).dump(database)
    whole = b"".join(dump.content)

    def cut() -> Iterator[bytes]:
        yield whole[:500_000]
        raise Damaged("a pack is damaged")

    with pytest.raises(Damaged):
        restore_to_new(postgres.tcp, Dump(dump.manifest, dump.record, cut()), new_name)
    assert names_like(postgres, new_name) == []
    short = Dump(dump.manifest, dump.record, [whole[:500_000]])
    result = restore_to_new(postgres.tcp, short, new_name)
    assert "end of file" in result.errors[0]
    assert not result.complete
    assert names_like(postgres, new_name) == []
    kept = restore_to_new(
        postgres.tcp,
        Dump(dump.manifest, dump.record, [whole[:500_000]]),
        new_name,
        RestoreOptions(keep_failed=True),
    )
    assert names_like(postgres, new_name) == [kept.database]
    swap.discard(postgres.tcp, kept.database)


def test_a_server_that_dies_in_mid_restore_is_told(postgres: Cluster, database: str) -> None:
    postgres.run(
        "CREATE TABLE t AS SELECT repeat(md5(g::text), 20) x FROM generate_series(1, 20000) g",
        database=database,
    )
    dump = back_up(postgres.tcp, [database]).dump(database)
    whole = b"".join(dump.content)
    with running() as other:

        def dying() -> Iterator[bytes]:
            yield whole[: len(whole) // 2]
            other.process.send_signal(signal.SIGQUIT)  # at once, its sessions with it
            other.process.wait()
            yield whole[len(whole) // 2 :]

        with pytest.raises((RestoreFailed, ServerUnavailable)) as caught:
            restore_to_new(other.tcp, Dump(dump.manifest, dump.record, dying()), "copy")
        notes = " ".join(getattr(caught.value, "__notes__", []))
        assert "is left on" in notes


def test_a_disk_that_fills_up_in_mid_restore_is_told(postgres: Cluster, database: str) -> None:
    """A limit on the size of files stands for the full disk: the server's writes fail in the same place."""
    postgres.run(
        "CREATE TABLE t AS SELECT repeat(md5(g::text), 20) x FROM generate_series(1, 20000) g",
        database=database,
    )
    point = back_up(postgres.tcp, [database])
    with running(limits=("prlimit", "--fsize=4000000")) as other:
        with pytest.raises(RestoreTargetFull, match="ran out of space"):
            restore_to_new(other.tcp, point.dump(database), "copy")
        assert names_like(other, "copy") == []


def test_a_server_that_is_not_there_is_told(postgres: Cluster, database: str) -> None:
    point = back_up(postgres.tcp, [database])
    with pytest.raises(ServerUnavailable):
        restore_to_new(Server("127.0.0.1", 1, connect_timeout_s=2), point.dump(database), "x")


def test_a_long_name_leaves_room_for_what_is_added(postgres: Cluster) -> None:
    name = "ü" * 31  # 62 of 63 bytes
    postgres.create(name)
    try:
        point = back_up(postgres.tcp, [name])
        result = restore_in_place(postgres.tcp, point.dump(name), name, now=NOW)
        assert result.in_place
        assert result.previous.startswith("üüü")
        swap.discard(postgres.tcp, result.previous)
    finally:
        postgres.drop(name)


def test_the_errors_of_pg_restore_are_told_with_what_they_are_about() -> None:
    messages = [
        "pg_restore: warning: something",
        "DETAIL: Not an error.",
        "pg_restore: error: could not execute query: ERROR: could not create unique index",
        "DETAIL: Key is duplicated.",
        "Command was: CREATE UNIQUE INDEX once",
        "pg_restore: warning: errors ignored on restore: 1",
    ]
    assert errors_of(messages) == [
        "could not execute query: ERROR: could not create unique index DETAIL: Key is duplicated. "
        "Command was: CREATE UNIQUE INDEX once"
    ]
