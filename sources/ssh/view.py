"""What a host's listing says, as directories and entries of a tree."""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from repository.entries import Entry, Listing, Problem, ScannedDir
from sources.patterns import PatternList
from sources.rules import Rules
from sources.ssh import rows
from sources.ssh.brief import Brief, DirBrief, FileBrief
from sources.ssh.listing import HostListing
from sources.ssh.probe import Probe
from sources.ssh.rows import Row

_DIRS_REMEMBERED = 64


class HostView:
    """The listing of the places `tops`, by the path of each directory; the root's key is b"".

    What depends on the listing's attributes raises Unreachable; what makes entries raises Malformed.
    """

    def __init__(self, listing: HostListing, probe: Probe, tops: Sequence[bytes], rules: Rules) -> None:
        self.listing = listing
        self._probe = probe
        self._tops = tops
        self._rules = rules
        self._lock = threading.Lock()
        self._recent: OrderedDict[bytes, dict[bytes, Row]] = OrderedDict()

    def list_dir(self, path: bytes) -> Listing:
        """List one directory of the tree. Raises OSError if it cannot be read."""
        key = path.rstrip(b"/")
        if not self.is_inside(path):
            return self._upper(key)
        found = self.dir_brief(key)
        if isinstance(found, str):
            raise OSError(errno.EACCES, found)
        return found.listing(self.listing.owners)

    def brief(self, paths: Sequence[bytes], *, dirs: bool) -> Brief:
        """Return all that is to be known to read these directories or files elsewhere."""
        found = Brief()
        for path in paths:
            if not dirs:
                folder, _, name = path.rpartition(b"/")
                found.files[path] = FileBrief(self.row_of(path), self.listing.xattrs(folder, name))
            elif self.is_inside(path):
                key = path.rstrip(b"/")
                found.dirs[key] = self.dir_brief(key)
            else:
                found.upper[path] = self._upper(path.rstrip(b"/"))
        return found

    def weight(self, path: bytes, most_bytes: int) -> tuple[int, int]:
        """Return about how many files of less than so many bytes a directory has, and their bytes."""
        packed = self.listing.tree.dirs.get(path.rstrip(b"/"))
        return packed.weight(most_bytes) if packed else (0, 0)

    def scan(self) -> Iterator[ScannedDir]:
        """Yield the fingerprint of every directory below the places asked for."""
        for top, row in self.listing.tree.tops.items():
            stack = [top.rstrip(b"/")] if row.is_dir and not self._excluded(top) else []
            while stack:
                key = stack.pop()
                scanned = self._scanned(key)
                yield scanned
                stack += [key + b"/" + name for name in scanned.folders]

    def row_of(self, path: bytes) -> Row:
        """Return the row that a file was listed with. Raises KeyError."""
        folder, _, name = path.rpartition(b"/")
        with self._lock:
            if path in self.listing.tree.tops:
                return self.listing.tree.tops[path]._replace(name=name)
            if folder not in self._recent:
                self._recent[folder] = {row.name: row for row in self.listing.tree.dirs[folder].rows()}
                if len(self._recent) > _DIRS_REMEMBERED:
                    self._recent.popitem(last=False)
            return self._recent[folder][name]

    def entry(self, path: bytes, row: Row) -> Entry:
        """Return what a row about a path says."""
        folder, _, name = path.rpartition(b"/")
        listing = self.listing
        return rows.entry(row, listing.owners, listing.xattrs(folder, name), listing.devices.get(path, 0))

    def is_inside(self, path: bytes) -> bool:
        """Tell whether a directory was asked for or lies in one that was."""
        return any(top == b"/" or path == top or path.startswith(top + b"/") for top in self._tops)

    def dir_brief(self, key: bytes) -> DirBrief | str:
        """Return what was listed of a directory, or why it was not."""
        listing = self.listing
        packed, reason = listing.tree.dirs.get(key), listing.complaints.get(key or b"/")
        if packed is None or reason is not None:
            return reason or "the host did not list it"
        problems = [
            _complaint(listing, path) for path in listing.complaints_in(key) if path not in listing.tree.dirs
        ]
        problems += listing.tag_problems.get(key, [])
        problems += self._of_the_whole(key)
        return DirBrief(
            packed,
            listing.xattrs_in(key),
            listing.devices_in(key),
            problems,
            b"" if problems else self._fingerprint(packed.digest),
            self._probe.ahead_ns,
        )

    def _upper(self, key: bytes) -> Listing:
        """List a folder above the places asked for: the ways that lead to them."""
        found = Listing([])
        prefix = key + b"/"
        names = {top[len(prefix) :].split(b"/")[0] for top in self._tops if top.startswith(prefix)}
        for name in sorted(names):
            path = prefix + name
            if path in self._tops:
                self._add_top(found, path, name)
            elif path in self.listing.ways:
                found.entries.append(self.entry(path, self.listing.ways[path]._replace(name=name)))
            else:
                found.problems.append(Problem(path, "vanished", "it was there before, and is gone now"))
        found.problems += self._of_the_whole(key)
        return found

    def _add_top(self, found: Listing, path: bytes, name: bytes) -> None:
        row = self.listing.tree.tops.get(path)
        if row is None:
            found.problems.append(_complaint(self.listing, path))
        elif not self._excluded(path):
            found.entries.append(self.entry(path, row._replace(name=name)))
            if row.target:
                text = (
                    f"this is a link to {os.fsdecode(row.target)}; only the link is stored. Name that itself"
                )
                found.problems.append(Problem(path, "unreadable", text))

    def _of_the_whole(self, key: bytes) -> list[Problem]:
        """Return, for the root, the problems that belong to no single path."""
        if key:
            return []
        found = [Problem(b"/", "unreadable", text) for text in self.listing.general]
        return found + [Problem(b"/", "unsupported", text) for text in self._probe.limits]

    def _scanned(self, key: bytes) -> ScannedDir:
        packed = self.listing.tree.dirs.get(key)
        if packed is None or (key or b"/") in self.listing.complaints:
            return ScannedDir(key or b"/", b"", ())
        return ScannedDir(key or b"/", self._fingerprint(packed.digest), packed.folders)

    def _fingerprint(self, digest: bytes) -> bytes:
        """Return the hash of a directory's rows with all else that entries are made of.

        Attributes and ACLs cannot change without a ctime, but the program that shows them may come or go.
        """
        tools = b"%d" % ("getfattr" in self._probe.tools)
        return blake2b(digest + tools + self.listing.owners_text, digest_size=32).digest()

    def _excluded(self, top: bytes) -> bool:
        lists = PatternList(self._rules.exclude), PatternList(self._rules.iexclude, ignore_case=True)
        return any(patterns.match(top) is not None for patterns in lists if patterns and top != b"/")


def _complaint(listing: HostListing, path: bytes) -> Problem:
    reason = listing.complaints.get(path, "the host did not list it")
    if reason == os.strerror(errno.ENOENT):
        return Problem(path, "vanished", "it vanished while the host was listed")
    return Problem(path, "unreadable", f"cannot be looked at: {reason}")
