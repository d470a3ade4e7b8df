"""`flask backup restore`: files, a dump, or parts of a configuration, out of a point."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from core.hosts import hosts
from core.jobs import nodes
from core.models import Job, Point
from core.points.tokens import token_from_path
from core.restores import config_restores, database_restores, restores
from core.restores.restores import CONFLICTS
from jobs import tasks
from webapp.commands import output
from webapp.commands.answer import answer
from webapp.commands.find import find_config, find_point
from webapp.commands.follow import follow
from webapp.commands.options import CONFIG, JSON, MAX_WAIT
from webapp.commands.users import user as user

_PUT_BACK = ("config", "files")  # types of configs whose files are put back where they were


@click.command("restore")
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
    "put the files named by --include back where they were, after a safety backup.",
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
@CONFIG
@MAX_WAIT
@JSON
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
    it into a new database, or chosen files where they were."""
    on_host = bool(to_host) and in_place and target is None
    put_back = in_place and target is None and to_database is None and not on_host
    if in_place and target is not None:
        raise click.UsageError("--in-place goes without --to: the files go where they were.")
    if (target is None) == (to_database is None) and not (put_back or on_host):
        raise click.UsageError("Say where to: either --to DIR or --to-database NAME.")
    if to_host and (to_database or (target is None and not on_host)):
        raise click.UsageError("--to-host goes with --to DIR, the folder there, or with --in-place.")
    found = find_point(point, config_name, ["database"] if to_database else _PUT_BACK if put_back else [])
    if to_database is not None:
        given = {
            "point_id": found.id, "database": dumped, "to": to_database, "owners": not no_owners,
            "in_place": in_place, "server_config_id": find_config(server_of).id if server_of else None,
            "work_folder": os.path.abspath(work_folder) if work_folder else "",
        }  # fmt: skip
        job = database_restores.create(database_restores.validate(given), "command")
        _make_safety_dump(job, max_wait, quiet=as_json)
    elif put_back and found.config is not None and found.config.type == "config":
        given = {"point_id": found.id, "include": _tokens(include)}
        job = config_restores.create(config_restores.validate(given), "command")
        _make_safety_dump(job, max_wait, quiet=as_json)
    else:
        host_id = hosts.find(to_host).id if to_host else None
        job = restores.create(_files_wanted(found, target, host_id, include, conflict), "command")
        _make_safety_dump(job, max_wait, quiet=as_json)
    answer([job.id], max_wait, as_json)


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
        "target_path": target if host_id or target is None else os.path.abspath(target),
        "host_id": host_id,
        "put_back": target is None,
        "conflict": conflict,
    }
    return restores.validate(given)


def _tokens(paths: Sequence[str]) -> list[str]:
    return [token_from_path(os.fsencode(os.path.normpath("/" + path.lstrip("/")))) for path in paths]
