"""Downloads that are built first: asked for, listed, removed. One that is ready is whole and has its hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from core import input_sentences
from core.db import db, utc_now, write
from core.errors import Conflict, Invalid, NotFound
from core.jobs import jobs
from core.models import BuiltDownload, Job, Point
from core.models.job import ENDED, PENDING
from core.points import built_files, built_rules, points, selection_size
from core.points.tokens import path_from_token, printable, token_from_path
from repository.browse import Extent, outermost

Form = Literal["tar", "zip"]
State = Literal["waiting", "building", "ready", "failed", "removed"]

# So long after its end a row is kept, for whoever looks for it.
ROWS_FOR = timedelta(days=30)


class DownloadInput(BaseModel):
    """What is built. `include`: path tokens as browsing shows them; none for all of the point."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    point_id: int
    include: list[str] = Field(default_factory=list)
    form: Form = "zip"
    copy_id: int | None = None

    @field_validator("include")
    @classmethod
    def _tokens(cls, value: list[str]) -> list[str]:
        return [token_from_path(path) for path in outermost([path_from_token(token) for token in value])]

    @property
    def paths(self) -> list[bytes]:
        """The tree paths; none for all."""
        return [path_from_token(token) for token in self.include]


def validate(values: Mapping[str, Any]) -> DownloadInput:
    """Return the input of a form or a command, checked. Raises Invalid with a sentence by field."""
    try:
        return DownloadInput.model_validate(dict(values))
    except ValidationError as error:
        raise Invalid(input_sentences.of(error, {})) from error


def create(given: DownloadInput, trigger: str, asked_by: str) -> BuiltDownload:
    """Ask for a download to be built; the caller enqueues its job unless that has ended.

    One that is the same and is ready, or about to be, is returned instead of a second. Raises NotFound, and
    CannotBeBuilt where it is seen at once that there is no room, and as browsing does.
    """
    point = points.get(given.point_id)
    found = _same(db.session(), given)
    if found is not None:
        return found
    extent = selection_size.look(point, given.paths, given.copy_id)
    if extent.complete:
        built_files.require_room(extent.archive_bytes, built_rules.current().most_bytes)
    points.best_copy(point, given.copy_id)
    with write() as session:
        session.get_one(Point, given.point_id, with_for_update=True)  # who asks for the same waits here
        return _same(session, given) or _add(session, given, trigger, asked_by)


