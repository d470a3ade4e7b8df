"""What a server does for a restore: it builds indexes for hours after the last row has come."""

from __future__ import annotations

import re

from sources.postgres import swap
from sources.postgres.restore_plan import fitted_name, maintenance
from sources.postgres.server import Server

_LONGEST = 100
_SUFFIX = f"{swap.RESTORING}{'0' * 8}"


def at_work(server: Server, name: str) -> str:
    """Return the statement that the server works at in a database which a restore makes for `name`.

    Only as far as its names; "" if there is none, or it waits for somebody's lock. Raises ServerUnavailable.
    """
    begin = fitted_name(name, _SUFFIX).removesuffix(_SUFFIX) + swap.RESTORING
    with maintenance(server, name).reading() as session:
        row = session.execute(
            "SELECT query FROM pg_catalog.pg_stat_activity WHERE pg_catalog.starts_with(datname, %s)"
            " AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock' AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend' ORDER BY query_start LIMIT 1",
            [begin],
        ).fetchone()
    return "" if row is None else _names_of(str(row[0]))


def _names_of(statement: str) -> str:
    """Return a statement up to its first value."""
    return " ".join(re.split(r"[(';=$]", statement, maxsplit=1)[0].split())[:_LONGEST]
