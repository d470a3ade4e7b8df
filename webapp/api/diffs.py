"""Calls that hold two points against each other: what changed, and in one file line by line."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from core.configs import config_documents
from core.points import file_diff, point_diff, points
from core.points.point_diff import Change
from webapp.access import access
from webapp.api import answers, door, paths
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body
from webapp.api.queries import Paged, Query

_PAIR = "/backup/diffs/<int:old_id>/<int:new_id>"


class DiffQuery(Paged):
    """Below which folder, as people write it or by its token; without either, everywhere."""

    path: str | None = None
    token: str | None = None


class FileDiffQuery(Query):
    """Of which file, as people write its path or by its token."""

    path: str | None = None
    token: str | None = None


class FileDiffWanted(BaseModel):
    """Of which file the lines are shown with their secrets."""

    model_config = ConfigDict(extra="forbid")

    path: str | None = None
    token: str | None = None


class ChangeOut(Out):
    """One file, link or folder that differs. Sizes are of files; `note` says what else there is to say."""

    path: str
    token: str
    kind: str
    change: Literal["added", "removed", "changed", "attributes"]
    size_before: int | None
    size_after: int | None
    note: str


class DiffOut(ListOut[ChangeOut]):
    """What leads from the older point to the newer. The sums count all that was met; `notListed` of that are
    on no page. `complete`: all of both was looked at."""

    added: int
    changed: int
    removed: int
    attributes: int
    bytes_added: int
    bytes_removed: int
    not_listed: int
    complete: bool


class LineOut(Out):
    """A line: `+` only in the newer, `-` only in the older, a blank in both; `@`: where."""

    sign: Literal["+", "-", " ", "@"]
    text: str


class FileDiffOut(Out):
    """How a file differs. `note`: why there are no lines; `more`: lines were left out; `hidden`: some are
    shown without their secret."""

    path: str
    token: str
    note: str
    size_before: int | None
    size_after: int | None
    lines: list[LineOut]
    more: bool
    hidden: bool


@door.operation("GET", _PAIR, "viewer", query=DiffQuery, answer=DiffOut, also=(503,))
def diff_points(old_id: int, new_id: int, query: DiffQuery) -> Any:
    """Say what changed from one point to another, below a folder or everywhere.

    It takes ten seconds at most; what was not looked at then is said by `complete`.
    """
    folder = paths.one(query.path, query.token)
    found = point_diff.compare(points.get(old_id), points.get(new_id), folder)
    sums = found.sums
    return {
        **answers.part(found.listed, _change, query), "added": sums.added, "changed": sums.changed,
        "removed": sums.removed, "attributes": sums.attributes, "bytes_added": sums.bytes_added,
        "bytes_removed": sums.bytes_removed, "not_listed": found.more, "complete": found.complete,
    }  # fmt: skip


@door.operation("GET", f"{_PAIR}/file", "admin", query=FileDiffQuery, answer=FileDiffOut, also=(503,))
def diff_file(old_id: int, new_id: int, query: FileDiffQuery) -> FileDiffOut:
    """Say how one file changed, line by line, with what looks like a secret masked."""
    return _of_file(old_id, new_id, paths.one(query.path, query.token), reveal=False)


@door.operation("POST", f"{_PAIR}/file", "admin", body=Body(FileDiffWanted), answer=FileDiffOut, also=(503,))
def reveal_diff(old_id: int, new_id: int, body: FileDiffWanted) -> FileDiffOut:
    """Say the same with its secrets; who asked for that is noted."""
    path = paths.one(body.path, body.token)
    config_documents.note_reveal(access.user().name, points.get(new_id), path)
    return _of_file(old_id, new_id, path, reveal=True)


def _of_file(old_id: int, new_id: int, path: bytes, *, reveal: bool) -> FileDiffOut:
    found = file_diff.diff(points.get(old_id), points.get(new_id), path, reveal=reveal)
    return FileDiffOut(
        path=found.name, token=found.token, note=found.note, size_before=found.size_before,
        size_after=found.size_after, more=found.more, hidden=found.hidden,
        lines=[LineOut(sign=sign, text=text) for sign, text in found.lines],
    )  # fmt: skip


def _change(change: Change) -> ChangeOut:
    return ChangeOut(
        path=change.name, token=change.token, kind=change.kind, change=change.verdict,
        size_before=change.size_before, size_after=change.size_after, note=change.note,
    )  # fmt: skip
