"""The backup made of what stands somewhere before a restore replaces it."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from datetime import timedelta

from core.db import utc_now
from core.errors import Refused
from core.models import Job, Point
from core.points.tokens import printable
from repository.gotext import parse_time
from repository.tree import Node

GOOD_FOR = timedelta(minutes=30)
_KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo",
    stat.S_IFBLK: "dev", stat.S_IFCHR: "chardev", stat.S_IFSOCK: "socket",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stamp:
    """By what it is seen that something is still what was backed up; of folders only that they are folders.

    `size_bytes` is of files. `mtime_s`: whole seconds, as coarse as SFTP tells them.
    """

    kind: str
    size_bytes: int = 0
    mtime_s: int = 0


def stamp_of(mode: int, size_bytes: int, mtime_s: int) -> Stamp:
    """Return the stamp of what stands somewhere, by its st_mode, size and time of change."""
    kind = _KINDS.get(stat.S_IFMT(mode), "")
    return Stamp(kind) if kind == "dir" else Stamp(kind, size_bytes if kind == "file" else 0, mtime_s)


def stamp_of_node(node: Node) -> Stamp:
    """Return the stamp of what a point holds."""
    if node.type == "dir":
        return Stamp("dir")
    return Stamp(node.type, node.size if node.type == "file" else 0, parse_time(node.mtime) // 10**9)


def require_held(
    safety: Point, path: bytes, there: Stamp, saved: Stamp | None, restored: Stamp | None
) -> None:
    """Raise Refused unless a safety backup, in which `saved` is at this path, has just what stands `there`.

    What is as it was `restored` may have been put there by this restore, before that was cut off.
    """
    if saved is None:
        raise Refused(
            f"The safety backup, point {safety.id}, does not hold {printable(path)}.",
            "Nothing was touched: the config leaves it out now. Restore into a folder instead.",
        )
    if there in (saved, restored):
        return
    raise Refused(
        f"{printable(path)} has changed since the safety backup, point {safety.id}, read it.",
        "What stands there now is in no backup, so it was not replaced. Start it again; if something writes "
        "to it all the time, stop that before.",
    )


def refuse_old(safety: Job) -> None:
    """Raise Refused for one that may hold no more what stands there now: the restore waited too long."""
    if safety.ended_at is None or utc_now() - safety.ended_at <= GOOD_FOR:
        return
    raise Refused(
        f"The safety backup, job {safety.id}, is too old by now: this restore had to wait after it.",
        "Nothing was touched. Start it again: a new safety backup is made.",
    )
