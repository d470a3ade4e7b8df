"""Trees on a host over SSH, as a Source."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from repository.entries import Entry, Listing, OpenFile, Problem, ScannedDir, SourceUnavailable
from sources.patterns import clean
from sources.rules import Rules
from sources.ssh.brief import Brief
from sources.ssh.contents import HostFiles
from sources.ssh.copy import HostCopy, TakeFile
from sources.ssh.dialects import GNU, POSIX
from sources.ssh.fetch import LARGE_BYTES
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.large_file import lost
from sources.ssh.listing import HostListing, list_host, status_of
from sources.ssh.packing import WORTH_MEASURING, Packing, best_packer
from sources.ssh.patience import persist
from sources.ssh.probe import OWNERS_MARK, Probe, probe
from sources.ssh.rows import Malformed, Row
from sources.ssh.sftp_listing import SftpHostFiles, list_over_sftp, statuses
from sources.ssh.tree import pack
from sources.ssh.view import HostView
from sources.ssh.worker import Workers
from ssh.errors import SshError, Unreachable

_NO_RULES = Rules()


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
        self._settings = settings
        self._host = SshHost(settings)
        self._lock = threading.RLock()
        self._probe: Probe | None = None
        self._view: HostView | None = None
        self._scans = False
        self._workers: Workers | None = None
        self._files: HostFiles | None = None
        self._sftp_files = SftpHostFiles(self._host, self._entry)

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
        except Malformed as error:
            raise self._no_listing(error) from error

    def list_dir(self, path: bytes) -> Listing:
        """List one directory of the tree, exclude rules applied. Raises OSError if it cannot be read."""
        with self._translated():
            return self._listed().list_dir(path)

    @property
    def splittable(self) -> bool:
        """Tell whether a copy in another process can read for this object: not over SFTP alone."""
        return self._probed().shell

    def __reduce__(self) -> tuple[object, ...]:
        users, _, groups = self._probed().owners_text.partition(OWNERS_MARK)
        workers = self._shells()
        with self._translated():
            packer = persist(lambda: workers.file_packer(WORTH_MEASURING))
        return HostCopy, (self._settings, workers.dialect.name, (users, groups), packer)

    def weight(self, path: bytes) -> tuple[int, int]:
        """Return about how many files a copy would read of a directory, and their bytes."""
        return self._listed().weight(path, LARGE_BYTES)

    def brief(self, paths: Sequence[bytes], *, dirs: bool) -> Brief:
        """Return what a copy must know to read these directories or these files."""
        with self._translated():
            return self._listed().brief(paths, dirs=dirs)

    def take_brief(self, brief: object) -> None:
        """Do nothing: only copies are told."""

    def read_dir(self, path: bytes, most_bytes: int, most_files: int, take: TakeFile) -> Listing:
        """List a directory, but hand on its small files, which `take` gets with their content."""
        copy = HostCopy(*self.__reduce__()[1])  # type: ignore[misc]
        copy.take_brief(self.brief([path], dirs=True))
        try:
            return copy.read_dir(path, most_bytes, most_files, take)
        finally:
            copy.close()

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
            view = self._listed()
        except SourceUnavailable as error:
            raise OSError(errno.EIO, str(error)) from error
        yield from view.scan()

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        """Read each of these files once. Raises SourceUnavailable if the host is lost."""
        with self._translated():
            yield from self._reader().open(paths)

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
                dialect = GNU if known.gnu_find and known.gnu_tar else POSIX
                packer = best_packer(self._settings.compression, known.tools)
                always = packer if self._settings.compression == "always" else None
                self._workers = Workers(self._host, dialect, Packing(packer, always))
            return self._workers

    def _reader(self) -> HostFiles | SftpHostFiles:
        with self._lock:
            if self._files is None and self._probed().shell:
                self._files = HostFiles(self._host.name, self._shells(), self._row_of, self._entry)
            return self._files or self._sftp_files

    def _listed(self) -> HostView:
        with self._lock:
            if self._view is None:
                known = self._probed()
                try:
                    listing = persist(lambda: self._list(known))
                    self._view = HostView(listing, known, self._tops, self._rules)
                    self._apply_tags(listing)
                except SshError as error:
                    raise SourceUnavailable(str(error)) from error
                except Malformed as error:
                    raise self._no_listing(error) from error
            return self._view

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

    def _row_of(self, path: bytes) -> Row:
        return self._listed().row_of(path)

    def _entry(self, path: bytes, row: Row) -> Entry:
        with self._translated():
            return self._listed().entry(path, row)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Raise what a Source may raise instead of what a host may do."""
        try:
            yield
        except Unreachable as error:
            raise lost(error) from error
        except Malformed as error:
            raise self._no_listing(error) from error

    def _no_listing(self, error: Malformed) -> SourceUnavailable:
        return SourceUnavailable(f"{self._host.name} sends no proper listing: {error}")


def _starts_with(file: OpenFile, header: bytes) -> bool:
    buffer = memoryview(bytearray(len(header)))
    try:
        return buffer[: file.readinto(buffer)] == header
    finally:
        file.close()


def _outermost(paths: Sequence[bytes]) -> list[bytes]:
    """Return those paths that lie in no other one."""
    found: list[bytes] = []
    for path in sorted(set(paths)):
        if not any(above == b"/" or path.startswith(above + b"/") for above in found):
            found.append(path)
    return found
