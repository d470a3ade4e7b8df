"""What the tests share: a backup in a line, its dumps for a restore, a database of all that hurts."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import sql

from repository.backup import BackupOptions, BackupResult, backup
from repository.browse import find_node, read_file
from repository.entries import Problem
from repository.locks import lock_repository
from repository.repository import Repository
from sources.postgres import catalog, manifest
from sources.postgres.manifest import Manifest
from sources.postgres.restore import Dump
from sources.postgres.server import Server
from sources.postgres.source import GLOBALS, MANIFEST, PostgresSource, dump_path
from sources.postgres.work_folder import WorkFolder
from tests.repository.engine import latest, new_repo
from tests.servers.postgres import Cluster, program


@dataclass
class Point:
    """A backup that was made: its repository, the problems it reported, and what can be restored from it."""

    repo: Repository
    result: BackupResult
    problems: list[Problem] = field(default_factory=list)

    def read(self, path: bytes) -> bytes:
        return b"".join(read_file(self.repo, find_node(self.repo, latest(self.repo), path)))

    @property
    def manifest(self) -> Manifest:
        return manifest.decode(self.read(MANIFEST))

    def dump(self, name: str, *, roles: bool = False) -> Dump:
        record = self.manifest.find(name)
        assert record is not None
        content = read_file(self.repo, find_node(self.repo, latest(self.repo), dump_path(name)))
        return Dump(self.manifest, record, content, self.read(GLOBALS) if roles else b"")


def back_up(
    server: Server, databases: list[str] | None = None, *, repo: Repository | None = None, **options: Any
) -> Point:
    return store(PostgresSource(server, databases, **options), repo)


def store(source: PostgresSource, repo: Repository | None = None) -> Point:
    repo = repo or new_repo()
    problems: list[Problem] = []
    with lock_repository(repo) as lock:
        result = backup(repo, source, BackupOptions(), lock, report=problems.append)
    return Point(repo, result, problems)


def contents(cluster: Cluster, database: str) -> dict[str, Any]:
    """Return the MD5 of each table's ordered rows and each large object, and the schema by pg_dump."""
    found: dict[str, Any] = {}
    with cluster.socket.reading(database) as session:
        for table in catalog.list_tables(session):
            query = sql.SQL(
                "SELECT count(*), md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM ONLY {} t"
            )
            name = sql.Identifier(table.schema, table.name)
            found[f"{table.schema}.{table.name}"] = session.execute(query.format(name)).fetchone()
        found["large objects"] = session.execute(
            "SELECT oid, md5(lo_get(oid)) FROM pg_largeobject_metadata ORDER BY oid"
        ).fetchall()
        found["sequences"] = session.execute(
            "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2"
        ).fetchall()
        found["matviews"] = session.execute("SELECT matviewname, ispopulated FROM pg_matviews").fetchall()
    found["schema"] = schema_of(cluster, database)
    return found


