"""What restores left on a server, in the browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from core.configs import configs
from tests.core.restores.test_databases import source_of
from tests.servers.postgres import Cluster
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World

NAME = 'web "ü" <i>'


@pytest.fixture(scope="module")
def config_id(world: World, postgres: Cluster) -> Iterator[str]:
    """Return a config of a server with a database and the one before it."""
    for name in (NAME, f"{NAME}_before_20260102T030405Z"):
        postgres.create(name, f"CREATE TABLE t AS SELECT '{'new' if name == NAME else 'old'}' AS word")
    with world.app.app_context():
        data = {"name": "Left", "type": "database", "source": source_of(postgres, NAME)}
        found = configs.create(configs.parse(data)).id
    yield found
    for (name,) in postgres.ask(f"SELECT datname FROM pg_database WHERE datname LIKE '{NAME}%'"):
        postgres.drop(name)


def test_the_one_before_is_listed_put_back_and_dropped_by_its_name(
    as_: As, config_id: str, postgres: Cluster
) -> None:
    admin = as_("admin")
    url = f"/leftovers/{config_id}"
    assert url in admin.get(f"/configs/{config_id}").text
    page = admin.get(url).text
    assert problems_of(page) == []
    assert "web &#34;ü&#34; &lt;i&gt;_before_20260102T030405Z" in page
    assert admin.post(f"{url}/put-in-place", {"name": f"{NAME}_before_20260102T030405Z"}).status_code == 303
    assert postgres.ask("SELECT word FROM t", NAME) == [("old",)]
    ((kept,),) = postgres.ask(f"SELECT datname FROM pg_database WHERE datname LIKE '{NAME}_before_%'")
    refused = admin.post(f"{url}/drop", {"name": kept, "typed": NAME})
    assert (refused.status_code, problems_of(refused.text)) == (422, [])
    assert postgres.ask("SELECT word FROM t", kept) == [("new",)]
    assert admin.post(f"{url}/drop", {"name": kept, "typed": kept}).status_code == 303
    assert problems_of(admin.get(url).text) == []
    assert postgres.ask(f"SELECT datname FROM pg_database WHERE datname LIKE '{NAME}_before_%'") == []


def test_no_other_database_is_dropped(as_: As, config_id: str, postgres: Cluster) -> None:
    for name in (NAME, "postgres", ""):
        answer = as_("admin").post(f"/leftovers/{config_id}/drop", {"name": name, "typed": name})
        assert (answer.status_code, problems_of(answer.text)) == (422, [])
    assert postgres.ask("SELECT count(*) FROM t", NAME) == [(1,)]


def test_a_server_that_is_away_is_said(world: World, as_: As) -> None:
    with world.app.app_context():
        source = {"host": "127.0.0.1", "port": 1, "which": "all"}
        dead = configs.create(configs.parse({"name": "Dead", "type": "database", "source": source}))
        dead_id = dead.id
    answer = as_("admin").get(f"/leftovers/{dead_id}")
    assert (answer.status_code, problems_of(answer.text)) == (200, [])
    assert "Cannot connect" in answer.text
