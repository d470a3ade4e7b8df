"""What the listing of a host says of single directories and files: enough to read them elsewhere."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from repository.entries import Entry, Listing, Problem
from sources.ssh import rows
from sources.ssh.attributes import ByName, Xattrs
from sources.ssh.rows import Owners, Row
from sources.ssh.tree import PackedDir


@dataclass(frozen=True, slots=True)
class DirBrief:
    """A directory as it was listed. `devices` are numbers by name; the host's clock is `ahead_ns` of ours."""

    packed: PackedDir
    xattrs: ByName
    devices: dict[bytes, int]
    problems: list[Problem]
    fingerprint: bytes
    ahead_ns: int

    def listing(self, owners: Owners, leave_out: Container[bytes] = ()) -> Listing:
        """Return it as a listing, without these names. Raises Malformed."""
        found = Listing([], list(self.problems), fingerprint=self.fingerprint)
        newest = 0
        for row in self.packed.rows():
            entry = None if row.name in leave_out else self.entry(row, owners)
            newest = max(newest, row.ctime_ns if entry is None else entry.ctime_ns)
            if entry is not None and entry.kind != "socket":
                found.entries.append(entry)
        found.newest_ns = newest - self.ahead_ns
        return found

    def entry(self, row: Row, owners: Owners) -> Entry:
        """Return what a row of it says. Raises Malformed."""
        return rows.entry(row, owners, self.xattrs.get(row.name, ()), self.devices.get(row.name, 0))


@dataclass(frozen=True, slots=True)
class FileBrief:
    """A file as it was listed."""

    row: Row
    xattrs: Xattrs


@dataclass(frozen=True, slots=True)
class Brief:
    """What one piece of work is about: directories by path (the root: b""), each with why it is unreadable
    where it is; those above the places asked for as whole listings; and single files by path."""

    dirs: dict[bytes, DirBrief | str] = field(default_factory=dict)
    upper: dict[bytes, Listing] = field(default_factory=dict)
    files: dict[bytes, FileBrief] = field(default_factory=dict)
