"""Connect and log in: to nobody but the pinned server, with no prompt, and never without an end."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from paramiko import Channel, SSHException, Transport
from paramiko.ssh_exception import ChannelException, IncompatiblePeer

from ssh import host_keys
from ssh.errors import ForwardRefused, HostKeyRefused, NobodyThere, NoCommonAlgorithms, Unreachable
from ssh.login import log_in
from ssh.server import Server
from ssh.transport import QuietTransport

# Everything worth knowing comes as an error; tracebacks in the log of the app do not help anybody.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)

# By speed: AES-GCM needs no separate MAC. Nothing with CBC, 3DES, MD5 or SHA-1.
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
MACS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)
RSA_SIGNATURES = ("rsa-sha2-512", "rsa-sha2-256")

WINDOW_BYTES = 8 * 1024 * 1024  # what may be under way to us: enough for 1 Gbit/s over 60 ms
PACKET_BYTES = 32 * 1024
_CONNECT_FAILED = 2  # SSH_OPEN_CONNECT_FAILED of RFC 4254; 1 is "administratively prohibited"


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """Seconds to connect (each address), for the handshake, to log in, and without any answer later.

    `dead_s`: how long what is sent may stay unacknowledged. Every `keepalive_s` something is sent.
    """

    connect_s: float = 15.0
    handshake_s: float = 15.0
    login_s: float = 30.0
    idle_s: float = 60.0
    keepalive_s: float = 20.0
    dead_s: float = 60.0


DEFAULT_LIMITS = TimeLimits()

Step = Literal["jump", "connect", "recognise", "login"]


def _tell_nobody(step: Step) -> None:
    pass


class Connection:
    """A server that is logged in to. Close it; its channels end with it."""

    def __init__(
        self, transport: QuietTransport, limits: TimeLimits, below: Connection | None = None
    ) -> None:
        self._transport = transport
        self._below = below
        self.limits = limits

    @property
    def alive(self) -> bool:
        """Tell whether it is still up, as far as this side knows."""
        return self._transport.is_active()

    def open_channel(self) -> Channel:
        """Return a new session channel with the idle time-out set. Raises Unreachable."""
        try:
            channel = self._transport.open_session(WINDOW_BYTES, PACKET_BYTES, self.limits.login_s)
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(f"the server opens no channel: {reason(error)}") from error
        channel.settimeout(self.limits.idle_s)
        return channel

    def tunnel(self, host: str, port: int) -> Channel:
        """Return a channel to a port that the server reaches. Raises Unreachable."""
        try:
            return self._transport.open_channel(
                "direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=self.limits.connect_s
            )
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(f"the jump host does not reach {host}:{port}: {reason(error)}") from error

    def lead_to(self, host: str, port: int) -> Channel:
        """Return a channel to an address as the server sees it, that may be silent for as long as it likes.

        Raises ForwardRefused, NobodyThere, Unreachable.
        """
        where = ("direct-tcpip", (host, port), ("127.0.0.1", 0), WINDOW_BYTES, PACKET_BYTES)
        try:
            channel = self._transport.open_channel(*where, timeout=self.limits.login_s)
        except ChannelException as error:
            if error.code == _CONNECT_FAILED:
                raise NobodyThere(f"nobody answers at {host}:{port}: {error.text}") from error
            raise ForwardRefused(f"it may not lead on to {host}:{port}: {error.text}") from error
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(f"the way on to {host}:{port} does not open: {reason(error)}") from error
        channel.settimeout(None)
        return channel

    def lead_to_socket(self, path: str) -> Channel:
        """Return a channel to a Unix socket of the server, that may be silent for as long as it likes.

        Raises NobodyThere, which OpenSSH also says of what it does not allow; Unreachable.
        """
        transport, limits = self._transport, self.limits
        try:
            channel = transport.open_socket(path.encode(), WINDOW_BYTES, PACKET_BYTES, limits.login_s)
        except ChannelException as error:
            raise NobodyThere(f"nobody answers at {path}: {error.text}") from error
        except (SSHException, EOFError, OSError) as error:
            raise Unreachable(f"the way on to {path} does not open: {reason(error)}") from error
        channel.settimeout(None)
        return channel

    def close(self) -> None:
        """End the connection, and that to its jump host; a second time does nothing."""
        self._transport.close()
        if self._below:
            self._below.close()


def connect(
    server: Server, limits: TimeLimits = DEFAULT_LIMITS, done: Callable[[Step], None] = _tell_nobody
) -> Connection:
    """Return a connection to `server`, logged in; `done` is told of each step when it went well.

    Raises HostKeyRefused, LoginRefused, BadPrivateKey, NoCommonAlgorithms, Unreachable.
    """
    below = connect(server.jump, limits) if server.jump else None
    if below:
        done("jump")
    try:
        return Connection(_connect(server, limits, below, done), limits, below)
    except BaseException:
        if below:
            below.close()
        raise


def ask_host_keys(
    host: str, port: int = 22, limits: TimeLimits = DEFAULT_LIMITS, below: Connection | None = None
) -> list[host_keys.HostKey]:
    """Return the keys that a server shows, one of each type, without logging in. Raises SshError."""
    found = []
    for types in _TYPES:
        try:
            transport = _handshake(Server(host, "", port), limits, below, types)
        except NoCommonAlgorithms:
            continue
        found.append(_key_of(transport))
        transport.close()
    if not found:
        raise NoCommonAlgorithms(f"{host} has no host key of a type that is still safe")
    return found


_TYPES: tuple[tuple[str, ...], ...] = (
    ("ssh-ed25519",),
    ("ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    RSA_SIGNATURES,
)


def _connect(
    server: Server, limits: TimeLimits, below: Connection | None, done: Callable[[Step], None]
) -> QuietTransport:
    pinned = [host_keys.parse(line) for line in server.known_host_keys]
    transport = _handshake(server, limits, below, _by_preference(pinned), done)
    try:
        _verify(transport, server, pinned)
        done("recognise")
        log_in(transport, server)
        done("login")
    except BaseException:
        transport.close()
        raise
    transport.set_keepalive(limits.keepalive_s)
    return transport


def _verify(transport: Transport, server: Server, pinned: Sequence[host_keys.HostKey]) -> None:
    found = _key_of(transport)
    if found not in pinned:
        raise HostKeyRefused(server.name, found.fingerprint, [key.fingerprint for key in pinned])


def _key_of(transport: Transport) -> host_keys.HostKey:
    key = transport.get_remote_server_key()
    return host_keys.from_blob(key.asbytes(), key.get_name())


def _by_preference(pinned: Sequence[host_keys.HostKey]) -> tuple[str, ...]:
    """Return all types, those of the pinned keys first, so that the server shows the key that we know."""
    known = {key.type for key in pinned}
    if "ssh-rsa" in known:
        known.update(RSA_SIGNATURES)  # what a key of that type signs with
    return tuple(sorted((name for types in _TYPES for name in types), key=lambda name: name not in known))


def _handshake(
    server: Server,
    limits: TimeLimits,
    below: Connection | None,
    key_types: Sequence[str],
    done: Callable[[Step], None] = _tell_nobody,
) -> QuietTransport:
    sock = below.tunnel(server.host, server.port) if below else _dial(server, limits)
    done("connect")
    try:
        transport = QuietTransport(sock, default_window_size=WINDOW_BYTES, strict_kex=True)
    except BaseException:
        sock.close()
        raise
    options = transport.get_security_options()
    options.ciphers, options.digests, options.key_types = CIPHERS, MACS, tuple(key_types)
    transport.banner_timeout = transport.handshake_timeout = limits.handshake_s
    transport.auth_timeout = limits.login_s
    try:
        transport.start_client(timeout=limits.handshake_s)
        transport.get_remote_server_key()  # start_client returns, with nothing done, when its time is up
    except IncompatiblePeer as error:
        transport.close()
        raise NoCommonAlgorithms(f"{server.name} speaks none of our algorithms: {error}") from error
    except (SSHException, EOFError, OSError) as error:
        transport.close()
        raise Unreachable(f"{server.name} does not answer as an SSH server: {reason(error)}") from error
    return transport


def _dial(server: Server, limits: TimeLimits) -> socket.socket:
    try:
        sock = socket.create_connection((server.host, server.port), limits.connect_s)
    except socket.gaierror as error:
        raise Unreachable(f"no machine named {server.host} is known: {error.strerror}") from error
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"no connection to {server.name}: {reason(error)}") from error
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # Bytes that nobody acknowledges end the connection; else a send to a dead host hangs for 15 minutes.
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(limits.dead_s * 1000))
    return sock


def close_channel(channel: Channel) -> None:
    """Close a channel, also one whose connection is breaking this moment: then nobody is left to be told."""
    with suppress(SSHException, EOFError, OSError):
        channel.close()


def reason(error: BaseException) -> str:
    """Return the library's words for what went wrong, never empty."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or "the connection was closed"
