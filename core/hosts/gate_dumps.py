"""Databases of a host that are dumped by keys which allow nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.hosts import gate_keys, hosts
from core.models import GateKey
from sources.postgres.catalog import Found
from sources.postgres.source import DatabasesPreview

if TYPE_CHECKING:
    from sources.ssh.gate_dumps import GateDumps


def open_source(
    host_id: str,
    keys: Sequence[tuple[str, GateKey]],
    place: str,
    waiting: Callable[[], None],
    *,
    quick: bool = False,
) -> GateDumps:
    """Return the databases to dump; nothing is sent yet. Raises NotFound, Refused, SealBroken."""
    from sources.ssh.gate_dumps import GateDumps  # slow to import: paramiko

    host = hosts.get(host_id)
    hostname = str(host.test_result.get("facts", {}).get("hostname") or host.address)
    logins = {name: gate_keys.settings_of(key, quick=quick) for name, key in keys}
    return GateDumps(place, hostname, logins, waiting)


def preview(host_id: str, keys: Sequence[tuple[str, GateKey]], place: str) -> DatabasesPreview:
    """Return what a backup would dump. Raises SourceUnavailable, Refused."""
    opened = open_source(host_id, keys, place, lambda: None, quick=True)
    try:
        records = opened.look()
    finally:
        opened.close()
    found = [Found(record.name, record.size_bytes) for record in records]
    return DatabasesPreview(opened.manifest.server_version, found, [], [])
