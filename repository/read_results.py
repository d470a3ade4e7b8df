"""What workers say of the files and directories that they have read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from repository.content_reader import Reading
from repository.entries import Entry, Problem, entry_values
from repository.tree import EncodedNodes

Identity = tuple[int, int, int, int, int]


class ReadFile(NamedTuple):
    """A file as it was read: the values of its Entry, its blobs, the bytes read, and what was wrong."""

    entry: tuple[Any, ...]
    content: list[bytes]
    size: int
    problem: Problem | None


class ReadDir(NamedTuple):
    """A directory that was listed, with its small files read.

    `items` by name: nodes that are complete, and the values of each Entry that is still to be dealt with.
    `fingerprint` is that of its listing, b"" if it has none, or anything was not stored as listed. `failed`
    counts files left out, `links` symbolic ones among the nodes.
    """

    items: Sequence[EncodedNodes | tuple[Any, ...]]
    problems: list[Problem]
    fingerprint: bytes
    newest_ns: int
    failed: int
    links: int


def identity(entry: Entry) -> Identity:
    """Return what two names of one unchanged file have in common."""
    return entry.device_id, entry.inode, entry.size, entry.mtime_ns, entry.ctime_ns


def read_file(path: bytes, reading: Reading[Any] | Problem) -> ReadFile | Problem:
    """Return what came of the last reading of a file, of chunks that have ids."""
    if isinstance(reading, Problem):
        return reading
    problem = reading.problem(path)
    if problem is not None and reading.error:
        return problem
    content = [chunk.id for chunk in reading.chunks]
    return ReadFile(entry_values(reading.entry), content, reading.size, problem)


def unlisted(path: bytes, error: OSError) -> Problem:
    """Return the problem with a folder that cannot be listed."""
    return Problem(path, "unreadable", f"the folder cannot be listed: {error.strerror or error}")
