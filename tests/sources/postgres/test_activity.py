"""A restore that works is told from one that hangs, by what the server does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from sources.postgres.activity import _names_of, at_work
from sources.postgres.server import Session
from tests.servers.postgres import Cluster
from tests.waiting import wait_for


@pytest.fixture
def restoring(postgres: Cluster, database: str) -> Iterator[str]:
    """Return a database as a restore of `database` makes it."""
    name = postgres.create(f"{database}_restoring_0123abcd", "CREATE TABLE t (x int)")
    yield name
    postgres.drop(name)


@contextmanager
def working(session: Session, statement: str) -> Iterator[None]:
    """Let a session work at a statement, until the end of the block."""

    def work() -> None:
        try:
            session.execute(statement.encode())
        except psycopg.errors.QueryCanceled:
            return

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        while thread.is_alive():  # a cancel that comes before the statement stops nothing
            session.cancel_safe(timeout=5)
            thread.join(0.2)


def test_a_statement_that_is_worked_at_is_named_without_its_values(
    postgres: Cluster, database: str, restoring: str
) -> None:
    assert at_work(postgres.tcp, database) == ""
    with postgres.socket.connect(restoring) as session, working(session, "SELECT x FROM pg_sleep(60) AS x"):
        wait_for(lambda: at_work(postgres.tcp, database) == "SELECT x FROM pg_sleep")
        assert at_work(postgres.tcp, f"{database}x") == "", "that is of another restore"


def test_one_that_waits_for_a_lock_is_not_at_work(postgres: Cluster, database: str, restoring: str) -> None:
    waits = f"SELECT 1 FROM pg_stat_activity WHERE datname = '{restoring}' AND wait_event_type = 'Lock'"
    with postgres.socket.connect(restoring) as holder, holder.transaction():
        holder.execute("LOCK TABLE t")
        with postgres.socket.connect(restoring) as session, working(session, "TABLE t"):
            wait_for(lambda: bool(postgres.ask(waits)))
            assert at_work(postgres.tcp, database) == ""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "CREATE INDEX by_doc ON public.kinds\n USING gin (doc)",
            "CREATE INDEX by_doc ON public.kinds USING gin",
        ),
        ("COPY public.t (a, b) FROM stdin;", "COPY public.t"),
        ("ALTER TABLE t ALTER c SET DEFAULT 'secret'", "ALTER TABLE t ALTER c SET DEFAULT"),
    ],
)
def test_values_are_left_out(statement: str, said: str) -> None:
    assert _names_of(statement) == said
