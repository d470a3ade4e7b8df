"""Chosen files put back where they were, on a host or here, after a safety backup of what stands there."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from core.backups import safety_backup
from core.backups.safety_backup import Stamp
from core.errors import Invalid, Refused
from core.hosts import host_put_back
from core.jobs import jobs
from core.jobs.attempts import Attempt, WaitingForJob
from core.models import Config, Point, Restore
from core.points import browse, points
from core.points.tokens import printable
from core.restores import restore_targets
from repository import lookup as engine
from repository.errors import PathNotFound
from repository.repository import Repository
from repository.restore_options import is_within
from repository.snapshot import Snapshot
from repository.tree import Node
from sources.config_bundle.source import DOCUMENT

_REPLACING = ("replace", "replace-if-older")


@dataclass(slots=True)
class _Held:
    """What a point holds of some paths: `things` by their paths, all but the folders, which are by name."""

    things: dict[bytes, Stamp] = field(default_factory=dict)
    folders: set[bytes] = field(default_factory=set)


def folder_of(paths: Sequence[bytes]) -> bytes:
    """Return the folder that all these paths lie in. Raises Invalid (`put_back`).

    It is the place to which the restore goes: on a host, what comes is moved to its names within one file
    system.
    """
    if not paths or b"/" in paths:
        raise Invalid({"put_back": "Choose the files and folders that are to be put back."})
    if top := next((path for path in paths if os.path.dirname(path) == b"/"), None):
        text = f"{printable(top)} lies right in /: choose what is in it instead."
        raise Invalid({"put_back": text})
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])
    if folder == b"/":
        raise Invalid({"put_back": "These lie in different folders of /: put them back one after the other."})
    return folder


def is_offered_here(point: Point) -> bool:
    """Tell whether chosen files of a point may be put back on this machine."""
    return point.config is not None and not _why_not(point.config, None)


def check(point: Point, host_id: str | None, paths: Sequence[bytes] = ()) -> None:
    """Raise Invalid (`put_back`) unless the point is of this host, None: of this machine, by a config that is
    still there, and the paths are of files of it. Writes nothing."""
    config = point.config
    if config is None or (why := _why_not(config, host_id)):
        text = "Files are put back only while their config is there." if config is None else why
        raise Invalid({"put_back": f"{text} Restore them into a folder instead."})
    made = any((DOCUMENT + b"/").startswith(path.rstrip(b"/") + b"/") for path in paths)
    if config.type == "config" and made:
        text = f"{DOCUMENT.decode()} is no file of the host: Holdfast wrote it. Choose others."
        raise Invalid({"put_back": text})
    if host_id is None:
        _require_backed_up(config, paths)
        restore_targets.refuse_put_back(paths)


def _why_not(config: Config, host_id: str | None) -> str:
    """Say why files of a config's points cannot be put back there; "" if they can."""
    of_it = (config.source.get("host_id") or None) == host_id
    if not of_it or config.deleted_at is not None or config.type == "database":
        return "Files are put back only on the machine that they are of, while their config is there."
    if host_id is None and config.type != "files":
        return "Files of a configuration are put back from its page “Compare with this machine”."
    return ""


def _require_backed_up(config: Config, paths: Sequence[bytes]) -> None:
    """Raise Invalid for a path that the safety backup would not look at."""
    read = [os.fsencode(path) for path in config.source.get("paths", [])]
    for path in paths:
        if not any(is_within(path, each) or is_within(each, path) for each in read):
            text = f"{config.name} does not back up {printable(path)} any more, so what stands there now"
            raise Invalid({"put_back": f"{text} would be in no backup. Restore it into a folder instead."})


def require_safety(attempt: Attempt, row: Restore, paths: Sequence[bytes]) -> None:
    """Go on once the safety backup is made and holds what stands there. Raises WaitingForJob, Refused,
    Invalid, and what the host is to blame for.

    On this machine only what the rule may replace is asked for: else the kernel keeps what stands there.
    """
    made = safety_point(attempt)
    check(row.point, row.host_id, paths)  # again: its config may read another host by now
    _require_same_machine(made, row.point)
    restored = _held(row.point, paths)
    if row.host_id is None:
        restore_targets.refuse_folders(restored.folders)
    if row.host_id is not None or row.conflict in _REPLACING:
        saved, standing = _held(made, paths).things, _standing(row.host_id, restored.things)
        for path, there in standing.items():
            safety_backup.require_held(made, path, there, saved.get(path), restored.things[path])
        attempt.log.add("info", f"What stands there now is in the safety backup, point {made.id}.")
    else:
        attempt.log.add("info", f"The safety backup is point {made.id}. By its rule nothing is replaced.")


def _require_same_machine(made: Point, point: Point) -> None:
    """Raise Refused for a point that was read on another machine than the safety backup: its config may have
    been changed from one to the other, and the same path is another machine's file."""
    if made.hostname != point.hostname:
        raise Refused(
            f"Point {point.id} is of {point.hostname}, and the safety backup of {made.hostname}: that is "
            "not where these files were.",
            "Nothing was touched. Restore them into a folder instead.",
        )


def safety_point(attempt: Attempt) -> Point:
    """Return the point that the safety backup of a restore has made. Raises WaitingForJob, Refused."""
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
    return made


def stamp_here(path: bytes) -> Stamp | None:
    """Return the stamp of what stands at a path of this machine, None if nothing does."""
    try:
        found = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return safety_backup.stamp_of(found.st_mode, found.st_size, found.st_mtime_ns // 10**9)


def _standing(host_id: str | None, paths: Collection[bytes]) -> dict[bytes, Stamp]:
    """Return what stands at these paths now, where anything does."""
    if host_id is not None:
        return host_put_back.standing(host_id, sorted(paths))
    seen = ((path, stamp_here(path)) for path in paths)
    return {path: there for path, there in seen if there is not None}


def _held(point: Point, paths: Sequence[bytes]) -> _Held:
    """Return each thing in a point that a restore of these paths may write over, and each folder of them.

    No folder is a thing: what was in the way of one is no file of the point, and stops the restore.
    """

    def look(repo: Repository, snapshot: Snapshot) -> _Held:
        found = _Held()
        for path, node in _nodes(repo, snapshot, paths):
            found.folders.add(path if node.type == "dir" else os.path.dirname(path))
            if node.type != "dir":
                found.things[path] = safety_backup.stamp_of_node(node)
        return found

    return browse.look(point, look)


def _nodes(repo: Repository, snapshot: Snapshot, paths: Sequence[bytes]) -> Iterator[tuple[bytes, Node]]:
    """Yield all that a point holds at these paths and below."""
    for path in paths:
        try:
            node = engine.find_node(repo, snapshot, path)
        except PathNotFound:
            continue
        yield path, node
        if node.type == "dir":
            yield from engine.walk(repo, node, path)
