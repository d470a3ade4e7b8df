"""The listing of a host's trees as it comes from `find`, kept small: rows of a directory, packed."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from sources.patterns import PatternList
from sources.rules import Rules
from sources.ssh.rows import FIELDS, Malformed, Row, check

_MOST_ENTRIES = 50_000_000
_PACK_LEVEL = 1
_PLAIN_BYTES = 64 * 1024 * 1024  # of rows that are kept as they are

_FILE_SIZE = re.compile(rb"\0f \d+ \d+ \d+ (\d+) ")
_DEVICES = (b"b", b"c")

NameTest = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class PackedDir:
    """A directory's rows by ascending name, as one text; its hash; the folders in it."""

    text: bytes
    is_compressed: bool
    digest: bytes
    folders: tuple[bytes, ...]

    def rows(self) -> list[Row]:
        """Return the rows."""
        fields = iter((zlib.decompress(self.text) if self.is_compressed else self.text).split(b"\0"))
        return [Row(*row) for row in zip(fields, fields, fields, strict=False)]

    def weight(self, most_bytes: int) -> tuple[int, int]:
        """Return about how many files of less than so many bytes there are, and their bytes."""
        text = zlib.decompress(self.text) if self.is_compressed else self.text
        sizes = [int(size) for size in _FILE_SIZE.findall(text)]
        small = [size for size in sizes if size < most_bytes]
        return len(small), sum(small)


def pack(rows: list[Row], *, compress: bool = False) -> PackedDir:
    """Return rows, in any order, as one value."""
    rows.sort()
    text = b"\0".join([field for row in rows for field in row])
    folders = tuple([row.name for row in rows if row.facts.startswith(b"d")])
    digest = blake2b(text, digest_size=32).digest()
    return PackedDir(zlib.compress(text, _PACK_LEVEL) if compress else text, compress, digest, folders)


