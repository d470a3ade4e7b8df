"""The steps of a restore, as its plan yields them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from repository.entries import Entry


@dataclass(frozen=True, slots=True)
class MakeDir:
    """Make sure of a directory. `path` is the place at the target, here and below."""

    path: bytes


@dataclass(frozen=True, slots=True)
class LeaveDir:
    """Everything below is written; set the metadata, unless the directory is to be left as it was."""

    path: bytes
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write a file; its blobs follow in the stream, in order."""

    path: bytes
    entry: Entry
    content: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Make a hard link to `first`, a file of this restore; `content` is for when that one failed."""

    path: bytes
    entry: Entry
    first: bytes
    content: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class MakeSpecial:
    """Make a symlink, fifo or device."""

    path: bytes
    entry: Entry


@dataclass(frozen=True, slots=True)
class LeaveFile:
    """A file whose content is already what the snapshot says; only its metadata is to be set."""

    path: bytes
    entry: Entry


Action = MakeDir | LeaveDir | WriteFile | LeaveFile | MakeLink | MakeSpecial
