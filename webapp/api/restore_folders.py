"""Calls about where operators may restore to."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from core.access import restore_rights
from core.hosts import hosts
from webapp.api import door, queries
from webapp.api.answers import Out
from webapp.api.door import Body


class HostQuery(queries.Query):
    """On which host; none: on this machine."""

    host: str | None = Field(default=None, description="The id of the host.")


class FoldersOut(Out):
    """The folders below which operators may restore. `hostId` null: on this machine."""

    host_id: str | None
    folders: list[str]


class Folders(BaseModel):
    """All folders that are allowed there from now on; none: operators restore nothing there."""

    model_config = ConfigDict(extra="forbid")

    host_id: str | None = None
    folders: list[str] = Field(max_length=restore_rights.MOST)


@door.operation("GET", "/backup/restore-folders", "operator", query=HostQuery, answer=FoldersOut, also=(404,))
def get_restore_folders(query: HostQuery) -> FoldersOut:
    """Return where operators may restore to, on this machine or on a host."""
    if query.host is not None:
        hosts.get(query.host)
    return FoldersOut(host_id=query.host, folders=restore_rights.folders(query.host))


@door.operation("PUT", "/backup/restore-folders", "admin", body=Body(Folders), answer=FoldersOut, also=(404,))
def set_restore_folders(body: Folders) -> FoldersOut:
    """Allow these folders and no others. Where links lead counts, each time."""
    found = restore_rights.set_folders(body.folders, body.host_id)
    return FoldersOut(host_id=body.host_id, folders=found)
