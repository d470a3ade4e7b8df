"""The line to the server is cut in the middle: no dump that looks whole, no database that looks restored."""

from __future__ import annotations

from dataclasses import replace

import pytest

from repository.entries import SourceUnavailable
from sources.postgres.errors import RestoreFailed, ServerUnavailable
from sources.postgres.restore import restore_to_new
from sources.postgres.source import PostgresSource
from tests.repository.engine import new_repo
from tests.servers.postgres import PASSWORD, Cluster
from tests.servers.tcp_wire import wire_to
from tests.sources.postgres.making import back_up, store

ROWS = "CREATE TABLE t AS SELECT g, repeat(md5(g::text), 20) x FROM generate_series(1, 20000) g"


def test_a_line_cut_in_mid_dump_makes_no_snapshot(postgres: Cluster, database: str) -> None:
    postgres.run(ROWS, database=database)
    repo = new_repo()
    with wire_to(postgres.port) as wire:
        source = PostgresSource(replace(postgres.tcp, port=wire.port), [database])
        wire.cut_after(down=4_000_000)  # of 13 MB
        with pytest.raises(SourceUnavailable, match=database) as caught:
            store(source, repo)
        assert wire.cuts >= 1
    assert PASSWORD not in str(caught.value)
    assert list(repo.list_snapshots()) == []


def test_a_line_cut_in_mid_restore_leaves_no_half_database(postgres: Cluster, database: str) -> None:
    postgres.run(ROWS, database=database)
    dump = back_up(postgres.tcp, [database]).dump(database)
    with wire_to(postgres.port) as wire:
        wire.cut_after(up=4_000_000)
        try:
            complete = restore_to_new(replace(postgres.tcp, port=wire.port), dump, f"{database}_new").complete
        except (RestoreFailed, ServerUnavailable):
            complete = False
        assert wire.cuts >= 1
    assert not complete
    asked = f"SELECT datname FROM pg_database WHERE datname LIKE '{database}\\_%'"
    assert postgres.ask(asked) == []
