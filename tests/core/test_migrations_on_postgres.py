"""The steps of the schema on PostgreSQL, where a step's mistakes differ from SQLite's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, inspect

from core import migrations
from core.migrations import steps
from tests.core.test_migrations import differences
from tests.servers.postgres import Cluster


@pytest.fixture
def engine(postgres: Cluster, database: str) -> Iterator[Engine]:
    """Return an engine on an empty database."""
    place = f"?host={postgres.folder}&port={postgres.port}"
    made = create_engine(f"postgresql+psycopg://postgres@/{database}{place}")
    yield made
    made.dispose()


def test_the_steps_lead_to_the_models_and_back_and_there_again(engine: Engine) -> None:
    for back_to in ("0020", "base", ""):
        with engine.begin() as connection:
            migrations.upgrade(connection)
        assert differences(engine) == []
        if back_to:
            with engine.begin() as connection:
                command.downgrade(steps.alembic_config(connection), back_to)
    with engine.connect() as connection:
        assert migrations.current(connection) == migrations.newest()
        assert {"gate_keys", "built_downloads"} <= set(inspect(connection).get_table_names())
