"""A database in the browser: its config made in the form, tested, run, destroyed, restored, rows compared."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.configs import config_source, configs
from core.jobs import jobs
from core.models import Config
from core.points import points
from tests.core.making import back_up, run
from tests.servers.postgres import PASSWORD, Cluster
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


@pytest.fixture(scope="module")
def shop(postgres: Cluster) -> Iterator[str]:
    """Return the name of a database with rows."""
    name = postgres.create("web <shop>", "CREATE TABLE articles AS SELECT generate_series(1, 1200) AS id")
    yield name
    postgres.drop(name)
    postgres.drop(f"{name}_restored")


def form(cluster: Cluster, shop: str, **changes: object) -> dict[str, object]:
    """Return a good form, with changes."""
    return {
        "type": "database", "name": "Web shop", "host": "127.0.0.1", "port": str(cluster.port),
        "user": "postgres", "password": PASSWORD, "database": "postgres", "ssl_mode": "prefer",
        "which": "chosen", "databases": shop, "exclude": "", "schedule": "manual", "timezone": "UTC",
        "destinations.0.retention.days": "30", "compression": "auto", "then": "save", **changes,
    }  # fmt: skip


def found(world: World, name: str) -> Config:
    """Return the config of a name."""
    return next(each for each in configs.list_all() if each.name == name)


def test_the_form_of_a_database_is_offered_with_what_is_usual(as_: As) -> None:
    page = as_("admin").get("/configs/new?type=database").text
    assert problems_of(page) == []
    for offered in ('value="Daily Database"', 'value="localhost"', 'value="02:00"', "pg_dump"):
        assert offered in page


def test_a_database_is_made_run_destroyed_and_restored(
    world: World, as_: As, postgres: Cluster, shop: str
) -> None:
    admin = as_("admin")
    answer = admin.post("/configs/preview", form(postgres, shop), htmx=True)
    assert (answer.status_code, problems_of(answer.text)) == (200, [])
    assert "web &lt;shop&gt;" in answer.text
    assert "may read everything" in answer.text
    assert PASSWORD not in html.unescape(answer.text)

    answer = admin.post("/configs", form(postgres, shop))
    assert answer.status_code == 303, answer.text
    with world.app.app_context():
        config_id = found(world, "Web shop").id
        assert back_up(config_id).status == "completed"
        point = points.latest(config_id)
        assert point is not None
    for url in (f"/configs/{config_id}", f"/configs/{config_id}/edit", f"/points/{point.id}", "/configs"):
        page = admin.get(url)
        assert (page.status_code, problems_of(page.text)) == (200, []), url
        assert PASSWORD not in html.unescape(page.text)

    postgres.drop(shop)
    page = admin.get(f"/restores/new?point_id={point.id}").text
    assert problems_of(page) == []
    assert "1 table" in page
    given = {"point_id": point.id, "database": shop, "to": shop, "owners": "yes"}
    answer = admin.post("/restores/database", given)
    assert answer.status_code == 303, answer.text
    job_id = int(answer.headers["Location"].rpartition("/")[2])
    with world.app.app_context():
        assert run(jobs.get(job_id)).status == "completed"
    page = admin.get(f"/jobs/{job_id}").text
    assert problems_of(page) == []
    assert re.search(
        r"public\.articles</td>\s*<td[^>]*>1,200</td>\s*<td[^>]*>1,200</td>\s*<td[^>]*>equal", page
    )
    assert postgres.ask("SELECT count(*) FROM articles", shop) == [(1200,)]
    assert "Database web &lt;shop&gt;" in admin.get("/restores").text

    answer = admin.post("/restores/database", given)
    assert (answer.status_code, problems_of(answer.text)) == (422, [])
    assert "choose another name" in answer.text


def test_an_empty_password_keeps_the_stored_one(world: World, as_: As, postgres: Cluster, shop: str) -> None:
    admin = as_("admin")
    admin.post("/configs", form(postgres, shop, name="Kept"))
    with world.app.app_context():
        config_id = found(world, "Kept").id
    changed = form(postgres, shop, name="Kept", password="", config_id=config_id, databases="other")
    assert admin.post(f"/configs/{config_id}", changed).status_code == 303
    with world.app.app_context():
        config = configs.get(config_id)
        assert config_source.password_of(config) == PASSWORD
        assert config.source["databases"] == ["other"]
    assert admin.post(f"/configs/{config_id}", {**changed, "no_password": "yes"}).status_code == 303
    with world.app.app_context():
        assert config_source.password_of(configs.get(config_id)) == ""


def test_what_the_test_of_the_connection_finds_is_said(as_: As, postgres: Cluster, shop: str) -> None:
    admin = as_("admin")
    answer = admin.post("/configs/preview", form(postgres, shop, password="wrong", name=""), htmx=True)
    assert "Cannot connect to database" in html.unescape(answer.text)
    assert problems_of(answer.text) == []
    answer = admin.post("/configs", form(postgres, shop, host="", url="postgresql://u:geheim@h:x/d"))
    assert answer.status_code == 422
    assert problems_of(answer.text) == []
    assert "geheim" not in answer.text
    assert PASSWORD not in html.unescape(answer.text)


def test_parallel_dumps_are_chosen_tested_and_asked_for_again_at_a_restore(
    world: World, as_: As, postgres: Cluster, shop: str, tmp_path: Path
) -> None:
    if not postgres.ask(f"SELECT 1 FROM pg_database WHERE datname = '{shop}'"):
        postgres.create(shop, "CREATE TABLE articles AS SELECT generate_series(1, 1200) AS id")
    admin, work = as_("admin"), str(tmp_path)
    given = form(postgres, shop, name="Parallel", parallel_jobs="3", work_folder=work)
    refused = admin.post("/configs", {**given, "work_folder": ""})
    assert (refused.status_code, problems_of(refused.text)) == (422, [])
    assert "with room for the largest database" in refused.text
    gone = admin.post("/configs/preview", {**given, "work_folder": f"{work}/no"}, htmx=True)
    assert "the folder for parallel dumps will not do" in gone.text
    assert "may read everything" in admin.post("/configs/preview", given, htmx=True).text
    assert admin.post("/configs", given).status_code == 303
    with world.app.app_context():
        config = found(world, "Parallel")
        assert (config.source["parallel_jobs"], config.source["work_folder"]) == (3, work)
        config_id = config.id
        assert back_up(config_id).status == "completed"
        point = points.latest(config_id)
        assert point is not None
    page = admin.get(f"/configs/{config_id}/edit").text
    assert problems_of(page) == []
    assert f'value="{work}"' in page
    page = admin.get(f"/restores/new?point_id={point.id}").text
    assert problems_of(page) == []
    assert f"Empty: {work}" in page
    wanted = {"point_id": point.id, "database": shop, "to": "", "owners": "yes"}
    refused = admin.post("/restores/database", {**wanted, "work_folder": f"{work}/no"})
    assert (refused.status_code, problems_of(refused.text)) == (422, [])
    assert "There is no folder" in refused.text
    answer = admin.post("/restores/database", wanted)
    assert answer.status_code == 303, answer.text
    with world.app.app_context():
        job = run(jobs.get(int(answer.headers["Location"].rpartition("/")[2])))
        assert job.status == "completed", job.summary
