"""What crosses the border between the engine and the places that data comes from and goes back to.

A `Source` lists and reads; a `Target` writes. Both speak of *tree paths*: absolute, `/`-separated bytes
as they stand in the snapshot (`b"/"` is its root), whatever the real place on a machine is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

# What a restore does where something other than a folder stands already.
Conflict = Literal["replace", "keep", "replace-if-older", "rename"]

Kind = Literal["file", "dir", "symlink", "dev", "chardev", "fifo", "socket"]

ProblemKind = Literal["unreadable", "vanished", "shrank", "changed", "incomplete", "unsupported"]


class SourceUnavailable(Exception):
    """The source as a whole cannot be read: a path is missing, a host is gone. Says what to do."""


class TargetError(Exception):
    """The target refuses one thing (no space, no right, a name in the way); the message names the path."""


class TargetFull(TargetError):
    """No space left at the target: going on is pointless."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """The metadata of one thing in a tree, without its content.

    `mode` holds the twelve permission bits (0o7777) only. Times are nanoseconds since the epoch, UTC, and may
    be negative. `size` is in bytes, for files; 0 for all else. `links`, `inode`, `device_id` are st_nlink,
    st_ino, st_dev; `device` is st_rdev. `xattrs` keeps the kernel's order; ACLs are among them
    (`system.posix_acl_access`). `blocks` is st_blocks (512 bytes each), 0 where unknown; it is not stored.
    """

    name: bytes
    kind: Kind
    mode: int
    mtime_ns: int
    ctime_ns: int = 0
    uid: int = 0
    gid: int = 0
    user: str = ""
    group: str = ""
    inode: int = 0
    device_id: int = 0
    links: int = 0
    size: int = 0
    linktarget: bytes = b""
    device: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    blocks: int = 0


# The mode of a folder that a restore has made and not yet described: with the sticky bit, which no folder has
# without rights for others. Where a restore was cut off, the next one knows its half-made folders by it.
HALF_MADE = 0o1700


# Between processes entries travel as tuples: they take a third of the time to pickle.
entry_values = attrgetter(*Entry.__struct_fields__)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that was not read, or not restored, as it should have been.

    `unreadable`, `vanished` and `shrank` mean that data is missing (a warning); `changed`: stored as it was
    read, though it changed meanwhile; `incomplete`: content whole, some metadata missing; `unsupported`:
    cannot be kept. Of all problems of a restore with the same `once`, only the first is worth telling.
    """

    path: bytes
    kind: ProblemKind
    message: str
    once: str = field(default="", compare=False)

    @property
    def loses_data(self) -> bool:
        """Tell whether something asked for is missing from the result."""
        return self.kind in ("unreadable", "vanished", "shrank", "incomplete")


@dataclass(slots=True)
class Listing:
    """The entries of one directory, ascending by raw name; what could not be listed; what rules left out.

    `fingerprint`, 32 bytes, is another one whenever anything in `entries` is; b"" where the source has none.
    `newest_ns` is the newest ctime among them; it belongs to the fingerprint.
    """

    entries: list[Entry]
    problems: list[Problem] = field(default_factory=list)
    excluded: list[Excluded] = field(default_factory=list)
    fingerprint: bytes = b""
    newest_ns: int = 0


@dataclass(frozen=True, slots=True)
class Excluded:
    """A thing that a rule leaves out, by name; `rule` says which, in words or as its pattern."""

    name: bytes
    kind: Kind
    rule: str


class ScannedDir(NamedTuple):
    """What a fast look at a directory shows: a listing's fingerprint, and the folders in the listing."""

    path: bytes
    fingerprint: bytes
    folders: Sequence[bytes]


