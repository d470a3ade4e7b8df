"""Directories opened one component at a time, never through a symbolic link, each kept open a while."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 48


class DirStack:
    """The open directories on the way to the one used last. Not for two threads at once.

    Depth is not limited by PATH_MAX nor by the number of open files: only the deepest ones stay open.
    """

    def __init__(self, open_root: Callable[[], int]) -> None:
        self._open_root = open_root
        self._names: list[bytes] = []
        self._fds: list[int | None] = []

    def open(self, components: Sequence[bytes]) -> int:
        """Return a descriptor of the directory below the root, valid until the next call. Raises OSError."""
        keep = self._common(components)
        self._close_below(keep)
        for name in components[keep:]:
            self._enter(name)
        fd = self._fds[-1]
        assert fd is not None
        return fd

    def close(self) -> None:
        """Close all; it may be used again afterwards."""
        self._close_below(-1)

    def __del__(self) -> None:
        self.close()

    def _common(self, components: Sequence[bytes]) -> int:
        """Return how many components the open way shares with this one, down to one still open."""
        if not self._fds:
            self._fds.append(self._open_root())
        count = 0
        for name, other in zip(self._names, components, strict=False):
            if name != other:
                break
            count += 1
        while self._fds[count] is None:
            count -= 1  # the root itself is never closed, so this ends
        return count

    def _enter(self, name: bytes) -> None:
        self._fds.append(os.open(name, _FLAGS, dir_fd=self._fds[-1]))
        self._names.append(name)
        far = len(self._fds) - _MOST_OPEN
        if far > 0:
            self._forget(far)

    def _forget(self, index: int) -> None:
        fd, self._fds[index] = self._fds[index], None
        if fd is not None:
            os.close(fd)

    def _close_below(self, depth: int) -> None:
        while len(self._fds) > depth + 1:
            fd = self._fds.pop()
            if fd is not None:
                os.close(fd)
        del self._names[max(depth, 0) :]
