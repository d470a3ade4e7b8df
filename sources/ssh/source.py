"""Trees on a host over SSH, as a Source."""

from __future__ import annotations

import errno
import os
import threading
from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

from repository.entries import Entry, Listing, OpenFile, Problem, ScannedDir, SourceUnavailable
from sources.patterns import PatternList, clean
from sources.rules import Rules
from sources.ssh import rows
from sources.ssh.contents import HostFiles
from sources.ssh.dialects import GNU, POSIX
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.large_file import lost
from sources.ssh.listing import HostListing, list_host, status_of
from sources.ssh.patience import persist
from sources.ssh.probe import Probe, probe
from sources.ssh.rows import Malformed, Row
from sources.ssh.sftp_listing import SftpHostFiles, list_over_sftp, statuses
from sources.ssh.tree import pack
from sources.ssh.worker import Workers
from ssh.errors import SshError, Unreachable

_NO_RULES = Rules()
_DIRS_REMEMBERED = 64


class SshSource:
    """Files and folders of a host, by absolute paths; they stand in the tree as those of this machine would.

    It is listed once, as a whole, when first asked. `never` are places there, and why they are left out.
    Raises SourceUnavailable for a path that is not absolute, or none.
    """

    def __init__(
        self,
        settings: SshHostSettings,
        targets: Sequence[str | bytes],
        *,
        rules: Rules = _NO_RULES,
        hostname: str | None = None,
        never: Iterable[tuple[str | bytes, str]] = (),
    ) -> None:
        given = [clean(os.fsencode(target)) for target in targets]
        if not given or not all(path.startswith(b"/") for path in given):
            raise SourceUnavailable("name what to back up on the host by absolute paths, such as /etc")
        self._given = given
        self._tops = _outermost(given)
        self._rules = rules
        self._hostname = hostname
        self._never = {clean(os.fsencode(path)): why for path, why in never}
        self._host = SshHost(settings)
        self._lock = threading.RLock()
        self._probe: Probe | None = None
        self._listing: HostListing | None = None
        self._scans = False
        self._workers: Workers | None = None
        self._files: HostFiles | None = None
        self._sftp_files = SftpHostFiles(self._host, self._entry)
        self._recent: OrderedDict[bytes, dict[bytes, Row]] = OrderedDict()

    @property
    def paths(self) -> Sequence[str]:
        """The absolute paths that the snapshot names, in the order given."""
        return [os.fsdecode(path) for path in self._given]

    @property
    def hostname(self) -> str:
        """The machine the data is on: the name given, else its own. Raises SourceUnavailable."""
        return self._hostname or self._probed().hostname

    @property
    def limits(self) -> list[str]:
        """Sentences that say what of this host's files cannot be kept. Raises SourceUnavailable."""
        return self._probed().limits

    def check(self) -> None:
        """Raise SourceUnavailable if the host is out of reach or any of the paths is missing."""
        found = self._existing()
        for path in self._given:
            if path not in found:
                shown = f"{self._host.name}:{os.fsdecode(path)}"
                raise SourceUnavailable(
                    f"{shown} does not exist, or {self._host.settings.server.user} may not look there. "
                    "Is its disk mounted? Else correct the path, or take it out."
                )

    def _existing(self) -> Container[bytes]:
        try:
            if self._probed().shell:
                return status_of(self._shells(), self._given)
            return statuses(self._host, self._given)
        except SshError as error:
            raise SourceUnavailable(str(error)) from error

    def list_dir(self, path: bytes) -> Listing:
        """List one directory of the tree, exclude rules applied. Raises OSError if it cannot be read."""
        listing = self._listed()
        key = path.rstrip(b"/")
        if not self._is_inside(path):
            return self._upper(listing, key)
        return self._lower(listing, key)

    @property
    def identity(self) -> bytes:
        """What the listings depend on besides the files: host, paths, rules, who is looking."""
        server = self._host.settings.server
        who = server.host, server.port, server.user, self._host.settings.sudo
        return repr((self._given, self._rules, self._hostname, self._never, who)).encode()

    @property
    def tree_paths(self) -> Mapping[bytes, bytes]:
        """The tree path of each target, which is its own."""
        return {path: path for path in self._given if path != b"/"}

    def scan(self) -> Iterator[ScannedDir]:
        """Yield the fingerprint of every directory below the targets; may run beside all else."""
        self._scans = True
        try:
            listing = self._listed()
        except SourceUnavailable as error:
            raise OSError(errno.EIO, str(error)) from error
        for top, row in listing.tree.tops.items():
            stack = [top.rstrip(b"/")] if row.is_dir and not self._excluded(top) else []
            while stack:
                key = stack.pop()
                scanned = self._scanned(listing, key)
                yield scanned
                stack += [key + b"/" + name for name in scanned.folders]

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        """Read each of these files once. Raises SourceUnavailable if the host is lost."""
        try:
            yield from self._reader().open(paths)
        except Unreachable as error:
            raise lost(error) from error

    def close(self) -> None:
        """End the connection."""
        self._sftp_files.close()
        if self._workers:
            self._workers.close()
        self._host.close()

    def _probed(self) -> Probe:
        with self._lock:
            if self._probe is None:
                try:
                    self._probe = probe(self._host)
                except Unreachable as error:
                    raise SourceUnavailable(str(error)) from error
            return self._probe

    def _shells(self) -> Workers:
        with self._lock:
            known = self._probed()
            if self._workers is None:
                self._workers = Workers(self._host, GNU if known.gnu_find and known.gnu_tar else POSIX)
            return self._workers

    def _reader(self) -> HostFiles | SftpHostFiles:
        with self._lock:
            if self._files is None and self._probed().shell:
                self._files = HostFiles(self._host.name, self._shells(), self._row_of, self._entry)
            return self._files or self._sftp_files

    def _listed(self) -> HostListing:
        with self._lock:
            if self._listing is None:
                known = self._probed()
                try:
                    self._listing = persist(lambda: self._list(known))
                    self._apply_tags(self._listing)
                except SshError as error:
                    raise SourceUnavailable(str(error)) from error
            return self._listing

    def _list(self, known: Probe) -> HostListing:
        if not known.shell:
            return list_over_sftp(self._host, self._tops, self._rules, self._never)
        return list_host(
            self._host.name,
            self._shells(),
            known,
            self._tops,
            self._rules,
            self._never,
            all_attributes=not self._scans,
        )

    def _apply_tags(self, listing: HostListing) -> None:
        """Empty the directories with a tag file whose content says so."""
        tags = {name: header for name, header in self._rules.tags if header}
        for key in listing.tree.tagged:
            rows = [row for row in listing.tree.dirs[key].rows() if row.name in tags]
            for file in self._reader().open([key + b"/" + row.name for row in rows]):
                name = file.path.rpartition(b"/")[2]
                if isinstance(file, Problem):
                    text = f"cannot read the tag file, so the folder is backed up: {file.message}"
                    listing.tag_problems.setdefault(key, []).append(Problem(file.path, "unsupported", text))
                elif _starts_with(file, tags[name]):
                    listing.tree.dirs[key] = pack([row for row in rows if row.name == name])

    def _is_inside(self, path: bytes) -> bool:
        """Tell whether a directory is a target or lies in one."""
        return any(top == b"/" or path == top or path.startswith(top + b"/") for top in self._tops)

    def _upper(self, listing: HostListing, key: bytes) -> Listing:
        """List a folder above the targets: the ways that lead to them."""
        found = Listing([])
        prefix = key + b"/"
        names = {top[len(prefix) :].split(b"/")[0] for top in self._tops if top.startswith(prefix)}
        for name in sorted(names):
            path = prefix + name
            if path in self._tops:
                self._add_top(listing, found, path, name)
            elif path in listing.ways:
                found.entries.append(self._entry(path, listing.ways[path]._replace(name=name)))
            else:
                found.problems.append(Problem(path, "vanished", "it was there before, and is gone now"))
        if key == b"":
            found.problems += [Problem(b"/", "unreadable", text) for text in listing.general]
            found.problems += [Problem(b"/", "unsupported", text) for text in self._probed().limits]
        return found

    def _add_top(self, listing: HostListing, found: Listing, path: bytes, name: bytes) -> None:
        row = listing.tree.tops.get(path)
        if row is None:
            found.problems.append(_complaint(listing, path))
        elif not self._excluded(path):
            found.entries.append(self._entry(path, row._replace(name=name)))
            if row.target:
                text = (
                    f"this is a link to {os.fsdecode(row.target)}; only the link is stored. Name that itself"
                )
                found.problems.append(Problem(path, "unreadable", text))

    def _lower(self, listing: HostListing, key: bytes) -> Listing:
        packed = listing.tree.dirs.get(key)
        reason = listing.complaints.get(key or b"/")
        if packed is None or reason is not None:
            raise OSError(errno.EACCES, reason or "the host did not list it")
        found = Listing([], newest_ns=packed.newest_ns - self._probed().ahead_ns)
        for row in packed.rows():
            if not row.facts.startswith(b"s"):
                found.entries.append(self._entry(key + b"/" + row.name, row))
        found.problems += [
            _complaint(listing, path) for path in listing.complaints_in(key) if path not in listing.tree.dirs
        ]
        found.problems += listing.tag_problems.get(key, [])
        if key == b"":
            found.problems += [Problem(b"/", "unreadable", text) for text in listing.general]
            found.problems += [Problem(b"/", "unsupported", text) for text in self._probed().limits]
        if not found.problems:
            found.fingerprint = self._fingerprint(listing, packed.digest)
        return found

    def _scanned(self, listing: HostListing, key: bytes) -> ScannedDir:
        packed = listing.tree.dirs.get(key)
        if packed is None or (key or b"/") in listing.complaints:
            return ScannedDir(key or b"/", b"", ())
        return ScannedDir(key or b"/", self._fingerprint(listing, packed.digest), packed.folders)

    def _fingerprint(self, listing: HostListing, digest: bytes) -> bytes:
        """Return the hash of a directory's rows with all else that entries are made of.

        Attributes and ACLs cannot change without a ctime, but the program that shows them may come or go.
        """
        tools = b"%d" % ("getfattr" in self._probed().tools)
        return blake2b(digest + tools + listing.owners_text, digest_size=32).digest()

    def _excluded(self, top: bytes) -> bool:
        lists = PatternList(self._rules.exclude), PatternList(self._rules.iexclude, ignore_case=True)
        return any(patterns.match(top) is not None for patterns in lists if patterns and top != b"/")

    def _entry(self, path: bytes, row: Row) -> Entry:
        listing = self._listed()
        folder, _, name = path.rpartition(b"/")
        try:
            xattrs = listing.xattrs(folder, name)
            return rows.entry(row, listing.owners, xattrs, listing.devices.get(path, 0))
        except Unreachable as error:
            raise lost(error) from error
        except Malformed as error:
            raise SourceUnavailable(f"{self._host.name} sends no proper listing: {error}") from error

    def _row_of(self, path: bytes) -> Row:
        """Return the row that a file was listed with. Raises KeyError."""
        listing = self._listed()
        folder, _, name = path.rpartition(b"/")
        with self._lock:
            if path in listing.tree.tops:
                return listing.tree.tops[path]._replace(name=name)
            if folder not in self._recent:
                self._recent[folder] = {row.name: row for row in listing.tree.dirs[folder].rows()}
                if len(self._recent) > _DIRS_REMEMBERED:
                    self._recent.popitem(last=False)
            return self._recent[folder][name]


def _starts_with(file: OpenFile, header: bytes) -> bool:
    buffer = memoryview(bytearray(len(header)))
    try:
        return buffer[: file.readinto(buffer)] == header
    finally:
        file.close()


def _complaint(listing: HostListing, path: bytes) -> Problem:
    reason = listing.complaints.get(path, "the host did not list it")
    if reason == os.strerror(errno.ENOENT):
        return Problem(path, "vanished", "it vanished while the host was listed")
    return Problem(path, "unreadable", f"cannot be looked at: {reason}")


def _outermost(paths: Sequence[bytes]) -> list[bytes]:
    """Return those paths that lie in no other one."""
    found: list[bytes] = []
    for path in sorted(set(paths)):
        if not any(above == b"/" or path.startswith(above + b"/") for above in found):
            found.append(path)
    return found
