"""The copy of an SshSource in a worker process: it reads what it is told of, over a connection of its own."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from repository.entries import Entry, Listing, OpenFile, Problem, SourceUnavailable
from sources.ssh.brief import Brief, DirBrief
from sources.ssh.contents import HostFiles
from sources.ssh.dialects import DIALECTS
from sources.ssh.fetch import LARGE_BYTES, Wanted
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.large_file import lost
from sources.ssh.packing import Packing
from sources.ssh.rows import Malformed, Owners, Row, entry
from sources.ssh.unpacked import Packer
from sources.ssh.worker import Workers
from ssh.errors import Unreachable

TakeFile = Callable[[Entry, bytes], None]

_KEPT_BYTES = 16 * 1024 * 1024  # of larger files, read before they are asked for


class HostCopy:
    """Reads directories and files as `take_brief` describes them. `owners`: texts of users and of groups.

    `packer`: what the host packs files by.
    """

    splittable = True

    def __init__(
        self, settings: SshHostSettings, dialect: str, owners: tuple[bytes, bytes], packer: Packer
    ) -> None:
        self._host = SshHost(settings)
        self._owners = Owners(*owners)
        self._workers = Workers(self._host, DIALECTS[dialect], Packing(packer, packer))
        self._files = HostFiles(self._host.name, self._workers, self._row_of, self._entry)
        self._brief = Brief()
        self._todo: dict[bytes, list[Wanted]] = {}
        self._coming: Iterator[Wanted] | None = None
        self._rows: dict[bytes, dict[bytes, Row]] = {}

    def take_brief(self, brief: Brief) -> None:
        """Take what the original said about the next piece of work."""
        self._brief, self._coming = brief, None
        self._rows.clear()
        self._files.forget_ready()

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        """Read each of these files once. Raises SourceUnavailable if the host is lost."""
        try:
            yield from self._files.open(paths)
        except Unreachable as error:
            raise lost(error) from error
        except Malformed as error:
            raise SourceUnavailable(f"{self._host.name} sends no proper listing: {error}") from error

    def read_dir(self, path: bytes, most_bytes: int, most_files: int, take: TakeFile) -> Listing:
        """List a directory, but hand on its small files, which `take` gets with their content.

        The files of all directories of a brief are read in one go: the first call begins with it.
        """
        if path in self._brief.upper:
            return self._brief.upper[path]
        key = path.rstrip(b"/")
        found = self._brief.dirs[key]
        if isinstance(found, str):
            raise OSError(errno.EACCES, found)
        try:
            return found.listing(self._owners, self._read(key, found, most_bytes, most_files, take))
        except Unreachable as error:
            raise lost(error) from error
        except Malformed as error:
            raise SourceUnavailable(f"{self._host.name} sends no proper listing: {error}") from error

    def close(self) -> None:
        """End the connection."""
        self._workers.close()
        self._host.close()

    def _read(
        self, key: bytes, folder: DirBrief, most_bytes: int, most_files: int, take: TakeFile
    ) -> set[bytes]:
        """Hand on what kept still; return the names. Other files are kept for when they are opened."""
        if self._coming is None:
            self._todo = self._to_fetch(most_bytes, most_files)
            self._coming = self._files.fetched([each for some in self._todo.values() for each in some])
        taken = set()
        for each in islice(self._coming, len(self._todo[key])):
            if each.sure and each.data is not None and len(each.data) <= most_bytes:
                take(folder.entry(each.row, self._owners), bytes(each.data))
                taken.add(each.row.name)
            else:
                self._files.keep(each)
        return taken

    def _to_fetch(self, most_bytes: int, most_files: int) -> dict[bytes, list[Wanted]]:
        """Return what is read in one go, by directory: small files, and not too much of larger ones."""
        found: dict[bytes, list[Wanted]] = {}
        room = _KEPT_BYTES
        for key, folder in self._brief.dirs.items():
            some = found[key] = []
            for row in folder.packed.rows() if isinstance(folder, DirBrief) else ():
                if not row.is_lone_file or len(some) >= most_files:
                    continue
                size = row.size
                if most_bytes < size < LARGE_BYTES:
                    room -= size
                if size <= most_bytes or (size < LARGE_BYTES and room >= 0):
                    some.append(Wanted(key + b"/" + row.name, row))
        return found

    def _row_of(self, path: bytes) -> Row:
        """Return the row that a file was listed with. Raises KeyError."""
        if path in self._brief.files:
            return self._brief.files[path].row
        key, _, name = path.rpartition(b"/")
        if key not in self._rows:
            folder = self._brief.dirs[key]
            found = folder.packed.rows() if isinstance(folder, DirBrief) else []
            self._rows[key] = {row.name: row for row in found}
        return self._rows[key][name]

    def _entry(self, path: bytes, row: Row) -> Entry:
        if path in self._brief.files:
            return entry(row, self._owners, self._brief.files[path].xattrs)
        folder = self._brief.dirs[path.rpartition(b"/")[0]]
        return folder.entry(row, self._owners) if isinstance(folder, DirBrief) else entry(row, self._owners)
