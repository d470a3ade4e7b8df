"""A config of all databases of a server while the server changes below it: the job tells the truth."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.configs import configs
from core.jobs import jobs
from core.models import Config
from core.points import points
from core.restores import database_restores
from sources.postgres.source import PostgresSource
from tests.core.making import back_up, make_storage
from tests.core.restores.test_databases import latest, log_of, restore, source_of
from tests.servers.postgres import Cluster, running

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    """A server of these tests' own: they look at all of its databases."""
    with running() as cluster:
        yield cluster


@pytest.fixture
def names(postgres: Cluster) -> Iterator[tuple[str, str, str]]:
    """Return two databases that are there, and the name of one that may come."""
    mark = secrets.token_hex(4)
    goes, stays, comes = f"goes_{mark}", f"stays_{mark}", f"comes_{mark}"
    for name in (goes, stays):
        postgres.create(name, "CREATE TABLE t AS SELECT generate_series(1, 5) AS id")
    yield goes, stays, comes
    for name in (goes, stays, comes):
        postgres.drop(name)


@pytest.fixture
def config(postgres: Cluster, tmp_path: Path) -> Config:
    """Return a config of all databases of the server."""
    make_storage(tmp_path)
    source = source_of(postgres, "", which="all", databases=[])
    return configs.create(configs.parse({"name": "All", "type": "database", "source": source}))


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something once a backup has looked which databases there are."""
    real = PostgresSource.check

    def check(source: PostgresSource) -> None:
        real(source)
        act()

    monkeypatch.setattr(PostgresSource, "check", check)


def test_one_that_is_made_meanwhile_is_told_and_joins_the_next_time(
    postgres: Cluster, names: tuple[str, str, str], config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, _, comes = names
    with monkeypatch.context() as patch:
        meanwhile(patch, lambda: postgres.create(comes))
        job = back_up(config.id)
    assert job.status == "completed", job.summary
    assert "1 database was made while it ran, and will be in the next point" in job.summary
    assert f"database '{comes}' was made after the backup began" in log_of(job)
    assert database_restores.manifest_of(latest(config)).find(comes) is None
    again = back_up(config.id)
    assert again.status == "completed", again.summary
    assert "was made while" not in again.summary
    assert database_restores.manifest_of(latest(config)).find(comes) is not None


def test_one_that_is_dropped_meanwhile_makes_a_warning_and_the_others_are_whole(
    postgres: Cluster, names: tuple[str, str, str], config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes, stays, _ = names
    with monkeypatch.context() as patch:
        meanwhile(patch, lambda: postgres.drop(goes))
        job = back_up(config.id)
    assert job.status == "warning", job.summary
    assert f"{goes}' was dropped after the backup began" in log_of(job)
    point = latest(config)
    assert point.warnings == 1
    back = restore(point, f"{stays}_again", database=stays)
    assert back.status == "completed", back.summary
    assert postgres.ask("SELECT count(*) FROM t", f"{stays}_again") == [(5,)]
    postgres.drop(f"{stays}_again")


def test_a_server_that_goes_while_it_runs_makes_no_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_storage(tmp_path)
    with running() as cluster:
        source = source_of(cluster, "postgres")
        config = configs.create(configs.parse({"name": "Gone", "type": "database", "source": source}))
        meanwhile(monkeypatch, cluster.stop)
        job = back_up(config.id)
    assert job.status == "failed", job.summary
    assert "no good point of this config yet" in job.meaning
    assert "See that the server runs" in job.advice
    assert points.latest(config.id) is None
    assert jobs.get(job.id).ended


def test_a_disk_that_fills_up_on_the_server_is_told_as_such(
    postgres: Cluster, names: tuple[str, str, str], config: Config
) -> None:
    """A limit on the size of files stands for the full disk."""
    _, stays, _ = names
    postgres.run(
        "CREATE TABLE large AS SELECT repeat(md5(g::text), 20) x FROM generate_series(1, 12000) g",
        database=stays,
    )
    assert back_up(config.id).status == "completed"
    with running(limits=("prlimit", "--fsize=4000000")) as other:
        source = source_of(other, "postgres")
        there = configs.create(configs.parse({"name": "Small", "type": "database", "source": source}))
        job = restore(latest(config), "copy", database=stays, server_config_id=there.id)
        assert job.status == "failed"
        assert "ran out of space" in job.summary
        assert "Make room on the server" in job.advice
        assert other.ask("SELECT datname FROM pg_database WHERE datname LIKE 'copy%'") == []
