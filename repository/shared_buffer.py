"""Bytes in memory that are handed to another process without being copied."""

from __future__ import annotations

import mmap
import os

_FIRST_BYTES = 32 * 1024 * 1024  # of address space; memory is taken only as it is filled


class SharedBuffer:
    """Bytes that grow at their end, in a file that has no name and is only in memory."""

    def __init__(self) -> None:
        self.fd = -1
        self.fd = os.memfd_create("holdfast pack")
        self._size = 0
        os.ftruncate(self.fd, _FIRST_BYTES)
        self._map = mmap.mmap(self.fd, _FIRST_BYTES)

    def __len__(self) -> int:
        return self._size

    def append(self, data: bytes) -> None:
        """Add bytes at the end. Not while a view of them is in use."""
        end = self._size + len(data)
        if end > len(self._map):
            self._map.resize(max(end, 2 * len(self._map)))
        self._map[self._size : end] = data
        self._size = end

    def view(self) -> memoryview:
        """Return the bytes as they are in memory. They stay there as long as there is a view."""
        return memoryview(self._map)[: self._size]

    def clear(self) -> bool:
        """Empty it but keep its memory, unless a view of it is left; tell whether it was emptied.

        Not after the descriptor was handed on: whoever has it sees what comes next.
        """
        try:
            self._map.resize(len(self._map))  # Python lets nobody change the size of what is seen
        except BufferError:
            return False
        self._size = 0
        return True

    def __del__(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def open_shared(fd: int, size_bytes: int) -> memoryview:
    """Return what another process put into its buffer. `fd` is closed. Raises ValueError if it is less."""
    try:
        return memoryview(mmap.mmap(fd, size_bytes, prot=mmap.PROT_READ))
    finally:
        os.close(fd)
