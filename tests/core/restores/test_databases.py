"""Databases of a real PostgreSQL server: backed up by a config, restored by a job, and the truth of both."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from core.configs import config_source, configs, states
from core.db import db
from core.errors import Invalid, Refused
from core.jobs import attempts, jobs
from core.jobs.attempts import Attempt
from core.models import Config, Job, Point
from core.points import browse, points
from core.restores import database_restores, database_restoring, restore_watch, restores
from sources.postgres import activity
from sources.postgres.restore import Dump, RestoreOptions, RestoreResult, restore_to_new
from tests.core.making import back_up, make_config, make_storage, make_tree, run
from tests.core.restores.test_restores import spoil_pack
from tests.servers.postgres import PASSWORD, Cluster

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def shop(postgres: Cluster, database: str) -> Iterator[str]:
    """Return the name of a database with two tables; what is restored from it is dropped afterwards."""
    postgres.run(
        "CREATE TABLE articles (id int PRIMARY KEY, name text)",
        "INSERT INTO articles SELECT g, 'article ' || g FROM generate_series(1, 500) g",
        "CREATE TABLE empty (id int)",
        database=database,
    )
    yield database
    postgres.drop(f"{database}_new")


def source_of(cluster: Cluster, name: str, **more: Any) -> dict[str, Any]:
    """Return what a form says of a server and one database."""
    chosen = {"which": "chosen", "databases": [name]}
    return {"host": "127.0.0.1", "port": cluster.port, "password": PASSWORD, **chosen, **more}


def make_database_config(cluster: Cluster, name: str, **more: Any) -> Config:
    """Make a config that dumps one database of a server."""
    return configs.create(
        configs.parse({"name": "Shop", "type": "database", "source": source_of(cluster, name, **more)})
    )


@pytest.fixture
def config(postgres: Cluster, shop: str, tmp_path: Path) -> Config:
    """Return a config of the shop, with a storage."""
    make_storage(tmp_path)
    return make_database_config(postgres, shop)


def latest(config: Config) -> Point:
    """Return the newest point of a config."""
    found = points.latest(config.id)
    assert found is not None
    return found


def restore(point: Point, to: str, **more: Any) -> Job:
    """Ask for a restore into a new database and run it."""
    given = database_restores.validate({"point_id": point.id, "to": to, **more})
    return run(database_restores.create(given))


def log_of(job: Job) -> str:
    """Return the whole log of a job."""
    return "\n".join(f"{line.level}: {line.message}" for line in jobs.log_lines(job.id).items)


def test_a_database_that_was_destroyed_comes_back_with_its_rows_proven(
    postgres: Cluster, shop: str, config: Config
) -> None:
    job = back_up(config.id)
    assert job.status == "completed", job.summary + log_of(job)
    assert f"Dumped {shop}: 2 tables, 500 rows" in log_of(job)
    before = postgres.ask("SELECT * FROM articles ORDER BY id", shop)
    postgres.drop(shop)
    job = restore(latest(config), shop)
    assert (job.status, job.problems) == ("completed", 0), job.summary + log_of(job)
    assert "2 tables, 500 rows" in job.summary
    assert postgres.ask("SELECT * FROM articles ORDER BY id", shop) == before
    result = restores.of_job(job.id).database["result"]
    found = {
        (table["name"], table["expected"], table["found"], table["verdict"]) for table in result["tables"]
    }
    assert {("articles", 500, 500, "equal"), ("empty", 0, 0, "equal")} <= found
    assert result["database"] == shop


def test_the_password_is_sealed_and_stands_nowhere_else(config: Config) -> None:
    stored = db.session.get_one(Config, config.id)
    assert PASSWORD not in repr(stored.source) + stored.secrets_sealed
    assert "password" not in stored.source
    assert config_source.password_of(stored) == PASSWORD
    assert PASSWORD not in repr(configs.to_input(stored))


def test_a_url_sets_the_connection_and_is_not_kept(postgres: Cluster, shop: str, tmp_path: Path) -> None:
    make_storage(tmp_path)
    url = f"postgresql://postgres:geheim@127.0.0.1:{postgres.port}/{shop}?sslmode=disable"
    source = {"url": url, "which": "chosen", "databases": shop}
    made = configs.create(configs.parse({"name": "URL", "type": "database", "source": source}))
    assert (made.source["host"], made.source["port"]) == ("127.0.0.1", postgres.port)
    assert (made.source["database"], made.source["ssl_mode"]) == (shop, "disable")
    assert "url" not in made.source
    assert config_source.password_of(made) == "geheim"


def test_a_change_keeps_the_password_but_never_for_another_server(postgres: Cluster, config: Config) -> None:
    data = configs.to_input(config)
    configs.update(config.id, data.model_copy(update={"name": "Renamed"}))
    assert config_source.password_of(configs.get(config.id)) == PASSWORD
    elsewhere = data.source.model_copy(update={"host": "evil.example"})
    with pytest.raises(Invalid, match="Type the password again"):
        configs.update(config.id, data.model_copy(update={"source": elsewhere}))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"host": ""}, "host"),
        ({"url": "postgresql://u:geheim@h:port/d"}, "url"),
        ({"ssl_mode": "verify-full"}, "host"),
        ({"databases": []}, "databases"),
        ({"port": "many"}, "port"),
    ],
)
def test_what_cannot_be_is_refused_by_field_without_the_password(wrong: dict[str, Any], field: str) -> None:
    source = {"host": "db", "password": "geheim", "which": "chosen", "databases": ["a"], **wrong}
    with pytest.raises(Invalid) as caught:
        configs.parse({"name": "x", "type": "database", "source": source})
    assert list(caught.value.fields) == [field]
    assert "geheim" not in repr(caught.value) + repr(caught.value.__cause__)


def test_the_preview_names_databases_sizes_and_missing_rights(postgres: Cluster, shop: str) -> None:
    user = f"{shop}_reader"
    postgres.run(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'")
    try:
        source = source_of(postgres, shop, user=user)
        data = configs.parse({"name": "x", "type": "database", "source": source})
        found = configs.preview(data)
        assert isinstance(found, config_source.DatabasePreview)
        assert [(each.name, (each.size_bytes or 0) > 0) for each in found.found.databases] == [(shop, True)]
        assert found.stops
        assert any("pg_read_all_data" in finding.remedy for finding in found.findings)
        assert "CREATE ROLE" in found.user_sql
        with pytest.raises(Invalid, match="Cannot connect") as caught:
            configs.preview(
                configs.parse({"name": "x", "type": "database", "source": {**source, "password": "no"}})
            )
        assert "host" in caught.value.fields
    finally:
        postgres.run(f"DROP ROLE {user}")


def test_a_server_that_refuses_makes_no_point_and_says_what_to_do(
    postgres: Cluster, shop: str, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    config = make_database_config(postgres, shop, password="wrong")
    job = back_up(config.id)
    assert job.status == "failed"
    assert "cannot connect" in job.summary.lower()
    assert "server runs" in job.advice
    assert points.latest(config.id) is None


def test_a_name_that_is_taken_is_refused_before_anything_happens(shop: str, config: Config) -> None:
    back_up(config.id)
    with pytest.raises(Invalid, match="choose another name"):
        restore(latest(config), shop)


def test_a_database_that_the_point_lacks_is_refused(shop: str, config: Config) -> None:
    back_up(config.id)
    with pytest.raises(Invalid, match="does not hold"):
        restore(latest(config), f"{shop}_new", database="other")


def test_a_point_of_files_is_no_dump(tmp_path: Path) -> None:
    make_storage(tmp_path)
    files = make_config(make_tree(tmp_path / "tree"))
    back_up(files.id)
    with pytest.raises(Invalid, match="holds no dump"):
        restore(latest(files), "anything")


def test_rows_that_were_not_counted_are_a_warning_never_completed(
    postgres: Cluster, shop: str, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sources.postgres import source as source_module
    from sources.postgres.dump import DumpOptions

    # As behind a pooler, which exports no snapshot.
    options = DumpOptions(count_rows=False)
    init = source_module.PostgresSource.__init__

    def uncounted(self: Any, *given: Any, **more: Any) -> None:
        init(self, *given, **{**more, "options": options})

    with monkeypatch.context() as patch:
        patch.setattr(source_module.PostgresSource, "__init__", uncounted)
        assert back_up(config.id).status == "completed"
    job = restore(latest(config), f"{shop}_new")
    assert job.status == "warning", job.summary
    assert "not all of them proven" in job.summary


def test_a_damaged_dump_fails_and_leaves_no_database(
    postgres: Cluster, shop: str, config: Config, tmp_path: Path
) -> None:
    back_up(config.id)
    job = database_restores.create(
        database_restores.validate({"point_id": latest(config).id, "to": f"{shop}_new"})
    )
    spoil_pack(tmp_path / "backups" / "repository", data=True)
    ended = run(job)
    assert ended.status == "failed", ended.summary
    asked = f"SELECT datname FROM pg_database WHERE datname LIKE '{shop}_%'"
    assert postgres.ask(asked) == []


def test_a_server_that_is_away_is_said_before_a_restore_is_made(
    shop: str, config: Config, postgres: Cluster
) -> None:
    back_up(config.id)
    dead = make_config_elsewhere(config)
    with pytest.raises(Refused, match="Cannot connect"):
        restore(latest(config), f"{shop}_new", server_config_id=dead.id)


def make_config_elsewhere(config: Config) -> Config:
    """Make a config of a server that does not run: port 1 of this machine."""
    source = {**config.source, "port": 1, "password": ""}
    return configs.create(configs.parse({"name": "Dead", "type": "database", "source": source}))


def test_the_files_of_a_point_can_be_browsed(shop: str, config: Config) -> None:
    back_up(config.id)
    rows = {row.name for row in browse.list_dir(latest(config))}
    assert rows == {"databases", "globals.sql", "manifest.json"}


def test_in_place_the_old_database_is_dumped_first_and_kept_aside(
    postgres: Cluster, shop: str, config: Config
) -> None:
    back_up(config.id)
    postgres.run("DELETE FROM articles WHERE id > 10", database=shop)
    given = {"point_id": latest(config).id, "to": shop, "in_place": True}
    job = database_restores.create(database_restores.validate(given))
    assert run(job).phase == "waiting"  # nothing is touched before the safety dump
    assert postgres.ask("SELECT count(*) FROM articles", shop) == [(10,)]
    safety = run(jobs.get(restores.safety_job_of(job) or 0))
    assert safety.status == "completed"
    jobs.hasten(job.id)
    ended = run(jobs.get(job.id))
    assert ended.status == "completed", ended.summary + log_of(ended)
    assert postgres.ask("SELECT count(*) FROM articles", shop) == [(500,)]
    previous = restores.of_job(job.id).database["result"]["previous"]
    assert previous in ended.meaning
    assert postgres.ask("SELECT count(*) FROM articles", previous) == [(10,)]
    postgres.drop(previous)
    assert f"Dumped {shop}: 2 tables, 10 rows" in log_of(safety)


def test_without_a_good_safety_dump_nothing_is_touched(postgres: Cluster, shop: str, config: Config) -> None:
    back_up(config.id)
    given = {"point_id": latest(config).id, "to": shop, "in_place": True}
    job = database_restores.create(database_restores.validate(given))
    jobs.request_cancel(restores.safety_job_of(job) or 0)
    ended = run(jobs.get(job.id))
    assert (ended.status, "safety dump" in ended.summary) == ("failed", True)
    assert postgres.ask(f"SELECT datname FROM pg_database WHERE datname LIKE '{shop}%'") == [(shop,)]


def test_in_place_of_what_is_not_there_or_not_backed_up_is_refused(shop: str, config: Config) -> None:
    back_up(config.id)
    with pytest.raises(Invalid, match="no database"):
        restore(latest(config), f"{shop}_new", in_place=True)
    with pytest.raises(Invalid, match="no safety dump"):
        restore(latest(config), "postgres", in_place=True)


def test_the_time_of_a_restore_is_held_against_the_objective(
    postgres: Cluster, shop: str, config: Config, tmp_path: Path
) -> None:
    back_up(config.id)
    assert states.facts(config).restore_time is None
    point = latest(config)
    as_files = {"point_id": point.id, "target_path": str(tmp_path / "out")}
    assert run(restores.create(restores.validate(as_files))).status == "completed"
    assert states.facts(config).restore_time is None  # files of dumps are no database yet
    job = restore(point, f"{shop}_new")
    measured = states.facts(config).restore_time
    assert measured is not None
    assert (measured.job_id, measured.objective, measured.met) == (job.id, timedelta(hours=1), True)
    assert job.started_at is not None
    assert job.ended_at is not None
    assert measured.took == job.ended_at - job.started_at


def test_a_restore_whose_server_is_still_at_work_says_so(
    config: Config, shop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building indexes takes hours, and pg_restore says nothing meanwhile."""
    back_up(config.id)
    asked = threading.Event()

    def at_work(server: object, name: str) -> str:
        asked.set()
        return f"CREATE INDEX of {name}"

    def slow(server: Any, dump: Dump, name: str, options: RestoreOptions, waiting: object) -> RestoreResult:
        result = restore_to_new(server, dump, name, options)
        for _ in range(2):  # at the second look, what came of the first is noted
            asked.clear()
            assert asked.wait(60)
        return result

    monkeypatch.setattr(restore_watch, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(activity, "at_work", at_work)
    monkeypatch.setattr(database_restoring, "restore_to_new", slow)
    seen: list[bytes] = []
    finish = attempts.finish

    def note(attempt: Attempt, *more: Any) -> None:
        seen.append(attempt.progress.current if attempt.progress else b"")
        finish(attempt, *more)

    monkeypatch.setattr(attempts, "finish", note)
    assert restore(latest(config), f"{shop}_new").status == "completed"
    assert seen == [f"CREATE INDEX of {shop}_new".encode()]