class HostTree:
    """Directories by path (the root as b""), filled by `take` in `find`'s order: each before what is in it.

    `tops` are the rows of the places asked for. What the rules leave out does not get in.
    """

    def __init__(self, tops: Iterable[bytes], rules: Rules) -> None:
        self.dirs: dict[bytes, PackedDir] = {}
        self.tops: dict[bytes, Row] = {}
        self.devices: list[bytes] = []  # paths of device nodes, whose numbers `find` does not tell
        self.tagged: list[bytes] = []  # directories that hold a tag file whose content decides
        self._awaited = set(tops)
        self._rules = NameRules(rules)
        self._stack: list[_OpenDir] = []
        self._announced: bytes | None = None  # the directory in the row before
        self._skipped: bytes | None = None  # everything below this prefix is left out
        self._count = 0
        self._plain_left = _PLAIN_BYTES
        self._top_device = -1

    def take(self, fields: Sequence[bytes]) -> None:
        """Take rows: facts, path and target of each, one after the other. Raises Malformed."""
        self._count += len(fields) // FIELDS
        if self._count > _MOST_ENTRIES:
            raise Malformed(f"more than {_MOST_ENTRIES} entries")
        each = iter(fields)
        for facts, path, target in zip(each, each, each, strict=True):
            if self._skipped is not None:
                if path.startswith(self._skipped):
                    continue
                self._skipped = None
            parent, slash, name = path.rpartition(b"/")
            if self._awaited and path in self._awaited:
                self._begin(path, Row(name, facts, target))
                continue
            check(facts, name)
            if not slash:
                raise Malformed(f"the host's listing has a path that is not absolute: {path[:80]!r}")
            if not self._stack or self._stack[-1].path != parent:
                self._go_to(parent)
            self._add(self._stack[-1], Row(name, facts, target), path)

    def finish(self) -> None:
        """Take note that no row comes any more."""
        self._close_to(0)
        self._announced = None

    def _begin(self, path: bytes, row: Row) -> None:
        """Start with the next place asked for."""
        check(row.facts, row.name or b"root")
        self._awaited.remove(path)
        self._close_to(0)
        self.tops[path] = row
        self._top_device = row.device_id
        self._announced = None
        if row.is_dir:
            self._announced = path.rstrip(b"/")
            self._open_announced()
        elif row.facts[:1] in _DEVICES:
            self.devices.append(path)

    def _add(self, folder: _OpenDir, row: Row, path: bytes) -> None:
        kind = row.facts[:1]
        if self._leaves_out(folder, row, kind):
            self._skipped = path + b"/" if kind == b"d" else None
            return
        folder.rows.append(row)
        if kind == b"d":
            self._open_as_last()
            self._announced = path
        elif kind in _DEVICES:
            self.devices.append(path)

    def _open_as_last(self) -> None:
        """Give a directory that was announced and had nothing in it its place."""
        if self._announced is not None:
            if self._announced in self.dirs:
                raise Malformed(f"the host lists {self._announced[:80]!r} twice")
            self.dirs[self._announced] = pack([])
            self._announced = None

    def _go_to(self, parent: bytes) -> None:
        if self._announced == parent:
            self._open_announced()
            return
        self._open_as_last()
        depth = next((i for i in range(len(self._stack), 0, -1) if self._stack[i - 1].path == parent), 0)
        if not depth:
            raise Malformed(f"the host's listing is not in order at {parent[:80]!r}")
        self._close_to(depth)

    def _open_announced(self) -> None:
        assert self._announced is not None
        if self._announced in self.dirs:
            raise Malformed(f"the host lists {self._announced[:80]!r} twice")
        self._stack.append(_OpenDir(self._announced, self._rules.tests(self._announced)))
        self._announced = None

    def _close_to(self, depth: int) -> None:
        self._open_as_last()
        while len(self._stack) > depth:
            folder = self._stack.pop()
            rows = self._rules.without_tagged(folder.rows)
            if self._rules.needs_look(folder.rows):
                self.tagged.append(folder.path)
            if folder.path in self.dirs:
                raise Malformed(f"the host lists {folder.path[:80]!r} twice")
            packed = self.dirs[folder.path] = pack(rows, compress=self._plain_left < 0)
            self._plain_left -= len(packed.text)

    def _leaves_out(self, folder: _OpenDir, row: Row, kind: bytes) -> bool:
        for test in folder.tests:
            if test(row.name) is not None:
                return True
        return kind != b"d" and self._rules.leaves_out(row, self._top_device)


@dataclass(slots=True)
class _OpenDir:
    """A directory whose rows are still coming."""

    path: bytes
    tests: Sequence[NameTest]
    rows: list[Row]

    def __init__(self, path: bytes, tests: Sequence[NameTest]) -> None:
        self.path, self.tests, self.rows = path, tests, []


class NameRules:
    """The rules, as far as a listing alone can tell."""

    def __init__(self, rules: Rules) -> None:
        self._lists = [
            patterns
            for patterns in (PatternList(rules.iexclude, ignore_case=True), PatternList(rules.exclude))
            if patterns
        ]
        self._rules = rules

    def tests(self, folder: bytes) -> list[NameTest]:
        """Return the tests for the names in a directory."""
        return [patterns.in_dir(folder or b"/") for patterns in self._lists]

    def leaves_out(self, row: Row, device: int) -> bool:
        """Tell whether something other than a directory is left out for its size or its file system."""
        most = self._rules.exclude_larger_than
        if most is not None and row.size > most:
            return True
        return self._rules.one_file_system and row.device_id != device

    def without_tagged(self, rows: list[Row]) -> list[Row]:
        """Return what is left of a directory that holds a tag file: the tag file."""
        for name, header in self._rules.tags:
            if not header and any(row.name == name for row in rows):
                return [row for row in rows if row.name == name]
        return rows

    def needs_look(self, rows: list[Row]) -> bool:
        """Tell whether the content of a file in it decides."""
        names = {name for name, header in self._rules.tags if header}
        return bool(names) and any(row.name in names for row in rows)
