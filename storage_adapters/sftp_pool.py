"""A few connections to one SFTP server, each lent to one thread at a time and made anew after a cut."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from ssh.connection import DEFAULT_LIMITS, TimeLimits, connect
from ssh.errors import SshError
from ssh.server import Server
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus
from storage_adapters.sftp_errors import not_connected

# Each has a cipher thread of its own. sshd starts to refuse when ten log in at once (MaxStartups).
MOST_CONNECTIONS = 4


class SftpPool:
    """Lends out SFTP sessions; whoever comes while all are lent waits."""

    def __init__(self, server: Server, limits: TimeLimits = DEFAULT_LIMITS) -> None:
        self._server = server
        self._limits = limits
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        self._lock = threading.Lock()
        self._idle: list[Sftp] = []
        self._closed = False

    @contextmanager
    def lend(self) -> Iterator[Sftp]:
        """Lend a session, which is taken back unless an error says that its connection is gone.

        Raises a StorageError if there is no connection.
        """
        with self._room:
            session = self._take() or self._connect()
            usable = False
            try:
                yield session
                usable = True
            except SftpStatus:
                usable = True
                raise
            finally:
                self._give_back(session, usable=usable)

    def close(self) -> None:
        """End the sessions that are not lent, now, and those that are when they come back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for session in idle:
            session.close()

    def _take(self) -> Sftp | None:
        while True:
            with self._lock:
                if not self._idle:
                    return None
                session = self._idle.pop()
            if not session.broken:
                return session
            session.close()

    def _give_back(self, session: Sftp, *, usable: bool) -> None:
        with self._lock:
            if usable and not session.broken and not self._closed:
                self._idle.append(session)
                return
        session.close()

    def _connect(self) -> Sftp:
        try:
            connection = connect(self._server, self._limits)
            try:
                return Sftp(connection)
            except BaseException:
                connection.close()
                raise
        except SshError as error:
            raise not_connected(error) from error
