"""What a backup of a source would read, by listing alone: totals, biggest folders, what is left out."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from repository.entries import Listing, Problem, Source
from sources.local import LocalSource

# A folder is not worth showing beside one inside it that has this much of its bytes.
_MOSTLY = 0.8
_EXAMPLES = 5


@dataclass(slots=True)
class Totals:
    """Running sums; the same object each time. Hard links count once for each name."""

    files: int = 0
    bytes: int = 0
    folders: int = 0


@dataclass(frozen=True, slots=True)
class FolderSize:
    """All that is backed up below one folder."""

    path: bytes
    files: int
    bytes: int


@dataclass(slots=True)
class LeftOut:
    """What one rule leaves out: how many things (a folder is one), and the first of them."""

    rule: str
    count: int = 0
    examples: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class Preview:
    """The answer to "what would this back up?"; a lower bound unless `complete`."""

    files: int
    bytes: int
    biggest: list[FolderSize]
    left_out: list[LeftOut]
    problems: list[Problem]
    complete: bool


def measure(source: Source) -> Iterator[Totals]:
    """Yield running totals, once a folder, for progress. What cannot be listed is not counted."""
    totals = Totals()
    for _, listing in _walk(source, lambda problem: None):
        _count(totals, listing)
        yield totals


def preview(
    source: Source, *, limit_s: float = 5.0, most: int = 10, clock: Callable[[], float] = time.monotonic
) -> Preview:
    """Look through a source for at most about `limit_s` seconds. Raises SourceUnavailable from its check."""
    source.check()
    end = clock() + limit_s
    totals = Totals()
    folders: dict[bytes, FolderSize] = {}
    left_out: dict[str, LeftOut] = {}
    problems: list[Problem] = []
    complete = True
    for path, listing in _walk(source, problems.append):
        before = totals.files, totals.bytes
        _count(totals, listing)
        _add_up(folders, path, totals.files - before[0], totals.bytes - before[1])
        _note_left_out(left_out, path, listing)
        problems += listing.problems
        problems += _unreadable(source, path, listing)
        if clock() > end:
            complete = False
            break
    rules = sorted(left_out.values(), key=lambda rule: -rule.count)
    return Preview(totals.files, totals.bytes, _biggest(folders, most), rules, problems, complete)


def _walk(source: Source, report: Callable[[Problem], None]) -> Iterator[tuple[bytes, Listing]]:
    waiting = [b"/"]
    while waiting:
        path = waiting.pop()
        try:
            listing = source.list_dir(path)
        except OSError as err:
            report(Problem(path, "unreadable", f"cannot be listed: {err.strerror}"))
            continue
        yield path, listing
        waiting += (_join(path, entry.name) for entry in listing.entries if entry.kind == "dir")


def _unreadable(source: Source, path: bytes, listing: Listing) -> Iterator[Problem]:
    """Yield the files that this process may not open; of a source elsewhere only the backup can tell."""
    if not isinstance(source, LocalSource):
        return
    for entry in listing.entries:
        name = _join(path, entry.name)
        # Asked of the kernel, which knows groups, ACLs and capabilities; opening could block or have effects.
        if entry.kind == "file" and not os.access(source.real_path(name), os.R_OK, effective_ids=True):
            yield Problem(name, "unreadable", "cannot be read: Permission denied")


def _join(path: bytes, name: bytes) -> bytes:
    return path.rstrip(b"/") + b"/" + name


def _count(totals: Totals, listing: Listing) -> None:
    for entry in listing.entries:
        if entry.kind == "file":
            totals.files += 1
            totals.bytes += entry.size
        elif entry.kind == "dir":
            totals.folders += 1


def _add_up(folders: dict[bytes, FolderSize], path: bytes, files: int, size: int) -> None:
    """Add to a folder and to all above it; the root itself says nothing."""
    folders[path] = FolderSize(path, 0, 0)
    while path != b"/":
        now = folders.get(path, FolderSize(path, 0, 0))
        folders[path] = FolderSize(path, now.files + files, now.bytes + size)
        path = path[: path.rindex(b"/")] or b"/"


def _biggest(folders: dict[bytes, FolderSize], most: int) -> list[FolderSize]:
    """Return the biggest folders, but for those of which one folder inside holds nearly all."""
    hidden = set()
    for path, folder in folders.items():
        parent = path[: path.rindex(b"/")] or b"/"
        if folder.bytes >= _MOSTLY * folders[parent].bytes:
            hidden.add(parent)
    shown = (folder for path, folder in folders.items() if path not in hidden and folder.bytes)
    return heapq.nlargest(most, shown, key=lambda folder: folder.bytes)


def _note_left_out(left_out: dict[str, LeftOut], path: bytes, listing: Listing) -> None:
    for gone in listing.excluded:
        rule = left_out.setdefault(gone.rule, LeftOut(gone.rule))
        rule.count += 1
        if len(rule.examples) < _EXAMPLES:
            rule.examples.append(_join(path, gone.name))
