"""Databases that restores left: listed with what they were, put in place, dropped by name only."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import database_leftovers, jobs, restores
from core.db import write
from core.errors import Conflict, Invalid, NotFound, Refused
from core.models import Config, Job
from tests.core.making import back_up, run
from tests.core.test_databases import (
    config,
    database,
    latest,
    make_config_elsewhere,
    postgres,
    restore,
    shop,
)
from tests.servers.postgres import Cluster

__all__ = ["config", "database", "postgres", "shop"]

pytestmark = pytest.mark.usefixtures("context")


def in_place(config: Config, name: str) -> Job:
    """Restore the newest point of a config over a database; return the job."""
    from core import database_restores

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


def test_a_restore_that_never_got_its_name_can_be_taken_as_it_is(
    postgres: Cluster, shop: str, config: Config
) -> None:
    wanted = f"{shop}_new"
    left = postgres.create(f"{wanted}_restoring_0123abcd")
    found = {each.name: each for each in database_leftovers.list_left(config)}
    assert (found[left].kind, found[left].meant_for, found[left].is_taken) == ("restoring", wanted, False)
    assert database_leftovers.put_in_place(config, left) == ""
    assert postgres.ask("SELECT 1", wanted) == [(1,)]


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
