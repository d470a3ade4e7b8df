"""Many jobs at once: run again, cancel, pin what they made, delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import BadRequest

from core.errors import HoldfastError, NotFound, Refused
from core.jobs import job_deletion, jobs
from core.models import Job
from core.points import points
from core.retention import pins
from jobs import tasks
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("job_many", __name__, url_prefix="/jobs/many")

MOST_AT_ONCE = 200
_REASONS_SHOWN = 3
_NOTHING = "No job was ticked."


@blueprint.post("")
@access.allow("operator")
def change() -> ResponseReturnValue:
    """Do with the ticked jobs what was pressed."""
    action = forms.sent().value("do")
    if action not in _ACTIONS:
        raise BadRequest
    return _back(_ticked(), *_ACTIONS[action])


@blueprint.post("/ask")
@access.allow("admin")
def ask() -> ResponseReturnValue:
    """Say what deleting the ticked jobs means."""
    found, _ = _ticked()
    if not found:
        return answers.see_other(_list(), _NOTHING, "warn")
    made = [point for job in found if (point := points.of_job(job.id))]
    return render_template("jobs/delete.html", found=found, made=made, back=_list())


@blueprint.post("/delete")
@access.allow("admin")
def delete() -> ResponseReturnValue:
    """Take jobs off the list, and put their points into the trash: the oldest first.

    So it is the newest that stay where not all of them may go.
    """
    confirmed = bool(forms.sent().value("confirmed"))
    found, gone = _ticked()
    return _back(
        (found[::-1], gone),
        lambda job: job_deletion.delete(job.id, confirmed=confirmed),
        "1 job is deleted.",
        "{} jobs are deleted.",
    )


def _run(job: Job) -> None:
    if job.kind != "backup" or job.config_id is None:
        raise Refused(f"Job {job.id} is a {job.kind}: only backups are run again from here.")
    tasks.enqueue([jobs.create_backup(job.config_id, "manual").id])


def _cancel(job: Job) -> None:
    if job.kind not in ("backup", "copy") and not access.may("admin"):
        raise Refused(f"Job {job.id} is a {job.kind}, which only an admin cancels.")
    jobs.request_cancel(job.id)


def _pin(job: Job) -> None:
    point = points.of_job(job.id)
    if point is None:
        raise Refused(f"Job {job.id} made no point that is still there.")
    pins.pin(point.id, point.pin_note, access.user().name)


# What is done, and how often it was, of one and of many.
_ACTIONS: dict[str, tuple[Callable[[Job], None], str, str]] = {
    "run": (_run, "1 backup was asked for.", "{} backups were asked for."),
    "cancel": (_cancel, "1 job was asked to stop.", "{} jobs were asked to stop."),
    "pin": (_pin, "1 point is pinned.", "{} points are pinned."),
}


Ticked = tuple[list[Job], dict[int, str]]


def _ticked() -> Ticked:
    """Return the jobs that are ticked, the newest first, and what there is to say of those that are gone.

    Of backups of one config that are to be run again, only the newest is returned.
    """
    found, gone = list[Job](), dict[int, str]()
    for number in sorted(forms.row_numbers(forms.sent().values("job")), reverse=True)[:MOST_AT_ONCE]:
        try:
            found.append(job_deletion.get(number))
        except NotFound as error:
            gone[number] = str(error)
    if forms.sent().value("do") == "run":
        found = list({job.config_id or job.id: job for job in reversed(found)}.values())
    return found, gone


def _back(ticked: Ticked, do: Callable[[Job], None], one: str, many: str) -> ResponseReturnValue:
    """Do it with each job; say how often it was done, and why not with the others."""
    (found, gone), done = ticked, 0
    left = dict[int, str]()
    for number, job in [(job.id, job) for job in found]:
        try:
            do(job)
            done += 1
        except HoldfastError as error:
            left[number] = str(error)
    left |= gone
    answers.note_refused(list(left), done + len(left))
    said = (one if done == 1 else many.format(done)) if done else ""
    words = f"{said} {_not_done(list(left.values()))}".strip() or _NOTHING
    return answers.see_other(_list(), words, "good" if done and not left else "warn")


def _not_done(left: Sequence[str]) -> str:
    if not left:
        return ""
    more = f" And {len(left) - _REASONS_SHOWN} more." if len(left) > _REASONS_SHOWN else ""
    return f"Not done: {' '.join(left[:_REASONS_SHOWN])}{more}"


def _list() -> str:
    """Return the list that was left, with its filters."""
    return access.own_path(request.form.get("back") or url_for("jobs.index"))
