"""Where messages may be sent: to no place inside this machine's own house, whatever a name means just now."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from core.errors import HoldfastError

TIMEOUT_S = 10.0
# Where clouds answer with credentials, beside the link-local 169.254.169.254.
_METADATA = {"fd00:ec2::254", "100.100.100.200", "192.0.0.192"}

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class SendFailed(HoldfastError):
    """The receiver did not take the message. Nothing of what it answered is in here, but a status."""


class PartlyTaken(SendFailed):
    """Some of those whom it was for have it, others not: to send it again would tell the first twice."""


class ReceiverGone(SendFailed):
    """The receiver was not reached at all, or gave no answer in time: others would fare no better now."""


def forbidden(address: Address, port: int, own_port: int) -> str:
    """Return why nothing may be sent to an address, "" if it may."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_link_local or str(address) in _METADATA:
        return f"{address} is where machines in a cloud get their credentials"
    if address.is_multicast or (address.is_reserved and not address.is_loopback):
        return f"{address} is no address of one machine"
    if port == own_port and (address.is_unspecified or _is_ours(address)):
        return "this is Holdfast itself"
    return ""


def as_address(text: str) -> Address | None:
    """Return the address that a text is, None for a name."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_name(host: str) -> bool:
    """Tell whether a host is a name that can be looked up."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def connect(host: str, port: int, own_port: int) -> socket.socket:
    """Connect to an address that was looked at: the name could mean another one a moment later.

    Raises SendFailed for an address that is forbidden; OSError, UnicodeError.
    """
    error: OSError = OSError(f"the name {host} has no address")
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = as_address(str(place[0]))
        reason = "its address is not understood" if address is None else forbidden(address, port, own_port)
        if reason:
            raise SendFailed(f"Nothing was sent to {host}: {reason}.", "Set another address.")
        opened = socket.socket(family, kind, protocol)
        opened.settimeout(TIMEOUT_S)
        try:
            opened.connect(place)
        except OSError as failure:
            opened.close()
            error = failure
            continue
        return opened
    raise error


@contextmanager
def limited(opened: Callable[[], socket.socket | None]) -> Iterator[None]:
    """Let the other side have no more time than TIMEOUT_S, all in all, whatever it does; then close.

    `opened` is asked anew: the socket is another one once it was wrapped for TLS.
    """
    guard = threading.Timer(TIMEOUT_S, lambda: _shut(opened()))
    guard.start()
    try:
        yield
    finally:
        guard.cancel()
        if (left := opened()) is not None:
            left.close()


def reason(error: OSError) -> str:
    """Return the system's words about a connection; never those of the receiver."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} seconds"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    return error.strerror or type(error).__name__


def _is_ours(address: Address) -> bool:
    """Tell whether an address is one of this machine: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _shut(opened: socket.socket | None) -> None:
    try:
        if opened is not None:
            opened.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already