def schema_of(cluster: Cluster, database: str) -> list[str]:
    """Return the schema as SQL, line by line, without what differs from run to run."""
    command = [program("pg_dump"), "--schema-only", f"--dbname={cluster.socket.conninfo(database)}"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return [line for line in done.stdout.splitlines() if not line.startswith(("\\", "--"))]


HURTING = (
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION pgcrypto",
    "CREATE EXTENSION citext",
    'CREATE SCHEMA "Größe ""und"" 单位"',
    "CREATE TYPE mood AS ENUM ('sad', 'o''k', 'happy; --')",
    "CREATE DOMAIN positive AS int CHECK (VALUE > 0)",
    "CREATE TYPE pair AS (a int, b text[])",
    "CREATE SEQUENCE own_numbers START 17 INCREMENT 3",
    "SELECT nextval('own_numbers'), nextval('own_numbers')",
    """CREATE TABLE kinds (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        raw bytea, doc jsonb, tags text[], grid int[][], feeling mood, amount numeric(30, 10), at timestamptz,
        span tstzrange, address inet, store hstore, name citext UNIQUE, one pair, count positive, u uuid,
        f float8, number int DEFAULT nextval('own_numbers'),
        doubled numeric GENERATED ALWAYS AS (amount * 2) STORED)""",
    r"""INSERT INTO kinds (raw, doc, tags, grid, feeling, amount, at, span, address, store, name, one, count,
        u, f) SELECT decode(repeat('00ff0a0d5c', g), 'hex'), jsonb_build_object('k', g, 'ü', E'a\nb\tc\\d'),
        ARRAY['a,b', '{}', NULL, E'\\N', '', E'\x07'], ARRAY[[g, 2], [3, 4]],
        (ARRAY['sad', 'o''k', 'happy; --']::mood[])[g % 3 + 1], g / 7.0, '2026-03-29 01:30+00'::timestamptz
        + g * '17 min'::interval, tstzrange('-infinity', 'infinity'), '2001:db8::/32', hstore('a', E'b"c\n'),
        'Name' || g, ROW(g, ARRAY['x', 'ß'])::pair, g, gen_random_uuid(), 'NaN'::float8
        FROM generate_series(1, 60) g""",
    "INSERT INTO kinds (raw, f) VALUES (NULL, 'Infinity'), ('', '-0')",
    'CREATE TABLE "Größe ""und"" 单位"."Tab\tle. x" ("Spalte ""1""" int PRIMARY KEY, "%s" text)',
    """INSERT INTO "Größe ""und"" 单位"."Tab\tle. x"
        SELECT g, repeat('🙂', g % 9) FROM generate_series(1, 500) g""",
    "CREATE TABLE parted (day date, v int) PARTITION BY RANGE (day)",
    "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2026-07-01')",
    "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2026-07-01') TO ('2027-01-01')",
    "CREATE TABLE parted_rest PARTITION OF parted DEFAULT",
    "INSERT INTO parted SELECT '2026-01-01'::date + g, g FROM generate_series(1, 400) g",
    "CREATE TABLE base (a int)",
    "CREATE TABLE heir (b int) INHERITS (base)",
    "INSERT INTO base VALUES (1), (2)",
    "INSERT INTO heir VALUES (3, 4)",
    "CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS x",
    "CREATE VIEW seen AS SELECT id, doubled FROM kinds WHERE feeling = 'sad'",
    "CREATE MATERIALIZED VIEW kept AS SELECT feeling, count(*) FROM kinds GROUP BY feeling",
    """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $x$
        BEGIN INSERT INTO log VALUES (TG_OP || ';''$'); RETURN NEW; END $x$""",
    "CREATE TABLE log (line text)",
    "CREATE TRIGGER noted AFTER INSERT ON base FOR EACH ROW EXECUTE FUNCTION note()",
    "INSERT INTO base VALUES (9)",
    "CREATE INDEX by_doc ON kinds USING gin (doc)",
    "ALTER TABLE heir ADD CONSTRAINT b_small CHECK (b < 100)",
    "CREATE TABLE child (k bigint REFERENCES kinds (id) ON DELETE CASCADE)",
    "INSERT INTO child SELECT id FROM kinds WHERE id % 2 = 0",
    "SELECT lo_from_bytea(4711, decode(repeat('00aa', 40000), 'hex')), lo_from_bytea(4712, '')",
    "CREATE STATISTICS s ON a, b FROM heir",
    "CREATE PUBLICATION pub FOR TABLE kinds",
    "ALTER TABLE log ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY none ON log USING (false)",
    "COMMENT ON TABLE log IS 'it''s a \"log\"'",
)


def leave_behind(parent: Path) -> Path:
    """Leave a work folder as a killed run does: its lock is gone, all else is there."""
    work = WorkFolder(str(parent))
    detached = work._remove.detach()
    assert detached is not None
    path, fd = detached[2]
    os.close(fd)
    return Path(path)
