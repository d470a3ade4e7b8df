"""Read a whole directory in a worker: list it, read its small files, and encode all that is complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from repository.chunker import CHUNK_SIZES
from repository.content_reader import ContentReader
from repository.entries import Entry, Listing, Problem, SplittableSource, entry_values
from repository.gotext import LocalZone
from repository.read_results import ReadDir, ReadFile, identity, read_file, unlisted
from repository.tree import EncodedNodes, encode_file, encode_node, node_from_entry

# The chunks of larger files keep all processors busy from threads of the parent.
LARGE_BYTES = 4 * 1024 * 1024
# Beyond that, files are handed back to be dealt out: no worker is to have a huge directory alone.
MOST_FILES = 10_000


class _Item(NamedTuple):
    """An entry of the directory: its JSON if it is complete, else its values. `size` is -1 but for files."""

    name: bytes
    json: bytes
    size: int
    values: tuple[Any, ...]


class DirReader:
    """Reads directories of a source. `content` reads single files, and is given what is not small."""

    def __init__(self, source: SplittableSource, content: ContentReader[Any], zone: LocalZone) -> None:
        self._source = source
        self._content = content
        self._zone = zone

    def read(self, path: bytes) -> tuple[ReadDir | Problem, list[Any]]:
        """Return what came of a directory, and the chunks of all files read in it."""
        reading = _DirReading(self._content, self._zone)
        try:
            listing = self._source.read_dir(path, CHUNK_SIZES.minimum, MOST_FILES, reading.take)
        except OSError as error:
            return unlisted(path, error), []
        reading.add_listed(path, listing)
        return reading.result(listing), reading.chunks


class _DirReading:
    """One directory being read."""

    def __init__(self, content: ContentReader[Any], zone: LocalZone) -> None:
        self.chunks: list[Any] = []
        self._content = content
        self._zone = zone
        self._items: list[_Item] = []
        self._problems: list[Problem] = []
        self._failed = self._links = 0
        self._is_as_listed = True

    def take(self, entry: Entry, content: bytes) -> None:
        """Take a file that was read while it was listed."""
        ids = []
        if content:
            chunk = self._content.take(content)
            self.chunks.append(chunk)
            ids.append(chunk.id)
        self._items.append(_Item(entry.name, encode_file(entry, ids, self._zone), entry.size, ()))

    def add_listed(self, path: bytes, listing: Listing) -> None:
        """Take all that was listed: read the files, encode what is neither file nor folder."""
        to_read: dict[bytes, Entry] = {}
        prefix = b"/" if path == b"/" else path + b"/"
        for entry in listing.entries:
            if entry.kind == "file" and self._is_ours(entry) and len(self._items) + len(to_read) < MOST_FILES:
                to_read[prefix + entry.name] = entry
            elif entry.kind in ("file", "dir"):
                self._items.append(_Item(entry.name, b"", -1, entry_values(entry)))
            elif entry.kind != "socket":  # as restic: a socket means nothing without its process
                self._items.append(_Item(entry.name, encode_node(node_from_entry(entry, self._zone)), -1, ()))
                self._links += entry.kind == "symlink"
        for path, reading in self._content.read(list(to_read)):
            if not isinstance(reading, Problem):
                self.chunks += reading.chunks
            self._add_read(to_read[path], read_file(path, reading))

    def result(self, listing: Listing) -> ReadDir:
        """Return all of it."""
        problems = listing.problems + self._problems
        known = self._is_as_listed and not problems
        return ReadDir(
            list(_runs(sorted(self._items))),
            problems,
            listing.fingerprint if known else b"",
            listing.newest_ns,
            self._failed,
            self._links,
        )

    def _is_ours(self, entry: Entry) -> bool:
        """Tell whether a file is to be read here: all names of one file are the parent's business."""
        return entry.links == 1 and entry.size <= LARGE_BYTES

    def _add_read(self, listed: Entry, read: ReadFile | Problem) -> None:
        problem = read if isinstance(read, Problem) else read.problem
        if problem is not None:
            self._problems.append(problem)
        if isinstance(read, Problem):
            self._failed += 1
            return
        entry = Entry(*read.entry)
        self._is_as_listed &= identity(entry) == identity(listed)
        node = node_from_entry(entry, self._zone)
        node.name, node.size, node.content = listed.name, read.size, read.content
        self._items.append(_Item(node.name, encode_node(node), node.size, ()))


def _runs(items: Iterable[_Item]) -> Iterator[EncodedNodes | tuple[Any, ...]]:
    """Join what is complete and stands together."""
    for complete, found in groupby(items, key=lambda item: bool(item.json)):
        if complete:
            yield _joined(list(found))
        else:
            yield from (item.values for item in found)


def _joined(run: Sequence[_Item]) -> EncodedNodes:
    sizes = [item.size for item in run if item.size >= 0]
    return EncodedNodes(
        run[0].name,
        run[-1].name,
        b",".join([item.json for item in run]),
        len(sizes),
        sum(sizes),
        len(run) - len(sizes),
    )
