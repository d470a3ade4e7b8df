"""What a restore into a folder in use could not put in its place, as the host lists it."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from repository.entries import Conflict, LeftOut

_SKIPPED = b": not replacing "  # newer versions of mv say what they leave alone, as they were told


class _Thing(NamedTuple):
    kind: bytes
    size: int


Below = dict[bytes, _Thing]  # by path; with the thing itself


def left_behind(listing: bytes, standing: Collection[bytes]) -> dict[bytes, Below]:
    """Return what is left, by the path of the highest thing; `standing` are folders that stood there before.

    The listing has a folder behind one more `/`, then `kind size name` of everything below it.
    """
    tops: dict[bytes, Below] = {}
    folder = b""
    for record in listing.split(b"\0")[:-1]:
        if record.startswith(b"/"):
            folder = record[1:]
            continue
        if not record:  # a sign of life
            continue
        kind, size, name = record.split(b" ", 2)
        path = folder + b"/" + name
        if path not in standing:
            tops.setdefault(_top(path, standing), {})[path] = _Thing(kind, int(size))
    return tops


def judged(path: bytes, below: Below, there: bytes, rule: Conflict) -> LeftOut:
    """Say what it means; `there`: a letter for what stands there now."""
    kinds = [thing.kind for thing in below.values()]
    files = kinds.count(b"f")
    dirs = kinds.count(b"d")
    is_leaf = below[path].kind != b"d" and there in (b"f", b"l")
    return LeftOut(
        path,
        kept=is_leaf and rule in ("keep", "replace-if-older"),
        files=files,
        dirs=dirs,
        others=len(kinds) - files - dirs,
        bytes=sum(thing.size for thing in below.values() if thing.kind == b"f"),
    )


def own_complaints(stderr: bytes) -> bytes:
    """Return what is wrong, without what was wanted so."""
    return b"\n".join(line for line in stderr.splitlines() if _SKIPPED not in line)


def _top(path: bytes, standing: Collection[bytes]) -> bytes:
    """Return the highest part of a path that is below a folder that stood there."""
    while (above := path.rpartition(b"/")[0] or b"/") not in standing and above != b"/":
        path = above
    return path
