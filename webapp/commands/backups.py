"""Run backups, clean-ups and copies, and say how all stands. Exit codes: 0, 1 failed, 2 usage, 3 warning."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import chain

import click

from core import clock
from core.alerting import clock_watch
from core.backups import copying
from core.configs import configs, states
from core.errors import Conflict, NotFound, Refused
from core.jobs import jobs, nodes
from core.models import Config
from core.points import points
from core.retention import pruning
from core.storages import storages
from jobs import tasks
from webapp.commands import output
from webapp.commands.answer import answer
from webapp.commands.find import find_config
from webapp.commands.group import Group, prepare
from webapp.commands.options import ALLOW_EMPTY, CONFIG, JSON, MAX_WAIT, WAIT
from webapp.commands.users import user as user

backup = Group("backup", help="Back up, restore and look after backups.")


@backup.command("files")
@CONFIG
@ALLOW_EMPTY
@WAIT
@MAX_WAIT
@JSON
def files(config_name: str | None, allow_empty: bool, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs of type files."""
    prepare()
    _run_configs(_wanted("files", config_name), allow_empty, wait, max_wait, as_json)


@backup.command("database")
@CONFIG
@WAIT
@MAX_WAIT
@JSON
def database(config_name: str | None, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs of type database."""
    prepare()
    _run_configs(_wanted("database", config_name), False, wait, max_wait, as_json)


@backup.command("config")
@CONFIG
@WAIT
@MAX_WAIT
@JSON
def configuration(config_name: str | None, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs of type config."""
    prepare()
    _run_configs(_wanted("config", config_name), False, wait, max_wait, as_json)


@backup.command("all")
@ALLOW_EMPTY
@WAIT
@MAX_WAIT
@JSON
def every(allow_empty: bool, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs."""
    prepare()
    _run_configs(_wanted(None, None), allow_empty, wait, max_wait, as_json)


@backup.command("cleanup")
@CONFIG
@click.option("--confirm", is_flag=True, help="Remove points even if more than half of them go at once.")
@click.option("--prune", is_flag=True, help="Then free what no point needs any more, however little that is.")
@click.option(
    "--accept-clock", is_flag=True, help="The clock is right, although it was set by a day or more."
)
@MAX_WAIT
@JSON
def clean(
    config_name: str | None, confirm: bool, prune: bool, accept_clock: bool, max_wait: int, as_json: bool
) -> None:
    """Apply retention: move points to the trash, empty it of what lies there for seven days."""
    if accept_clock:
        clock.accept()
        clock_watch.watch()
    config = find_config(config_name) if config_name else None
    job = jobs.create_retention("command", config.id if config else None, confirmed=confirm)
    wanted = [job.id]
    answer(chain(wanted, _prunes(config)) if prune else wanted, max_wait, as_json)


@backup.command("sync")
@CONFIG
@MAX_WAIT
@JSON
def sync(config_name: str | None, max_wait: int, as_json: bool) -> None:
    """Copy what is missing on a config's destinations, or on those of all configs."""
    wanted = [find_config(config_name)] if config_name else configs.list_all()
    gaps = [gap for config in wanted for gap in copying.gaps(config) if gap.missing]
    if not gaps:
        click.echo("Nothing is missing: every destination has the points that its rule keeps.", err=True)
    ids = [gap.job.id if gap.job else copying.sync(gap.destination.id, "command").id for gap in gaps]
    answer(ids, max_wait, as_json)


@backup.command("status")
@JSON
def status(as_json: bool) -> None:
    """Say whether all is protected; exit code 1: somebody has to do something; 3: things were left out."""
    verdict = states.verdict()
    output.status(verdict, configs.list_all(), as_json=as_json)
    sys.exit({"attention": 1, "warning": 3}.get(verdict.level, 0))


@backup.command("points")
@CONFIG
@JSON
def list_points(config_name: str | None, as_json: bool) -> None:
    """List the points that can be restored, newest first."""
    wanted = [find_config(config_name)] if config_name else configs.list_all()
    output.points([(config, points.list_for(config.id)) for config in wanted], as_json=as_json)


def _wanted(kind: str | None, config_name: str | None) -> Sequence[Config]:
    """Return the configs to run: the one named, even if it is paused, or all enabled ones of a type."""
    if config_name:
        return [find_config(config_name)]
    wanted = [each for each in configs.list_all() if each.enabled and kind in (None, each.type)]
    if not wanted:
        of_type = f" of type {kind}" if kind else ""
        raise NotFound(f"There is no enabled config{of_type}.", "Make one, or enable it.")
    return wanted


def _run_configs(
    wanted: Sequence[Config], allow_empty: bool, wait: bool, max_wait: int, as_json: bool
) -> None:
    if not wait and not nodes.worker_lives():
        raise Refused(
            "No worker is running, so nothing was queued.",
            "Run it here with --wait, or start Holdfast first: make run.",
        )
    started = [_start(config, allow_empty, take_queued=wait) for config in wanted]
    job_ids = [job_id for job_id in started if job_id is not None]
    refused = len(job_ids) < len(wanted)
    if wait:
        answer(job_ids, max_wait, as_json, refused=refused)
    tasks.enqueue(job_ids)
    output.queued([jobs.get(job_id) for job_id in job_ids], as_json=as_json)
    sys.exit(1 if refused else 0)


def _start(config: Config, allow_empty: bool, *, take_queued: bool) -> int | None:
    """Return a new backup job of a config; one that is queued already will do if it is waited for."""
    try:
        return jobs.create_backup(config.id, "command", allow_empty=allow_empty).id
    except Conflict as error:
        pending = jobs.pending_of(config.id)
        if take_queued and pending is not None and pending.status == "queued":
            return pending.id
        click.echo(str(error), err=True)
        return None


def _prunes(config: Config | None) -> Iterator[int]:
    """Make the prunes of all repositories, or of a config's, one after the other, as they are asked for."""
    found = [row.repository_id for row in config.destinations] if config else None
    for repository_id in found or [record.id for record in storages.list_repositories()]:
        begun = pruning.pending(repository_id)
        if begun is not None and begun.status == "running":
            yield begun.id  # one that began by itself may leave a little
        yield pruning.create(repository_id, "command").id