def _add(session: Session, given: DownloadInput, trigger: str, asked_by: str) -> BuiltDownload:
    point = session.get_one(Point, given.point_id)
    chosen = {} if given.copy_id is None else {"copy_id": given.copy_id}
    job = jobs.add_job(
        session, kind="download", trigger=trigger, config_id=point.config_id, parameters=chosen
    )
    row = BuiltDownload(
        job_id=job.id, point_id=point.id, form=given.form, include={"paths": given.include},
        same_as=_key(given), name=_name(given), asked_by=asked_by, left_out={},
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


def _same(session: Session, given: DownloadInput) -> BuiltDownload | None:
    """Return one that is the same, if it is ready or about to be."""
    query = select(BuiltDownload).join(Job).where(
        BuiltDownload.same_as == _key(given), BuiltDownload.removed_at.is_(None),
        or_(Job.status.in_(PENDING), BuiltDownload.ready_at.is_not(None)),
        or_(BuiltDownload.expires_at.is_(None), BuiltDownload.expires_at > utc_now()),
    )  # fmt: skip
    for row in session.scalars(query.order_by(BuiltDownload.id.desc())):
        if row.ready_at is None or built_files.is_there(row.id, row.form):
            return row
    return None


def _key(given: DownloadInput) -> str:
    wanted = [given.point_id, sorted(given.include), given.form, given.copy_id]
    return hashlib.sha256(json.dumps(wanted).encode()).hexdigest()


def _name(given: DownloadInput) -> str:
    paths = given.paths
    name = printable(paths[0].rpartition(b"/")[2]) if len(paths) == 1 else f"point-{given.point_id}"
    return f"{name}.{given.form}"


def get(built_id: int) -> BuiltDownload:
    """Return one. Raises NotFound."""
    row = db.session.get(BuiltDownload, built_id, populate_existing=True)
    if row is None:
        raise NotFound(f"There is no download {built_id}.", "It was removed long ago, or never asked for.")
    return row


def of_job(job_id: int) -> BuiltDownload:
    """Return the download that a job builds. Raises NotFound."""
    row = db.session.scalar(select(BuiltDownload).where(BuiltDownload.job_id == job_id))
    if row is None:
        raise NotFound(f"Job {job_id} builds no download.")
    return row


def list_page(page: int = 1, per_page: int = 50) -> jobs.Page[BuiltDownload]:
    """Return them, the newest first."""
    return jobs.paginate(select(BuiltDownload).order_by(BuiltDownload.id.desc()), page, per_page)


def state(row: BuiltDownload) -> State:
    """Say where it is in its life."""
    if row.removed_at is not None:
        return "removed"
    if row.ready_at is not None:
        return "ready" if built_files.is_there(row.id, row.form) else "removed"
    if row.job.status in ENDED:
        return "failed"
    return "building" if row.job.status == "running" else "waiting"


def file_of(built_id: int) -> tuple[BuiltDownload, str]:
    """Return a download that is ready, and where its file is. Raises NotFound, Conflict."""
    row = get(built_id)
    found = state(row)
    if found == "removed":
        why = row.removed_why or "its file is not in the data folder any more"
        raise NotFound(f"The download {row.name} is gone: {why}.", "Build it again.")
    if found == "failed":
        raise Conflict(f"The download {row.name} could not be built. {row.job.summary}", row.job.advice)
    if found != "ready":
        raise Conflict(f"The download {row.name} is not built yet.", "Come again when its job has ended.")
    return row, built_files.path_of(row.id, row.form)


def remove(built_id: int, by: str) -> None:
    """Remove the file of one. Raises NotFound; Conflict while it is being built."""
    row = get(built_id)
    if row.job.status in PENDING:
        raise Conflict(f"The download {row.name} is being built.", "Cancel its job first.")
    _note_removed([row.id], f"{by} removed it")
    built_files.remove(row.id, row.form)


def note_ready(session: Session, built_id: int, size: int, sha256: str, left_out: dict[str, Any]) -> None:
    """Note in the caller's transaction that its file is whole."""
    row, now = session.get_one(BuiltDownload, built_id), utc_now()
    row.size_bytes, row.sha256, row.left_out, row.ready_at = size, sha256, left_out, now
    row.expires_at = now + timedelta(hours=built_rules.current().keep_hours)


def sweep(now: datetime | None = None) -> list[str]:
    """Remove what is too old, and what killed builds left; return the names of those files."""
    now = now or utc_now()
    old = select(BuiltDownload.id).where(
        BuiltDownload.removed_at.is_(None), BuiltDownload.expires_at.is_not(None),
        BuiltDownload.expires_at <= now,
    )  # fmt: skip
    if ids := list(db.session.scalars(old)):
        _note_removed(ids, "its time was up")
    _forget_rows(now - ROWS_FOR)
    db.session.rollback()
    return built_files.sweep(_is_ready)


def extent_of(point: Point, given: DownloadInput) -> tuple[Extent, bool]:
    """Return how much a download would be, and whether it is better built first. Raises as browsing."""
    extent = selection_size.look(point, given.paths, given.copy_id)
    return extent, not extent.complete or extent.bytes > built_rules.current().build_above_bytes


def _is_ready(built_id: int) -> bool:
    db.session.rollback()
    row = db.session.get(BuiltDownload, built_id, populate_existing=True)
    return row is not None and row.ready_at is not None and row.removed_at is None


def _note_removed(ids: list[int], why: str) -> None:
    with write() as session:
        unremoved = BuiltDownload.id.in_(ids) & BuiltDownload.removed_at.is_(None)
        session.execute(update(BuiltDownload).where(unremoved).values(removed_at=utc_now(), removed_why=why))


def _forget_rows(before: datetime) -> None:
    """Delete the rows of what ended long ago; their jobs may go then, too."""
    ended = select(Job.id).where(Job.status.in_(ENDED), Job.ended_at < before)
    gone = or_(BuiltDownload.removed_at < before, BuiltDownload.ready_at.is_(None))
    old = select(BuiltDownload.id).where(gone, BuiltDownload.job_id.in_(ended))
    if ids := list(db.session.scalars(old)):
        with write() as session:
            session.execute(delete(BuiltDownload).where(BuiltDownload.id.in_(ids)))
