"""A target that gives no rights away: another one, without setuid, devices and the kernel's attributes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import BinaryIO, Protocol, runtime_checkable

from msgspec.structs import replace

from repository.entries import Entry, LateTarget, LeftOut, Problem, Target

_RIGHTS = 0o6000  # setuid and setgid
# Capabilities are among the first, what only root sees among the second.
_KERNELS = (b"security.", b"trusted.")


@runtime_checkable
class _Measuring(Protocol):
    def size(self, path: bytes) -> int | None: ...


@runtime_checkable
class _Hashing(Target, Protocol):
    def has_content(self, path: bytes, entry: Entry, chunks: Sequence[tuple[int, bytes]]) -> bool: ...


@runtime_checkable
class _Readable(Target, Protocol):
    def open_file(self, path: bytes) -> BinaryIO: ...
    def describe_file(self, path: bytes, entry: Entry) -> list[Problem]: ...


def plain(inner: Target) -> PlainTarget:
    """Return a target that passes on to `inner`, and that can compare files the way `inner` can."""
    if isinstance(inner, _Hashing):
        return _PlainHashing(inner)
    return _PlainReadable(inner) if isinstance(inner, _Readable) else PlainTarget(inner)


class PlainTarget:
    """Passes on what is written to `inner`, which belongs to whoever writes there: owners are its own affair.

    Nothing is told of what is left out: whoever restores so was told before.
    """

    def __init__(self, inner: Target) -> None:
        self._inner = inner

    # Each by its name, not by __getattr__: from Python 3.12 on isinstance sees through none, so the engine
    # would never ask for them.

    @property
    def left_out(self) -> Sequence[LeftOut]:
        """See LateTarget; nothing, where `inner` is none."""
        return self._inner.left_out if isinstance(self._inner, LateTarget) else ()

    def size(self, path: bytes) -> int | None:
        """Return the size of the file at `path`, None if nothing stands there. Raises TargetError."""
        if isinstance(self._inner, _Measuring):
            return self._inner.size(path)
        there = self._inner.existing(path)
        return None if there is None else there.size

    def existing(self, path: bytes) -> Entry | None:
        """See Target."""
        return self._inner.existing(path)

    def start_dir(self, path: bytes) -> None:
        """See Target."""
        self._inner.start_dir(path)

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """See Target."""
        return self._inner.finish_dir(path, _plain(entry))

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """See Target."""
        return self._inner.write_file(path, _plain(entry), chunks)

    def make_link(self, path: bytes, first: bytes) -> None:
        """See Target."""
        self._inner.make_link(path, first)

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """See Target. A device is not made."""
        if entry.kind in ("dev", "chardev"):
            return [Problem(path, "unsupported", f"a {entry.kind} is not restored here")]
        return self._inner.make_special(path, _plain(entry))

    def flush(self) -> None:
        """See Target."""
        self._inner.flush()


class _PlainHashing(PlainTarget):
    def __init__(self, inner: _Hashing) -> None:
        super().__init__(inner)
        self._hashing = inner

    def has_content(self, path: bytes, entry: Entry, chunks: Sequence[tuple[int, bytes]]) -> bool:
        """Tell whether the file at `path` is just this one, as it is written here. Raises TargetError."""
        return self._hashing.has_content(path, _plain(entry), chunks)


class _PlainReadable(PlainTarget):
    def __init__(self, inner: _Readable) -> None:
        super().__init__(inner)
        self._readable = inner

    def open_file(self, path: bytes) -> BinaryIO:
        """Open the regular file at `path` for reading. Raises TargetError, also if it is none."""
        return self._readable.open_file(path)

    def describe_file(self, path: bytes, entry: Entry) -> list[Problem]:
        """Set the metadata of the regular file at `path`. Raises TargetError."""
        return self._readable.describe_file(path, _plain(entry))


def _plain(entry: Entry) -> Entry:
    kept = tuple(each for each in entry.xattrs if not each[0].startswith(_KERNELS))
    return replace(entry, mode=entry.mode & ~_RIGHTS, xattrs=kept)
