"""Take the steps with Alembic, run from the program: there is no alembic.ini."""

from __future__ import annotations

import os

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from core.migrations import DatabaseTooNew


def alembic_config(connection: Connection) -> Config:
    """Return Alembic's configuration for `connection`."""
    config = Config()
    config.set_main_option("script_location", os.path.dirname(os.path.abspath(__file__)).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection) -> None:
    """Bring the schema to the newest step, in one transaction. Raises DatabaseTooNew."""
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == scripts.get_current_head():
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise DatabaseTooNew(f"the database is at step {current}, which this version does not know")
    command.upgrade(config, "head")
