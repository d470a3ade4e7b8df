"""One stream, such as another program's output, as a Source: a tree of one file, read once to its end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader

from repository.entries import Entry, Listing, Problem, SourceUnavailable
from sources.metadata import group_name, user_name
from sources.patterns import clean


class StreamSource:
    """The file `name` below the root of the tree (slashes in it are folders), with what `stream` holds.

    `now_ns` becomes its time. Raises SourceUnavailable for a name that no file can have. An empty stream is
    refused unless it is allowed: most often the program that should have written it has failed.
    """

    def __init__(
        self,
        stream: BufferedReader,
        name: str,
        now_ns: int,
        *,
        hostname: str | None,
        allow_empty: bool = False,
    ) -> None:
        self._path = clean(b"/" + os.fsencode(name))
        if self._path == b"/" or b"\0" in self._path:
            raise SourceUnavailable(f"{name!r} is no name for a file; give another with --stdin-filename")
        self._stream = stream
        self._now_ns = now_ns
        self._hostname = hostname or socket.gethostname()
        self._allow_empty = allow_empty

    @property
    def paths(self) -> Sequence[str]:
        """The path of the one file."""
        return [os.fsdecode(self._path)]

    @property
    def hostname(self) -> str:
        """The machine the stream is read on."""
        return self._hostname

    def check(self) -> None:
        """Wait for the first byte; raise SourceUnavailable if there is none."""
        if not self._allow_empty and not self._stream.peek(1):
            raise SourceUnavailable(
                "nothing came from the standard input, so nothing was backed up; did the program before "
                "fail? --allow-empty stores an empty file"
            )

    def list_dir(self, path: bytes) -> Listing:
        """Return the one thing in a folder on the way to the file. Raises FileNotFoundError for others."""
        inside = path.rstrip(b"/") + b"/"
        if not self._path.startswith(inside):
            raise FileNotFoundError(f"the stream has no folder {path!r}")
        name, _, below = self._path[len(inside) :].partition(b"/")
        return Listing([self._entry(name, is_dir=bool(below))])

    def open_files(self, paths: Sequence[bytes]) -> Iterator[_OpenStream | Problem]:
        """Hand out the stream, which can be read once."""
        for path in paths:
            yield _OpenStream(path, self._entry(path.rpartition(b"/")[2], is_dir=False), self._stream)

    def _entry(self, name: bytes, *, is_dir: bool) -> Entry:
        uid, gid = os.getuid(), os.getgid()
        return Entry(
            name,
            "dir" if is_dir else "file",
            0o755 if is_dir else 0o644,
            self._now_ns,
            self._now_ns,
            uid,
            gid,
            user_name(uid),
            group_name(gid),
            links=0 if is_dir else 1,
        )


@dataclass(slots=True)
class _OpenStream:
    """The stream as an OpenFile. Its size is not known before its end: the entry says 0."""

    path: bytes
    entry: Entry
    _stream: BufferedReader

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`, waiting for the program that writes; return the count of bytes, 0 at the end."""
        return self._stream.readinto(buffer)

    def entry_now(self) -> Entry:
        """Return the same entry: nothing can be seen to change."""
        return self.entry

    def close(self) -> None:
        """Leave the stream to whoever gave it."""
