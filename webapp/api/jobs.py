"""Calls about jobs: list, look, log, cancel, delete; one by one or many at once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import Forbidden

from core.errors import HoldfastError, Invalid
from core.jobs import job_deletion, job_kinds, jobs
from core.models import Job
from core.models.job import ENDED, PENDING
from webapp import failures
from webapp.access import access
from webapp.answers import note_refused
from webapp.api import answers, door, job_shape, queries
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body
from webapp.api.job_shape import JobOut, LogLineOut

MOST_AT_ONCE = 200
_STATUSES = (*PENDING, *ENDED, "pending", "ended")
# What an operator may cancel: the rest is asked for by admins.
OPERATORS_CANCEL = ("backup", "copy")


class Many(BaseModel):
    """What is to be done with which jobs."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["cancel", "delete"]
    ids: list[queries.RowId] = Field(min_length=1, max_length=MOST_AT_ONCE)


class OneResult(Out):
    """What came of one of many. `detail`: why it was not done."""

    id: int
    done: bool
    status: int
    detail: str


class ManyOut(Out):
    """What came of each, in the order asked for."""

    results: list[OneResult]


@door.operation("GET", "/backup/jobs", "viewer", query=queries.JobQuery, answer=ListOut[JobOut])
def list_jobs(query: queries.JobQuery) -> Any:
    """List jobs, the newest first."""
    _require(query.kind, job_kinds.KINDS, "kind")
    _require(query.status, _STATUSES, "status")
    found = jobs.list_jobs(
        kind=query.kind, status=query.status, config_id=query.config, config_type=query.type,
        host_id=query.host,
        since=query.since, until=query.until, page=query.page, per_page=query.per_page,
    )  # fmt: skip
    return answers.page(found, job_shape.of_many(found.items))


@door.operation("POST", "/backup/jobs", "operator", body=Body(Many), answer=ManyOut)
def change_jobs(body: Many) -> ManyOut:
    """Cancel or delete many jobs; each that cannot be is named with the reason, and the others are done.

    The oldest are deleted first, so that it is the newest that stay where not all of them may go.
    """
    asked = list(dict.fromkeys(body.ids))
    done = {job_id: _one(job_id, body.action) for job_id in sorted(asked)}
    results = [done[job_id] for job_id in asked]
    note_refused([each.id for each in results if not each.done], len(results))
    return ManyOut(results=results)


@door.operation("GET", "/backup/jobs/<int:job_id>", "viewer", answer=JobOut)
def get_job(job_id: int) -> JobOut:
    """Return a job: its state and progress, or how it ended and what that means."""
    return job_shape.job(job_deletion.get(job_id))


@door.operation(
    "GET", "/backup/jobs/<int:job_id>/log", "viewer", query=queries.LogQuery, answer=ListOut[LogLineOut]
)
def get_log(job_id: int, query: queries.LogQuery) -> Any:
    """Return the log of a job, in order."""
    row = job_deletion.get(job_id)
    found = jobs.log_lines(row.id, problems_only=query.problems, page=query.page, per_page=query.per_page)
    return answers.page(found, job_shape.log_line)


@door.operation("POST", "/backup/jobs/<int:job_id>/cancel", "operator", answer=JobOut, also=(409,))
def cancel_job(job_id: int) -> JobOut:
    """Ask a job to stop: a queued one ends at once, a running one as soon as it can cleanly."""
    return job_shape.job(_cancel(job_id))


@door.operation("DELETE", "/backup/jobs/<int:job_id>", "admin", query=queries.DeleteJobQuery, also=(409,))
def delete_job(job_id: int, query: queries.DeleteJobQuery) -> None:
    """Take a job off the list and put its point into the trash.

    Refused for a job that has not ended, for the last good point of its config, and where more than half of
    the points would have gone within a day, unless `confirm` is true.
    """
    job_deletion.delete(job_id, confirmed=query.confirm)


def _cancel(job_id: int) -> Job:
    if job_deletion.get(job_id).kind not in OPERATORS_CANCEL and not access.may("admin"):
        raise Forbidden
    return jobs.request_cancel(job_id)


def _one(job_id: int, action: str) -> OneResult:
    try:
        if action == "cancel":
            _cancel(job_id)
        elif not access.may("admin"):
            raise Forbidden
        else:
            job_deletion.delete(job_id)
    except HoldfastError as error:
        return OneResult(id=job_id, done=False, status=failures.status_of(error), detail=str(error))
    except Forbidden:
        return OneResult(id=job_id, done=False, status=403, detail="This is not for your role.")
    return OneResult(id=job_id, done=True, status=200, detail="")


def _require(value: str | None, known: tuple[str, ...], field: str) -> None:
    if value is not None and value not in known:
        raise Invalid({field: f"There are: {', '.join(known)}."})