class OpenFile(Protocol):
    """One file being read, from its start to its end, once."""

    path: bytes
    entry: Entry  # taken from the open file, not from the listing

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the current place; return the count of bytes, 0 at the end. Raises OSError."""

    def entry_now(self) -> Entry:
        """Return the metadata as it is now, to notice a change while reading. Raises OSError."""

    def close(self) -> None:
        """Release the file."""


class Source(Protocol):
    """A tree that can be listed and read. One thread lists; reading may happen in others."""

    @property
    def paths(self) -> Sequence[str]:
        """The absolute paths that the snapshot names, in the order given."""

    @property
    def hostname(self) -> str:
        """The machine the data is on, as the snapshot names it."""

    def check(self) -> None:
        """Raise SourceUnavailable if any of the paths is missing, with what to do."""

    def list_dir(self, path: bytes) -> Listing:
        """List one directory of the tree, exclude rules applied. Raises OSError if it cannot be read."""

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:
        """Open each of these files once, in any order; the caller closes one before it asks for the next.

        A file that cannot be opened, or is no regular file any more, comes as a Problem.
        """


@runtime_checkable
class ScannableSource(Source, Protocol):
    """A source that can say, much faster than by listing it, which directories are unchanged."""

    @property
    def identity(self) -> bytes:
        """What the listings depend on besides the files themselves, such as rules."""

    def scan(self) -> Iterator[ScannedDir]:
        """Yield every directory, each before those in it; some may be missing. Raises OSError.

        May run in another thread, beside listing and reading.
        """


@runtime_checkable
class TargetedSource(Source, Protocol):
    """A source that can say where the places asked for stand in its tree."""

    @property
    def tree_paths(self) -> Mapping[bytes, bytes]:
        """The tree path of each path asked for that has one of its own, with the path. Raises OSError."""


@runtime_checkable
class SplittableSource(Source, Protocol):
    """A source of which a pickled copy reads the same files in another process; `splittable` says it can."""

    @property
    def splittable(self) -> bool:
        """Tell whether a copy in another process reads just what this object reads."""

    def read_dir(
        self, path: bytes, most_bytes: int, most_files: int, take: Callable[[Entry, bytes], None]
    ) -> Listing:
        """List a directory as list_dir does, and read its small files in the same go, which is much faster.

        `take` is given regular files of at most `most_bytes` bytes and one name, `most_files` of them, with
        their whole content, if they kept still from the listing to the end of reading. All else stands in
        the listing, and only that. Raises OSError.
        """


@runtime_checkable
class BriefedSource(SplittableSource, Protocol):
    """A splittable source that is listed once, as a whole: its copies are told what they are to read.

    A copy reads nothing but what its last brief is about.
    """

    def weight(self, path: bytes) -> tuple[int, int]:
        """Return about how many files a copy would read of a directory, and their bytes."""

    def brief(self, paths: Sequence[bytes], *, dirs: bool) -> object:
        """Return what a copy must know, to be pickled, to read these directories or these files."""

    def take_brief(self, brief: object) -> None:
        """In a copy: take what the original's `brief` returned."""


class SplittableTarget(Protocol):
    """A target of which a pickled copy writes to the same place; `splittable` says whether it can."""

    @property
    def splittable(self) -> bool:
        """Tell whether a copy in another process writes just what this object writes."""


@runtime_checkable
class EarlyFlushTarget(Protocol):
    """A target that can put on the disk what is written while more is being written."""

    def flushing_early(self) -> AbstractContextManager[None]:
        """Do so in the block, so that `Target.flush` has less to do. It is `flush` that raises what fails."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What did not get its place because something had come there by then, which was left alone.

    `kept`: just as the conflict rule wants it. The counts are of it and of all below it.
    """

    path: bytes
    kept: bool
    files: int = 0
    dirs: int = 0
    others: int = 0
    bytes: int = 0


@runtime_checkable
class LateTarget(Protocol):
    """A target that puts everything in its place at `flush` only, when the plan may be hours old."""

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """What `flush` has left out."""


class Target(Protocol):
    """A place that a tree is written to. Never follows a symbolic link below its root."""

    def existing(self, path: bytes) -> Entry | None:
        """Return what stands at `path` now, None if nothing. Raises TargetError."""

    def start_dir(self, path: bytes) -> None:
        """Make sure that a real directory stands at `path` (0700 when new). Parents come before children."""

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """Set a directory's metadata, after everything below it was written."""

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """Write a whole file, then its metadata; long runs of zeros become holes.

        The name shows the old file or the whole new one, never a part, also when killed. Raises TargetError,
        TargetFull, and whatever `chunks` raises (nothing is left then).
        """

    def make_link(self, path: bytes, first: bytes) -> None:
        """Make `path` a hard link to `first`, which this restore wrote before."""

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """Make a symlink, fifo or device with its metadata, replacing a non-directory there."""

    def flush(self) -> None:
        """Wait until all that was written is on the disk. Raises TargetError, TargetFull."""
