"""Calls that ask the catalog: in which points a file is, and which versions of it there are."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from core.configs import configs
from core.points import catalog, file_search, file_versions
from core.points.catalog import Coverage
from core.points.catalog_climb import Held
from core.points.file_search import Found
from core.points.file_versions import Version
from webapp.access import access
from webapp.api import answers, door, paths
from webapp.api.answers import ListOut, Out
from webapp.api.queries import Paged

MOST_FOUND = 500


class SearchQuery(Paged):
    """What is looked for: a part of a name, or a pattern such as `*.conf`, maybe with folders before it."""

    q: str = Field(min_length=1, max_length=400)
    config: str | None = Field(default=None, description="The id of the config.")


class VersionsQuery(Paged):
    """Which file: its `path` as people write it, or `token` as a listing gives it; in whose points."""

    config: str | None = Field(default=None, description="The id of the config; none: points of no config.")
    path: str | None = None
    token: str | None = None


class CoverageOut(Out):
    """Of how many points search knows what is in them. `trouble`: what kept it from knowing all, for
    operators and admins; others get an empty text."""

    points: int
    catalogued: int
    trouble: str


class HeldOut(Out):
    """A point that holds it."""

    id: int
    taken_at: datetime


class FoundOut(Out):
    """A file, link or folder, in the points of one config. `versions` counts different contents."""

    name: str
    path: str
    token: str
    kind: str
    config_id: str | None
    size: int | None
    modified_at: datetime | None
    points: int
    versions: int
    newest: HeldOut
    oldest: HeldOut


class SearchOut(ListOut[FoundOut]):
    """What was found, the best first. `more`: there is, or may be, more than `total`; `partial`: not all
    points were counted. `nothingSaid`: nothing was found, and that says nothing."""

    more: bool
    partial: bool
    nothing_said: bool
    coverage: CoverageOut


class VersionOut(Out):
    """A content that a path had, in so many points, from `oldest` to `newest`."""

    kind: str
    size: int | None
    modified_at: datetime | None
    points: int
    newest: HeldOut
    oldest: HeldOut


class VersionsOut(ListOut[VersionOut]):
    """The versions of a path, newest first. In `absent` of the `points` looked at it is not."""

    path: str
    token: str
    points: int
    absent: int
    coverage: CoverageOut


@door.operation("GET", "/backup/search", "viewer", query=SearchQuery, answer=SearchOut, also=(404, 503))
def search_files(query: SearchQuery) -> Any:
    """Say in which points a file or folder is, by its name.

    At most 500 are found; what else there may be is said by `more`.
    """
    config_id = _config(query.config)
    answer = file_search.search(query.q, config_id, most=MOST_FOUND)
    return {
        **answers.part(answer.found, _found, query), "more": answer.more, "partial": answer.partial,
        "nothing_said": answer.nothing_said, "coverage": coverage(catalog.coverage(config_id)),
    }  # fmt: skip


@door.operation(
    "GET", "/backup/search/versions", "viewer", query=VersionsQuery, answer=VersionsOut, also=(404, 503)
)
def list_versions(query: VersionsQuery) -> Any:
    """List the versions of a file in the points of a config."""
    config_id = _config(query.config)
    history = file_versions.history(config_id, paths.one(query.path, query.token))
    return {
        **answers.part(history.versions, _version, query), "path": history.shown, "token": history.token,
        "points": history.points, "absent": history.absent,
        "coverage": coverage(catalog.coverage(config_id)),
    }  # fmt: skip


def coverage(found: Coverage) -> CoverageOut:
    """Return how much search knows as it is given."""
    return CoverageOut(points=found.points, catalogued=found.catalogued, trouble=trouble(found))


def trouble(found: Coverage) -> str:
    """Return what kept search from knowing all, for who asks: errors of storages name places and servers."""
    return found.trouble if access.may("operator") else ""


def _config(config_id: str | None) -> str | None:
    return configs.get(config_id, deleted=True).id if config_id else None


def _found(row: Found) -> FoundOut:
    return FoundOut(
        name=row.name, path=row.shown, token=row.token, kind=row.kind, config_id=row.config_id, size=row.size,
        modified_at=row.mtime, points=row.points, versions=row.versions, newest=_held(row.newest),
        oldest=_held(row.oldest),
    )  # fmt: skip


def _version(row: Version) -> VersionOut:
    return VersionOut(
        kind=row.kind, size=row.size, modified_at=row.mtime, points=row.points, newest=_held(row.newest),
        oldest=_held(row.oldest),
    )  # fmt: skip


def _held(point: Held) -> HeldOut:
    return HeldOut(id=point.id, taken_at=point.taken_at)
