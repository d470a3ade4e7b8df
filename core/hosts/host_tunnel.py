"""PostgreSQL servers that only a host reaches: brought here over SSH, for as long as they are used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Self

from core.hosts import host_login, host_socket, hosts
from core.models import Host
from repository.entries import SourceUnavailable, TargetError
from sources.postgres.dump import DumpOptions
from sources.postgres.errors import ServerUnavailable
from sources.postgres.server import LOOPBACK, Server, Way
from sources.postgres.source import PostgresSource
from ssh.errors import ForwardRefused, NobodyThere, RelayFailed, SshError

if TYPE_CHECKING:
    from ssh.connection import Connection
    from ssh.forward import Forward, SocketFolder


class Tunnel:
    """A server as a host sees it, which is reached here as `server` until the end of the block.

    Where no TLS is wanted it comes out as a Unix socket in a folder that nobody else may enter; else, since
    libpq speaks no TLS there, at a port of the loopback that lets nobody else through. What SSH did to a
    connection is raised instead of what PostgreSQL's programs saw of it.
    Raises NotFound, Refused, ServerUnavailable. `quick`: somebody waits for the answer.
    """

    def __init__(self, host_id: str, server: Server, *, quick: bool = False) -> None:
        host = hosts.get(host_id)
        self._host, self._name, self._to = host, host.name, server
        here = server.host in LOOPBACK or _is_socket(server)
        self.hostname = _own_name(host) if here else server.host
        self._folder: SocketFolder | None = None
        connection = self._log_in(host, quick=quick)
        try:
            self.server, self._forward = self._bring(connection)
        except BaseException:
            connection.close()
            self._remove_folder()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        trouble = self._forward.trouble
        self.close()
        if trouble is None or not isinstance(error, SourceUnavailable | TargetError):
            return
        text = self._words_for(trouble)
        if isinstance(error, TargetError):
            raise type(error)(f"{text}. Because of that, {error}") from trouble
        if not isinstance(trouble, ForwardRefused | NobodyThere | RelayFailed):
            text += f". Because of that, {error}"
        raise ServerUnavailable(text) from trouble

    def close(self) -> None:
        """End the way there; a second time does nothing."""
        self._forward.close()
        self._remove_folder()

    def _log_in(self, host: Host, *, quick: bool) -> Connection:
        from ssh.connection import connect  # slow to import: paramiko

        settings = host_login.settings_of(host, quick=quick)
        try:
            return connect(settings.server, settings.limits)
        except SshError as error:
            raise ServerUnavailable(f"{self._name}: {error}") from error

    def _bring(self, connection: Connection) -> tuple[Server, Forward]:
        from ssh.forward import Forward, SocketFolder, is_of_this_user, listen_on_loopback
        from ssh.ways import ToAddress

        host, port = self._to.host, self._to.port
        there = (
            host_socket.way_to(connection, self._host, self._to)
            if _is_socket(self._to)
            else ToAddress(connection, host, port)
        )
        if _wants_tls(self._to):
            listener = listen_on_loopback()
            way = Way(self._name, loopback_port=listener.getsockname()[1])
            return replace(self._to, way=way), Forward(connection, there, listener, is_of_this_user)
        self._folder = SocketFolder()
        listener = self._folder.listen(f".s.PGSQL.{port}")
        way = Way(self._name, socket_folder=self._folder.path)
        return replace(self._to, way=way), Forward(connection, there, listener, lambda end: True)

    def _words_for(self, trouble: SshError) -> str:
        if _is_socket(self._to) and isinstance(trouble, NobodyThere | RelayFailed):
            return host_socket.words_for(trouble, self._host, self._to)
        place = f"{self._to.host}:{self._to.port}"
        if isinstance(trouble, ForwardRefused):
            return (
                f"{self._name} lets us in, but not on to {place}: the line of the key in its authorized_keys "
                f"must begin with {','.join(host_login.key_options([(self._to.host, self._to.port)]))} (the "
                "host’s page has the whole line), and its sshd_config must not say AllowTcpForwarding no"
            )
        if isinstance(trouble, NobodyThere):
            return (
                f"nobody answers at {place} as {self._name} sees it ({trouble}). See that PostgreSQL runs "
                "there and listens at this address (listen_addresses), and correct the address if need be"
            )
        return f"{self._name}: {trouble}"

    def _remove_folder(self) -> None:
        if self._folder is not None:
            self._folder.close()


class HostDatabases(PostgresSource):
    """Databases of a server that a host reaches. Use it in a block: at its end the way there ends, too."""

    def __init__(
        self,
        tunnel: Tunnel,
        names: Sequence[str] | None,
        exclude: Sequence[str],
        options: DumpOptions,
        waiting: Callable[[], None],
    ) -> None:
        super().__init__(
            tunnel.server,
            names,
            exclude=exclude,
            options=options,
            hostname=tunnel.hostname,
            waiting=waiting,
        )
        self._tunnel = tunnel

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        self._tunnel.__exit__(kind, error, trace)


def _wants_tls(server: Server) -> bool:
    """Tell whether TLS makes a difference: on the way to the host itself SSH protects already."""
    if _is_socket(server):
        return False
    if server.ssl_mode in ("allow", "prefer"):
        return server.host not in LOOPBACK
    return server.ssl_mode != "disable"


def _is_socket(server: Server) -> bool:
    return server.host.startswith("/")


def _own_name(host: Host) -> str:
    """Return the name that a host gave itself in its last test; its address where there was none."""
    return str(host.test_result.get("facts", {}).get("hostname") or host.address)
