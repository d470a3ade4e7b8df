"""`flask backup job …`: list, look, read logs, cancel and delete jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import click

from core.errors import HoldfastError
from core.hosts import hosts
from core.jobs import job_deletion, job_kinds, jobs
from core.models import Job
from core.restores import restores
from webapp.api import job_shape
from webapp.commands import api_json as json
from webapp.commands import output
from webapp.commands.find import find_config
from webapp.commands.group import Group

group = Group("job", help="List jobs, look at one, read its log, cancel and delete jobs.")

_JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
_IDS = click.argument("job_ids", metavar="JOB...", nargs=-1, required=True, type=int)
_ID = click.argument("job_id", metavar="JOB", type=int)


@group.command("list")
@click.option("--kind", type=click.Choice(job_kinds.KINDS), help="Only of this kind.")
@click.option("--status", metavar="STATUS", help="Only of this status; `pending` and `ended` are several.")
@click.option("--config", "config_name", metavar="NAME", help="Only of this config (name or id).")
@click.option("--host", "host_name", metavar="NAME", help="Only those that work on this host.")
@click.option("--last", type=click.IntRange(1, 500), default=50, show_default=True, help="So many.")
@_JSON
def list_all(
    kind: str | None, status: str | None, config_name: str | None, host_name: str | None, last: int,
    as_json: bool,
) -> None:  # fmt: skip
    """List the newest jobs."""
    found = jobs.list_jobs(
        kind=kind, status=status, config_id=find_config(config_name).id if config_name else None,
        host_id=hosts.find(host_name).id if host_name else None, per_page=last,
    ).items  # fmt: skip
    if as_json:
        json.show({"jobs": [job_shape.job(each) for each in found]})
    elif found:
        rows = [(str(each.id), each.kind, _about(each), each.status, each.summary) for each in found]
        output.table(("JOB", "KIND", "CONFIG", "STATUS", "SUMMARY"), rows)
    else:
        click.echo("No job fits.")


@group.command("show")
@_ID
def show(job_id: int) -> None:
    """Print a job as JSON; a restore with where it goes."""
    row = job_deletion.get(job_id)
    json.show(job_shape.restore(restores.of_job(row.id)) if row.kind == "restore" else job_shape.job(row))


@group.command("log")
@_ID
@click.option("--problems", is_flag=True, help="Only warnings, and lines about single files.")
def log(job_id: int, problems: bool) -> None:
    """Print the log of a job."""
    row, page = job_deletion.get(job_id), 1
    while True:
        found = jobs.log_lines(row.id, problems_only=problems, page=page)
        for line in found.items:
            path = f"{line.path}: " if line.path else ""
            click.echo(f"{line.at:%Y-%m-%d %H:%M:%S} UTC  {line.level}  {path}{line.message}")
        if page >= found.pages:
            return
        page += 1


@group.command("cancel")
@_IDS
def cancel(job_ids: Sequence[int]) -> None:
    """Ask jobs to stop; exit code 1 if one of them could not be."""
    _each(job_ids, _cancel, "will stop")


@group.command("delete")
@_IDS
@click.option("--confirm", is_flag=True, help="Also if more than half of the points go within a day.")
def delete(job_ids: Sequence[int], confirm: bool) -> None:
    """Take jobs off the list and put their points into the trash; exit code 1 if one could not be."""
    _each(job_ids, lambda job_id: job_deletion.delete(job_id, confirmed=confirm), "is deleted")


def _cancel(job_id: int) -> None:
    jobs.request_cancel(job_deletion.get(job_id).id)


def _each(job_ids: Sequence[int], act: Callable[[int], None], done: str) -> None:
    """Do it with each; one that cannot be does not keep the others from it."""
    failed = False
    for job_id in dict.fromkeys(job_ids):
        try:
            act(job_id)
            click.echo(f"Job {job_id} {done}.")
        except HoldfastError as error:
            click.echo(f"Job {job_id}: {error}", err=True)
            failed = True
    if failed:
        raise SystemExit(1)


def _about(job: Job) -> str:
    return job.config.name if job.config else "-"
