"""`flask backup …` and `flask user …`. Exit codes: 0, 1 failed, 2 usage, 3 warning."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import click

from core import clock
from core.alerting import clock_watch
from core.backups import copying
from core.configs import configs, states
from core.errors import Conflict, NotFound, Refused
from core.hosts import hosts
from core.jobs import jobs, nodes
from core.models import Config, Job, Point
from core.points import points
from core.points.tokens import token_from_path
from core.restores import config_restores, database_restores, restores
from core.restores.restores import CONFLICTS
from core.retention import pruning
from core.storages import storages
from jobs import tasks
from webapp import command_alerts, command_audit, command_configs, command_transfer
from webapp import command_output as output
from webapp.command_compare import compare, environment
from webapp.command_find import find_config, find_point
from webapp.command_follow import follow, worst
from webapp.command_group import Group, prepare
from webapp.command_hosts import host
from webapp.command_leftovers import leftovers
from webapp.command_rights import restore_folders
from webapp.command_users import user as user

backup = Group("backup", help="Back up, restore and look after backups.")
backup.add_command(compare)
backup.add_command(environment)
backup.add_command(host)
backup.add_command(leftovers)
backup.add_command(command_configs.group)
backup.add_command(command_audit.group)
backup.add_command(restore_folders)
for _command in command_transfer.COMMANDS:
    backup.add_command(_command)

_JSON = click.option("as_json", "--json", is_flag=True, help="Print one JSON document for scripts.")
_ALLOW_EMPTY = click.option("--allow-empty", is_flag=True, help="A source that is empty is meant to be.")
_MAX_WAIT = click.option(
    "--max-wait", type=click.IntRange(0), default=60, show_default=True, metavar="SECONDS",
    help="How long to wait for somebody else's lock.",
)  # fmt: skip
_CONFIG = click.option("config_name", "--config", metavar="NAME", help="Only this config (name or id).")
_WAIT = click.option("--wait", is_flag=True, help="Wait until it has ended; works without a worker, too.")


@backup.command("files")
@_CONFIG
@_ALLOW_EMPTY
@_WAIT
@_MAX_WAIT
@_JSON
def files(config_name: str | None, allow_empty: bool, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs of type files."""
    prepare()
    _run_configs(_wanted("files", config_name), allow_empty, wait, max_wait, as_json)


