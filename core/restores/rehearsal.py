"""What a restore would do, told before anything is written."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from core.errors import Invalid
from core.hosts import host_restoring
from core.points import browse, points
from core.points.tokens import printable
from core.restores import restores
from core.restores.restores import RestoreInput
from repository.entries import Entry, TargetError
from repository.repository import Repository
from repository.restore import RestoreOptions, plan
from repository.restore_actions import Action, LeaveDir, MakeDir, MakeLink, WriteFile
from repository.snapshot import Snapshot
from sources.local_target import LocalTarget

MOST_S = 4.0  # a person waits for it
NAMED = 5

_Existing = Callable[[bytes], Entry | None]


@dataclass(slots=True)
class Rehearsal:
    """Files and links by what would become of them, and `bytes` to be written.

    `same`: among those replaced, such as have that size and time already. `replaced_paths`: a few of them.
    `whole` False: there was no time to look at all, so each number is a least one. `compared` False: nobody
    looked what stands there, so all is counted as new. `free_bytes` None: unknown.
    """

    target: str
    new: int = 0
    replaced: int = 0
    same: int = 0
    kept: int = 0
    beside: int = 0
    unreadable: int = 0
    bytes: int = 0
    replaced_paths: list[str] = field(default_factory=list)
    whole: bool = True
    compared: bool = True
    free_bytes: int | None = None
    notes: Sequence[str] = ()

    @property
    def looked_at(self) -> int:
        """How many things were looked at."""
        return self.new + self.replaced + self.kept + self.beside

    @property
    def fits(self) -> bool:
        """Tell whether there is room, as far as is known."""
        return self.free_bytes is None or self.bytes <= self.free_bytes


class _NoTime(Exception):
    """Enough was looked at."""


def rehearse(given: RestoreInput, *, limited: bool = False, most_s: float = MOST_S) -> Rehearsal:
    """Walk what would be restored and look what stands there; nothing is written.

    What stands in a folder of a host is not looked at one by one. Raises as restores.create, and as
    core.points.browse.list_dir.
    """
    place = restores.check_place(given, limited=limited)
    if place.seen is not None:
        return _on_host(given, place.target, place.seen, most_s)
    try:
        with closing(LocalTarget(os.path.realpath(place.root), rule=given.conflict)) as target:
            found = _walk(given, place.target, target.existing, most_s)
    except TargetError as error:
        raise Invalid({"target_path": f"{place.target} cannot be looked at: {error}"}) from error
    found.free_bytes = _free_bytes(place.target)
    return found


def _on_host(given: RestoreInput, target: str, seen: host_restoring.Look, most_s: float) -> Rehearsal:
    found = _walk(given, target, lambda path: None, most_s)
    found.free_bytes, found.notes, found.compared = seen.free_bytes, seen.notes, not seen.used
    return found


def _walk(given: RestoreInput, target: str, existing: _Existing, most_s: float) -> Rehearsal:
    ends = time.monotonic() + most_s

    def in_time(path: bytes) -> Entry | None:
        if time.monotonic() > ends:
            raise _NoTime
        return existing(path)

    def use(repo: Repository, snapshot: Snapshot) -> Rehearsal:
        return _count(repo, snapshot, given, Rehearsal(target), in_time)

    return browse.look(points.get(given.point_id), use, copy_id=given.copy_id)


def _count(
    repo: Repository, snapshot: Snapshot, given: RestoreInput, found: Rehearsal, existing: _Existing
) -> Rehearsal:
    def lost(_: object) -> None:
        found.unreadable += 1

    options = RestoreOptions(include=given.include_paths or None, conflict=given.conflict)
    planner = plan(repo, snapshot, existing, options, lost)
    try:
        for action in planner.walk():
            if not isinstance(action, MakeDir | LeaveDir):
                _note(found, action, existing(action.path))
    except _NoTime:
        found.whole = False
    found.kept = planner.counts.kept
    found.beside = planner.counts.renamed
    found.new -= min(found.new, found.beside)
    if found.whole and not planner.counts.matched:
        raise Invalid({"path": "Nothing of what was chosen is in this point. Choose again."})
    return found


def _note(found: Rehearsal, action: Action, there: Entry | None) -> None:
    if isinstance(action, MakeDir | LeaveDir):
        return
    found.bytes += action.entry.size if isinstance(action, WriteFile) else 0
    if there is None:
        found.new += 1
        return
    found.replaced += 1
    if isinstance(action, WriteFile | MakeLink) and _looks_same(there, action.entry):
        found.same += 1
    elif len(found.replaced_paths) < NAMED:
        found.replaced_paths.append(printable(action.path))


def _looks_same(there: Entry, entry: Entry) -> bool:
    return there.kind == "file" and (there.size, there.mtime_ns) == (entry.size, entry.mtime_ns)


def _free_bytes(target: str) -> int | None:
    """Return the room on the disk that a folder is on, or will be."""
    path = os.path.realpath(target)
    while path != "/" and not os.path.isdir(path):
        path = os.path.dirname(path)
    try:
        found = os.statvfs(path)
    except OSError:
        return None  # said as unknown
    return found.f_bavail * found.f_frsize
