"""Databases that restores left: listed with what they were, put in place, dropped by name only."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.db import write
from core.errors import Conflict, Invalid, NotFound, Refused
from core.jobs import jobs
from core.models import Config, Job, Restore
from core.restores import database_leftovers, restores
from tests.core.making import back_up, run
from tests.core.restores.test_databases import (
    config,
    latest,
    make_config_elsewhere,
    restore,
    shop,
)
from tests.servers.postgres import Cluster

__all__ = ["config", "shop"]

pytestmark = pytest.mark.usefixtures("context")


def in_place(config: Config, name: str) -> Job:
    """Restore the newest point of a config over a database; return the job."""
    from core.restores import database_restores

    given = database_restores.validate({"point_id": latest(config).id, "to": name, "in_place": True})
    job = database_restores.create(given)
    run(jobs.get(restores.safety_job_of(job) or 0))
    ended = run(jobs.get(job.id))
    assert ended.status == "completed", ended.summary
    return ended


def rows(postgres: Cluster, name: str) -> int:
    ((count,),) = postgres.ask("SELECT count(*) FROM articles", name)
    return int(count)


def test_the_database_before_can_be_put_back_and_then_dropped(
    postgres: Cluster, shop: str, config: Config
) -> None:
    back_up(config.id)
    postgres.run("DELETE FROM articles WHERE id > 10", database=shop)
    job = in_place(config, shop)
    ours = [left for left in database_leftovers.list_left(config) if left.meant_for == shop]
    assert [(left.kind, left.is_taken, left.job_id) for left in ours] == [("before", True, job.id)]
    before = ours[0].name

    kept = database_leftovers.put_in_place(config, before)
    assert (rows(postgres, shop), rows(postgres, kept)) == (10, 500)
    with pytest.raises(Invalid, match="Type the whole name"):
        database_leftovers.drop(config, kept, shop)
    assert rows(postgres, kept) == 500
    database_leftovers.drop(config, kept, kept)
    assert [left for left in database_leftovers.list_left(config) if left.meant_for == shop] == []
    became = restores.of_job(job.id).database["result"]["became"]
    assert became == {before: "put in place"}


def test_what_no_restore_left_is_not_touched(postgres: Cluster, shop: str, config: Config) -> None:
    for name in (shop, "postgres", f"{shop}_before_me"):
        with pytest.raises(NotFound):
            database_leftovers.drop(config, name, name)
        with pytest.raises(NotFound):
            database_leftovers.put_in_place(config, name)
    assert rows(postgres, shop) == 500


def test_a_restore_whose_statements_failed_can_be_taken_as_it_is(
    postgres: Cluster, shop: str, config: Config
) -> None:
    back_up(config.id)
    wanted, left = f"{shop}_new", f"{shop}_new_restoring_0123abcd"
    job = restore(latest(config), wanted)
    postgres.run(f"ALTER DATABASE {wanted} RENAME TO {left}")
    row = restores.of_job(job.id)
    with write() as session:
        document = {**row.database, "result": {**row.database["result"], "database": left}}
        session.get_one(Restore, row.id).database = document
    found = {each.name: each for each in database_leftovers.list_left(config)}[left]
    assert (found.kind, found.meant_for, found.is_taken, found.job_id) == ("restoring", wanted, False, job.id)
    with postgres.socket.connect(left):  # who looks into it is put out
        assert database_leftovers.put_in_place(config, left) == ""
    assert rows(postgres, wanted) == 500


def test_a_restore_that_was_killed_is_never_taken(postgres: Cluster, shop: str, config: Config) -> None:
    left = postgres.create(f"{shop}_new_restoring_0123abcd")
    found = {each.name: each for each in database_leftovers.list_left(config)}[left]
    assert not found.may_be_used
    with pytest.raises(Refused, match="a part of the rows only"):
        database_leftovers.put_in_place(config, left)
    database_leftovers.drop(config, left, left)


def test_while_a_restore_runs_its_database_is_left_alone(
    postgres: Cluster, shop: str, config: Config
) -> None:
    back_up(config.id)
    job = restore(latest(config), f"{shop}_new")
    left = postgres.create(f"{shop}_restoring_0123abcd")
    with write() as session:
        session.get_one(Job, job.id).status = "running"
    with pytest.raises(Conflict, match="restoring now"):
        database_leftovers.drop(config, left, left)
    with write() as session:
        session.get_one(Job, job.id).status = "completed"
    database_leftovers.drop(config, left, left)


def test_a_server_that_does_not_answer_is_said(config: Config, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="Cannot connect"):
        database_leftovers.list_left(make_config_elsewhere(config))