@backup.command("database")
@_CONFIG
@_WAIT
@_MAX_WAIT
@_JSON
def database(config_name: str | None, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs of type database."""
    prepare()
    _run_configs(_wanted("database", config_name), False, wait, max_wait, as_json)


@backup.command("config")
@_CONFIG
@_WAIT
@_MAX_WAIT
@_JSON
def configuration(config_name: str | None, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs of type config."""
    prepare()
    _run_configs(_wanted("config", config_name), False, wait, max_wait, as_json)


@backup.command("all")
@_ALLOW_EMPTY
@_WAIT
@_MAX_WAIT
@_JSON
def every(allow_empty: bool, wait: bool, max_wait: int, as_json: bool) -> None:
    """Back up all enabled configs."""
    prepare()
    _run_configs(_wanted(None, None), allow_empty, wait, max_wait, as_json)


@backup.command("cleanup")
@_CONFIG
@click.option("--confirm", is_flag=True, help="Remove points even if more than half of them go at once.")
@click.option("--prune", is_flag=True, help="Then free what no point needs any more, however little that is.")
@click.option(
    "--accept-clock", is_flag=True, help="The clock is right, although it was set by a day or more."
)
@_MAX_WAIT
@_JSON
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
    _answer(chain(wanted, _prunes(config)) if prune else wanted, max_wait, as_json)


@backup.command("sync")
@_CONFIG
@_MAX_WAIT
@_JSON
def sync(config_name: str | None, max_wait: int, as_json: bool) -> None:
    """Copy what is missing on a config's destinations, or on those of all configs."""
    wanted = [find_config(config_name)] if config_name else configs.list_all()
    gaps = [gap for config in wanted for gap in copying.gaps(config) if gap.missing]
    if not gaps:
        click.echo("Nothing is missing: every destination has the points that its rule keeps.", err=True)
    ids = [gap.job.id if gap.job else copying.sync(gap.destination.id, "command").id for gap in gaps]
    _answer(ids, max_wait, as_json)


@backup.command("status")
@_JSON
def status(as_json: bool) -> None:
    """Say whether all is protected; exit code 1: somebody has to do something; 3: things were left out."""
    verdict = states.verdict()
    output.status(verdict, configs.list_all(), as_json=as_json)
    sys.exit({"attention": 1, "warning": 3}.get(verdict.level, 0))


@backup.command("points")
@_CONFIG
@_JSON
def list_points(config_name: str | None, as_json: bool) -> None:
    """List the points that can be restored, newest first."""
    wanted = [find_config(config_name)] if config_name else configs.list_all()
    output.points([(config, points.list_for(config.id)) for config in wanted], as_json=as_json)


@backup.command("restore")
@click.argument("point")
@click.option("--to", "target", metavar="DIR", help="The folder to restore into.")
@click.option("--to-host", metavar="HOST", help="Restore to this host; --to is then a folder there.")
@click.option("--to-database", metavar="NAME", help="The new database to restore a dump into.")
@click.option("--database", "dumped", default="", metavar="NAME", help="Which database of the point.")
@click.option("--server-of", metavar="CONFIG", help="Restore to this config's server, not the point's own.")
@click.option(
    "--in-place",
    is_flag=True,
    help="Replace the database of that name, after a safety dump (it is kept under another name); or, "
    "of a configuration, the files named by --include, after a safety backup.",
)
@click.option(
    "--work-folder", default="", metavar="DIR", help="Where the files of a parallel dump go on the way."
)
@click.option("--no-owners", is_flag=True, help="Without owners, rights and roles: all is the user's.")
@click.option(
    "--include", multiple=True, metavar="PATH", help="Only this file or folder, as it was backed up."
)
@click.option(
    "--conflict", type=click.Choice(list(CONFLICTS)), default="keep", show_default=True,
    help="What to do where something stands already.",
)  # fmt: skip
@_CONFIG
@_MAX_WAIT
@_JSON
def restore(
    point: str,
    target: str | None,
    to_host: str | None,
    to_database: str | None,
    dumped: str,
    server_of: str | None,
    in_place: bool,
    work_folder: str,
    no_owners: bool,
    include: Sequence[str],
    conflict: str,
    config_name: str | None,
    max_wait: int,
    as_json: bool,
) -> None:
    """Restore POINT (a number from `flask backup points`, a snapshot id, or latest) into a folder, a dump in
    it into a new database, or chosen files of a configuration in their places."""
    on_host = bool(to_host) and in_place and target is None
    put_back = in_place and target is None and to_database is None and not on_host
    if (target is None) == (to_database is None) and not (put_back or on_host):
        raise click.UsageError("Say where to: either --to DIR or --to-database NAME.")
    if to_host and (to_database or (target is None and not on_host)):
        raise click.UsageError("--to-host goes with --to DIR, the folder there, or with --in-place.")
    found = find_point(point, config_name, "database" if to_database else "config" if put_back else None)
    if to_database is not None:
        given = {
            "point_id": found.id, "database": dumped, "to": to_database, "owners": not no_owners,
            "in_place": in_place, "server_config_id": find_config(server_of).id if server_of else None,
            "work_folder": os.path.abspath(work_folder) if work_folder else "",
        }  # fmt: skip
        job = database_restores.create(database_restores.validate(given), "command")
        _make_safety_dump(job, max_wait, quiet=as_json)
    elif put_back:
        given = {"point_id": found.id, "include": _tokens(include)}
        job = config_restores.create(config_restores.validate(given), "command")
        _make_safety_dump(job, max_wait, quiet=as_json)
    else:
        host_id = hosts.find(to_host).id if to_host else None
        job = restores.create(_files_wanted(found, target, host_id, include, conflict), "command")
        _make_safety_dump(job, max_wait, quiet=as_json)
    _answer([job.id], max_wait, as_json)


def _make_safety_dump(job: Job, max_wait: int, *, quiet: bool) -> None:
    """Follow the backup that a restore in place waits for, if it is one."""
    safety_id = restores.safety_job_of(job)
    if safety_id is None:
        return
    if nodes.worker_lives():
        tasks.enqueue([safety_id])
    ended = follow(safety_id, max_wait, quiet=quiet)
    if not quiet:
        output.ended(ended)


def _files_wanted(
    point: Point, target: str | None, host_id: str | None, include: Sequence[str], conflict: str
) -> restores.RestoreInput:
    given = {
        "point_id": point.id,
        "include": _tokens(include),
        "target_path": target if host_id else os.path.abspath(str(target)),
        "host_id": host_id,
        "put_back": target is None,
        "conflict": conflict,
    }
    return restores.validate(given)


def _tokens(paths: Sequence[str]) -> list[str]:
    return [token_from_path(os.fsencode(os.path.normpath("/" + path.lstrip("/")))) for path in paths]


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
        _answer(job_ids, max_wait, as_json, refused=refused)
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


def _answer(job_ids: Iterable[int], max_wait: int, as_json: bool, *, refused: bool = False) -> None:
    """Follow the jobs to their end, print what came of them, and exit with the worst code."""
    works = nodes.worker_lives()
    if works and isinstance(job_ids, Sequence):
        tasks.enqueue(job_ids)
    ended: list[Job] = []
    for job_id in job_ids:
        if works:
            tasks.enqueue([job_id])
        ended.append(follow(job_id, max_wait, quiet=as_json))
        if not as_json:
            output.ended(ended[-1])
    if as_json:
        output.ended_as_json([jobs.get(job.id) for job in ended])
    for job_id in [] if works else pruning.queued_ids():
        follow(job_id, 0, quiet=True)
    if not works:
        command_alerts.tell()
    sys.exit(1 if refused else worst(job.status for job in ended))
