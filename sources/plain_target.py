"""A target that gives no rights away: another one, without setuid, devices and the kernel's attributes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from repository.entries import Entry, Problem, Target

_RIGHTS = 0o6000  # setuid and setgid
# Capabilities are among the first, what only root sees among the second.
_KERNELS = (b"security.", b"trusted.")


class PlainTarget:
    """Passes on what is written to `inner`, which belongs to whoever writes there: owners are its own affair.

    Nothing is told of what is left out: whoever restores so was told before.
    """

    def __init__(self, inner: Target) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        """Return what `inner` can beside what every target can: tell sizes, say what came late."""
        return getattr(self._inner, name)

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


def _plain(entry: Entry) -> Entry:
    kept = tuple(each for each in entry.xattrs if not each[0].startswith(_KERNELS))
    return replace(entry, mode=entry.mode & ~_RIGHTS, xattrs=kept)
