"""What stands on a host where something is to be restored: asked for folder by folder, when it matters."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

from repository.entries import Entry, SourceUnavailable, TargetError
from sources.ssh import target_scripts as scripts
from sources.ssh.attributes import Attributes, ByName
from sources.ssh.dialects import GNU
from sources.ssh.host import SshHost
from sources.ssh.patience import persist
from sources.ssh.rows import FIELDS, Malformed, Owners, Row, entry
from sources.ssh.worker import Workers
from ssh.errors import SshError

_FEW = 16  # folders are asked for one by one; then several levels at a time
_LEVELS = b"5"
_FOLDERS_REMEMBERED = 5000
_NO_OWNERS = Owners()

Folder = dict[bytes, Row]


class Standing:
    """Entries at and below `root` on the host, which must have GNU's find. Names of owners are left out."""

    def __init__(self, host: SshHost, root: bytes) -> None:
        self._host = host
        self._root = root
        self._workers = Workers(host, GNU)
        self._attributes = Attributes(self._workers, (), all_at_once=False)
        self._folders: dict[bytes, Folder | None] = {}
        self._hashes: dict[bytes, dict[bytes, bytes]] = {}
        self._xattrs_of: dict[bytes, ByName] = {}
        self._asked = 0
        self._lock = threading.RLock()

    def find(self, path: bytes) -> Entry | None:
        """Return what stands at a tree path, None if nothing, or a link leads there. Raises TargetError."""
        with self._lock:
            row = self._row(path)
        try:
            return None if row is None else entry(row, _NO_OWNERS)
        except Malformed as error:
            raise TargetError(f"{self._host.name} does not tell what stands there: {error}") from error

    def require_enterable(self, path: bytes, there: Entry) -> None:
        """Raise TargetError unless files can be moved into this place."""
        shown = os.fsdecode(path)
        if there.kind != "dir":
            raise TargetError(
                f"cannot restore {shown}: a file or a link stands where a folder must go; move it away, or "
                "restore elsewhere"
            )

    def is_same(self, path: bytes, wanted: Entry, chunks: Sequence[tuple[int, bytes]]) -> bool:
        """Tell whether the file there has this metadata and this content. Raises TargetError."""
        there = self.find(path)
        if there is None or there.kind != "file" or there.links > 1 or wanted.links > 1:
            return False
        if _facts(there) != _facts(wanted):
            return False
        try:
            with self._lock:
                return self._xattrs(path) == frozenset(wanted.xattrs) and self._has(path, chunks)
        except (SshError, SourceUnavailable, Malformed) as error:
            raise TargetError(str(error)) from error

    def _xattrs(self, path: bytes) -> frozenset[tuple[bytes, bytes]]:
        folder, _, name = path.rpartition(b"/")
        if folder not in self._xattrs_of:
            _make_room(self._xattrs_of)
            self._xattrs_of[folder] = self._attributes.ask_folder(self._place(folder or b"/").rstrip(b"/"))
        return frozenset(self._xattrs_of[folder].get(name, ()))

    def _has(self, path: bytes, chunks: Sequence[tuple[int, bytes]]) -> bool:
        """Compare hashes that the host makes. A file of one chunk is hashed with all of its folder."""
        folder, _, name = path.rpartition(b"/")
        if len(chunks) == 1:
            if folder not in self._hashes:
                _make_room(self._hashes)
                self._hashes[folder] = self._hashes_in(folder)
            return self._hashes[folder].get(name) == chunks[0][1]
        return self._hashes_of(path, [length for length, _ in chunks]) == [digest for _, digest in chunks]

    def _hashes_in(self, folder: bytes) -> dict[bytes, bytes]:
        place = self._place(folder or b"/")
        text = self._workers.run([b"sh", b"-c", scripts.HASHES, b"sh", place]).stdout
        found = {}
        for line in text.split(b"\0"):
            digest, _, name = line.partition(b"  ./")
            if len(digest) == 64:
                found[name] = bytes.fromhex(digest.decode("ascii"))
        return found

    def _hashes_of(self, path: bytes, lengths: Sequence[int]) -> list[bytes]:
        words = [b"%d" % length for length in lengths]
        text = self._workers.run(
            [b"sh", b"-c", scripts.CHUNK_HASHES, b"sh", self._place(path), *words]
        ).stdout
        return [bytes.fromhex(line[:64].decode("ascii")) for line in text.splitlines()]

    def _row(self, path: bytes) -> Row | None:
        if path == b"/":
            found = self._folder(b"")
            return None if found is None else found[b""]
        parent, _, name = path.rpartition(b"/")
        above = self._row(parent or b"/")
        if above is None or not above.is_dir:
            return None  # below a link nothing is ours
        found = self._folder(parent)
        return None if found is None else found.get(name)

    def _folder(self, key: bytes) -> Folder | None:
        if key not in self._folders:
            _make_room(self._folders)
            self._folders[key] = None
            try:
                persist(lambda: self._ask(key))
            except (SshError, SourceUnavailable, Malformed) as error:
                raise TargetError(f"it cannot be seen what stands on {self._host.name}: {error}") from error
        return self._folders[key]

    def _ask(self, key: bytes) -> None:
        """List a directory, its own row under the name b"", and some levels below it if many are asked."""
        self._asked += 1
        place = self._place(key or b"/")
        levels = _LEVELS if self._asked > _FEW else b"1"
        text = self._workers.run([b"find", b"-H", place, b"-maxdepth", levels, b"-printf", GNU.format]).stdout
        fields = text.split(b"\0")[:-1]
        for at in range(0, len(fields) - FIELDS + 1, FIELDS):
            facts, path, target = fields[at : at + FIELDS]
            below = key + path[len(place.rstrip(b"/")) :]
            parent, _, name = below.rpartition(b"/")
            if path == place:
                self._of(key)[b""] = Row(b"", facts, target)
                continue
            self._of(parent)[name] = Row(name, facts, target)
            if facts.startswith(b"d") and below.count(b"/") - key.count(b"/") < int(levels):
                self._of(below)[b""] = Row(b"", facts, target)

    def _of(self, key: bytes) -> Folder:
        found = self._folders.get(key)
        if found is None:
            found = self._folders[key] = {}
        return found

    def _place(self, path: bytes) -> bytes:
        """Return the absolute path on the host."""
        return self._root if path == b"/" else self._root.rstrip(b"/") + path


def _make_room(known: dict[bytes, Any]) -> None:
    """Forget what was asked: a restore goes through the folders once, and memory is bounded."""
    if len(known) >= _FOLDERS_REMEMBERED:
        known.clear()


def _facts(entry_: Entry) -> tuple[int, ...]:
    return entry_.size, entry_.mode, entry_.mtime_ns, entry_.uid, entry_.gid
