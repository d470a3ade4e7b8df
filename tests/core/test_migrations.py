"""The steps of the schema lead exactly to the models, keep what is stored, and lead back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

import core.models  # noqa: F401  (fills the metadata)
from core import migrations
from core.db import Base
from core.migrations import steps
from tests.conftest import PROJECT


def fresh(tmp_path: Path) -> Engine:
    """Return an engine on an empty database."""
    return create_engine(f"sqlite:///{tmp_path}/test.db")


def differences(engine: Engine) -> list[object]:
    """Return what Alembic would write as the next step."""
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "render_as_batch": True})
        return list(compare_metadata(context, Base.metadata))


def test_the_steps_lead_to_the_models(tmp_path: Path) -> None:
    engine = fresh(tmp_path)
    assert len(differences(engine)) > 10
    with engine.begin() as connection:
        migrations.upgrade(connection)
    assert differences(engine) == []
    with engine.connect() as connection:
        unique = {index["name"] for index in inspect(connection).get_indexes("configs") if index["unique"]}
        assert "uq_configs_live_name" in unique
    engine.dispose()


def test_the_newest_step_is_known_without_alembic(tmp_path: Path) -> None:
    engine = fresh(tmp_path)
    with engine.begin() as connection:
        assert migrations.current(connection) is None
        scripts = ScriptDirectory.from_config(steps.alembic_config(connection))
        assert scripts.get_current_head() == migrations.newest()
        migrations.upgrade(connection)
        assert migrations.current(connection) == migrations.newest()
    engine.dispose()
    look = "import sys, jobs.run; sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], check=False, cwd=PROJECT).returncode == 0


def test_the_steps_keep_what_is_stored(tmp_path: Path) -> None:
    engine = fresh(tmp_path)
    with engine.begin() as connection:
        command.upgrade(steps.alembic_config(connection), "0001")
        connection.execute(
            text(
                "INSERT INTO alerts (subject, kind, severity, what, meaning, advice, detail, count,"
                " opened_at, last_at, acknowledged_by, notify_attempts, notify_error) VALUES"
                " ('s', 'failure', 'error', 'w', 'm', 'a', 'd', 3, '2026-01-01', '2026-01-01', '', 0, '')"
            )
        )
    for _ in range(2):
        with engine.begin() as connection:
            migrations.upgrade(connection)
            assert connection.execute(text("SELECT subject, count FROM alerts")).all() == [("s", 3)]
    assert differences(engine) == []
    engine.dispose()


def test_the_rule_of_a_config_moves_to_its_first_destination(tmp_path: Path) -> None:
    """And the rows that refer to it stay: the table is not dropped on the way."""
    engine = create_engine(f"sqlite:///{tmp_path}/test.db")
    at = "2026-01-01 00:00:00.000000"
    with engine.begin() as connection:
        command.upgrade(steps.alembic_config(connection), "0003")
        for line in (
            f"INSERT INTO storages VALUES ('s', 'Disk', 'local', '{{}}', 'm', '{at}', NULL, '', '{at}')",
            f"INSERT INTO repositories VALUES ('r', 's', 'repository/', 'x', 'p', 1, '{at}')",
            "INSERT INTO configs (id, name, type, enabled, source, cron, timezone, retention, compression,"
            " full_read_days, created_at, updated_at) VALUES ('c', 'Files', 'files', 1, '{}', '', 'UTC',"
            f""" '{{"days": 3, "max_backups": null}}', 'auto', 7, '{at}', '{at}')""",
            "INSERT INTO destinations (config_id, repository_id, position) VALUES ('c', 'r', 0)",
            "INSERT INTO points (config_id, taken_at, hostname, paths, tree, parent_snapshot, files, bytes,"
            " bytes_added, warnings, full_read, created_at) VALUES"
            f" ('c', '{at}', '', '{{}}', '', '', 1, 2, 77, 0, 0, '{at}')",
            "INSERT INTO copies (point_id, repository_id, snapshot_id, created_at, trash_reason)"
            f" VALUES (1, 'r', 'abc', '{at}', '')",
        ):
            connection.execute(text(line.replace(":", "\\:")))
    with engine.begin() as connection:
        migrations.upgrade(connection)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT retention, tier, copy_when FROM destinations")).one()
        assert (row[0], *row[1:]) == ('{"days": 3, "max_backups": null}', "custom", "after")
        assert connection.execute(text("SELECT bytes_added FROM copies")).scalar() == 77
    assert differences(engine) == []
    with engine.begin() as connection:
        command.downgrade(steps.alembic_config(connection), "0003")
        assert connection.execute(text("SELECT retention FROM configs")).scalar() == row[0]
    engine.dispose()


def test_reports_that_were_made_before_are_told_in_short(tmp_path: Path) -> None:
    engine = fresh(tmp_path)
    runs = {"completed": 5, "warning": 2, "failed": 3, "interrupted": 1, "cancelled": 9, "missed": 4}
    document = json.dumps({"verdict": {"sentence": "All is well."}, "runs": runs})
    with engine.begin() as connection:
        command.upgrade(steps.alembic_config(connection), "0025")
        columns, values = "day, document, created_at, key, attempts, error", ":day, :it, :day, '', 0, ''"
        line = f"INSERT INTO reports ({columns}) VALUES ({values})"
        for day, it in (("2026-01-01", document), ("2026-01-02", "{}")):
            connection.execute(text(line), {"day": day, "it": it})
    with engine.begin() as connection:
        migrations.upgrade(connection)
        told = connection.execute(text("SELECT sentence, good, failed, missed FROM reports ORDER BY day"))
        assert told.all() == [("All is well.", 7, 4, 4), ("", 0, 0, 0)]
    with engine.begin() as connection:
        command.downgrade(steps.alembic_config(connection), "0025")
        kept = connection.execute(text("SELECT document FROM reports ORDER BY day")).scalars().all()
        assert kept == [document, "{}"]
    engine.dispose()


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    engine = fresh(tmp_path)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE restores (x INTEGER)"))  # one of the last that step 0001 makes
    with pytest.raises(OperationalError, match="restores"), engine.begin() as connection:
        migrations.upgrade(connection)
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["restores"]
    engine.dispose()


def test_the_steps_lead_back(tmp_path: Path) -> None:
    engine = fresh(tmp_path)
    with engine.begin() as connection:
        migrations.upgrade(connection)
    with engine.begin() as connection:
        command.downgrade(steps.alembic_config(connection), "base")
    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == ["alembic_version"]
    engine.dispose()
