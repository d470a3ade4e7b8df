"""Hold what a restore brought back against what its dump held, table by table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sources.postgres.manifest import Database

Verdict = Literal["equal", "different", "missing", "unexpected", "unknown"]


@dataclass(frozen=True, slots=True)
class TableResult:
    """One table: rows in the dump's own snapshot, and rows restored. None: not counted, or no such table."""

    schema: str
    name: str
    expected: int | None
    found: int | None
    verdict: Verdict


def compare(record: Database, found: Mapping[tuple[str, str], int | None]) -> list[TableResult]:
    """Hold the rows restored, by (schema, table), against those counted in the dump's own snapshot."""
    results = []
    for table in record.tables:
        rows = found.get((table.schema, table.name))
        if (table.schema, table.name) not in found:
            verdict: Verdict = "missing"
        elif table.rows is None or rows is None:
            verdict = "unknown"
        else:
            verdict = "equal" if rows == table.rows else "different"
        results.append(TableResult(table.schema, table.name, table.rows, rows, verdict))
    for schema, name in sorted(found.keys() - {(table.schema, table.name) for table in record.tables}):
        results.append(TableResult(schema, name, None, found[schema, name], "unexpected"))
    return results
