"""One hash for all that lstat tells of a directory's entries: the same hash, the same directory."""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from operator import attrgetter

from sources.metadata import group_name, user_name

Status = tuple[int, ...]
Row = tuple[bytes, Status]

_MODE, _CTIME = 0, 5
_OWNER = slice(1, 3)
# Of a new release of Python, version 2 still gives the same bytes; and it writes no references, which
# would depend on who else holds an object.
_MARSHAL_VERSION = 2

# All that a node is made of, or changes with it: the attributes, ACLs, content and link target of an inode
# cannot change without its ctime.
status_of: Callable[[os.stat_result], Status] = attrgetter(
    "st_mode",
    "st_uid",
    "st_gid",
    "st_size",
    "st_mtime_ns",
    "st_ctime_ns",
    "st_ino",
    "st_nlink",
    "st_dev",
    "st_rdev",
)


def fingerprint(rows: list[Row]) -> bytes:
    """Return the hash of a directory's entries, given by ascending name; it includes their owners' names."""
    names = owner_names(frozenset([status[_OWNER] for _, status in rows]))
    return blake2b(marshal.dumps((rows, names), _MARSHAL_VERSION), digest_size=32).digest()


@lru_cache(maxsize=4096)
def owner_names(owners: frozenset[Status]) -> list[tuple[bytes, bytes]]:
    """Return the names of these pairs of user and group, by number."""
    return [(os.fsencode(user_name(uid)), os.fsencode(group_name(gid))) for uid, gid in sorted(owners)]


def newest_ctime(rows: list[Row]) -> int:
    """Return when the entry changed last did so, in ns since the epoch."""
    return max((status[_CTIME] for _, status in rows), default=0)


def folders_of(rows: list[Row]) -> list[bytes]:
    """Return the names of the directories among the entries."""
    return [name for name, status in rows if status[_MODE] >> 12 == 4]
