"""A file of a host as a stream of bytes, over SFTP."""

from __future__ import annotations

import io
from collections.abc import Callable

from ssh.sftp import Sftp

_PIECE_BYTES = 1024 * 1024


class SftpReading(io.RawIOBase):
    """Reads an open file from its start. `use` lends the session; what it raises comes from here."""

    def __init__(self, use: Callable[[Callable[[Sftp], bytes]], bytes], handle: bytes) -> None:
        self._use = use
        self._handle = handle
        self._place = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill the buffer from the current place; return the count of bytes, 0 at the end."""
        most, place = min(len(buffer), _PIECE_BYTES), self._place
        data = self._use(lambda sftp: sftp.read(self._handle, place, most))
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file on the host."""
        if not self.closed:
            super().close()
            self._use(self._end)

    def _end(self, sftp: Sftp) -> bytes:
        sftp.close_handle(self._handle)
        return b""
