"""Chosen files of a host put back where they were, after a safety backup of what stands there."""

from __future__ import annotations

import os
from collections.abc import Sequence

from core.backups import safety_backup
from core.backups.safety_backup import Stamp
from core.errors import Invalid, Refused
from core.hosts import host_login, host_trouble, hosts
from core.jobs import jobs
from core.jobs.attempts import Attempt, WaitingForJob
from core.models import Point, Restore
from core.points import browse, points
from repository import lookup as engine
from repository.errors import PathNotFound
from repository.repository import Repository
from repository.snapshot import Snapshot
from sources.config_bundle.source import DOCUMENT

_AT_ONCE = 500  # paths on one command line: 128 KiB is little where they are long


def folder_of(paths: Sequence[bytes]) -> str:
    """Return the folder on the host that all these paths lie in. Raises Invalid (`put_back`).

    It is the place to which the restore goes: what comes is moved to its names within one file system.
    """
    if not paths or b"/" in paths:
        raise Invalid({"put_back": "Choose the files and folders that are to be put back."})
    folder = os.fsdecode(os.path.commonpath([os.path.dirname(path) for path in paths]))
    if folder == "/":
        raise Invalid({"put_back": "These lie in different folders of /: put them back one after the other."})
    return folder


def check(point: Point, host_id: str | None, paths: Sequence[bytes] = ()) -> None:
    """Raise Invalid (`put_back`) unless the point is of this host, by a config that is still there, and the
    paths are of files of it."""
    config = point.config
    of_it = host_id is not None and config is not None and config.source.get("host_id") == host_id
    if not of_it or (config is not None and (config.deleted_at is not None or config.type == "database")):
        text = "Files are put back only on the host that they are of, while their config is there."
        raise Invalid({"put_back": f"{text} Restore them into a folder instead."})
    made = any((DOCUMENT + b"/").startswith(path.rstrip(b"/") + b"/") for path in paths)
    if config is not None and config.type == "config" and made:
        text = f"{DOCUMENT.decode()} is no file of the host: Holdfast wrote it. Choose others."
        raise Invalid({"put_back": text})


def require_safety(attempt: Attempt, row: Restore, paths: Sequence[bytes]) -> None:
    """Go on once the safety backup is made and holds what stands there. Raises WaitingForJob, Refused, and
    what the host is to blame for."""
    safety = jobs.get(int(jobs.get(attempt.job_id).parameters["safety_job"]))
    if not safety.ended:
        raise WaitingForJob(
            f"its safety backup, job {safety.id}, is {safety.status}; nothing is touched before that is done"
        )
    safety_backup.refuse_old(safety)
    made = points.of_job(safety.id)
    if made is None:
        raise Refused(
            f"The safety backup was not made: job {safety.id} is {safety.status}.",
            "Nothing was touched. Mend what that job names, or restore into a folder.",
        )
    check(row.point, row.host_id)  # again: its config may read another host by now
    restored, saved = _things(row.point, paths), _things(made, paths)
    host_id = str(row.host_id)
    with host_trouble.told(host_id):
        standing = _standing(host_id, sorted(restored))
    for path, there in standing.items():
        safety_backup.require_held(made, path, there, saved.get(path), restored[path])
    attempt.log.add("info", f"What stands there now is in the safety backup, point {made.id}.")


def _things(point: Point, paths: Sequence[bytes]) -> dict[bytes, Stamp]:
    """Return each thing in a point that a restore of these paths may write over, by its path.

    Not folders: what was in the way of one of those is no file of the point, and stops the restore.
    """

    def look(repo: Repository, snapshot: Snapshot) -> dict[bytes, Stamp]:
        found: dict[bytes, Stamp] = {}
        for path in paths:
            try:
                node = engine.find_node(repo, snapshot, path)
            except PathNotFound:
                continue
            below = engine.walk(repo, node, path) if node.type == "dir" else [(path, node)]
            found |= {each: safety_backup.stamp_of_node(one) for each, one in below if one.type != "dir"}
        return found

    return browse.look(point, look)


def _standing(host_id: str, paths: Sequence[bytes]) -> dict[bytes, Stamp]:
    """Return what stands at these paths now, where anything does. Raises SourceUnavailable, SshError."""
    from sources.ssh import place  # slow to import: paramiko
    from sources.ssh.host import SshHost
    from sources.ssh.probe import probe

    host = SshHost(host_login.settings_of(hosts.get(host_id)))
    standing: dict[bytes, Stamp] = {}
    try:
        shell = probe(host).shell
        for start in range(0, len(paths), _AT_ONCE):
            found = place.standing(host, paths[start : start + _AT_ONCE], shell=shell)
            standing |= {path: safety_backup.stamp_of(*each) for path, each in found.items()}
        return standing
    finally:
        host.close()
