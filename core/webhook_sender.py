"""Send one JSON message over HTTP, to no place inside this machine's own house, and follow no redirect."""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

from core import app_state
from core.errors import HoldfastError, Invalid

TIMEOUT_S = 10.0
_PORTS = {"http": 80, "https": 443}
# Where clouds answer with credentials, beside the link-local 169.254.169.254.
_METADATA = {"fd00:ec2::254", "100.100.100.200", "192.0.0.192"}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class WebhookFailed(HoldfastError):
    """The receiver did not take the message. Nothing of what it answered is in here, but its status."""


class ReceiverGone(WebhookFailed):
    """The receiver was not reached at all, or gave no answer in time."""


def check_url(url: str) -> None:
    """Raise Invalid (`url`) unless this is an address that messages may be sent to, as far as it shows."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise Invalid({"url": f"This is not an address: {error}."}) from error
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise Invalid({"url": "The address must begin with https:// or http:// and a host."})
    if parts.username or parts.password:
        raise Invalid({"url": "The address must not hold a user or password; put a secret into its path."})
    if not (url.isascii() and url.isprintable()) or " " in url:
        raise Invalid({"url": "The address holds a character that must be written as %.."})
    literal = _as_address(parts.hostname)
    if literal is None and not _is_name(parts.hostname):
        raise Invalid({"url": "The host is no name that can be looked up: a part is empty or too long."})
    if literal is not None and (reason := _forbidden(literal, _port(parts))):
        raise Invalid({"url": f"Messages cannot be sent there: {reason}."})


def send(url: str, message: dict[str, Any]) -> None:
    """Post the message and wait for a 2xx; no body is read. Raises ReceiverGone, WebhookFailed."""
    parts = urlsplit(url)
    body = json.dumps(message).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "Holdfast", "Connection": "close"}
    try:
        with _connect(parts) as connection:
            connection.request("POST", _target(parts), body, headers)
            status = connection.getresponse().status
    except UnicodeError as error:  # from the look-up of the name
        raise WebhookFailed(
            f"The host {parts.hostname} is no name that can be looked up.", "Set another address."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise ReceiverGone(f"The receiver at {parts.hostname} did not answer: {_reason(error)}.") from error
    if 300 <= status < 400:
        raise WebhookFailed(f"The receiver answered with a redirect ({status}), which is not followed.")
    if not 200 <= status < 300:
        raise WebhookFailed(f"The receiver did not take the message: it answered {status}.")


@contextmanager
def _connect(parts: SplitResult) -> Iterator[http.client.HTTPConnection]:
    """Connect to an address that was looked at: a name could mean another one a moment later."""
    host, port = parts.hostname or "", _port(parts)
    opened = _open_socket(host, port)
    connection = http.client.HTTPConnection(host, port)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port)
        opened = ssl.create_default_context().wrap_socket(
            opened, server_hostname=host, do_handshake_on_connect=False
        )
    connection.sock = opened
    # Whatever the receiver does, it gets no more time than this, all in all.
    guard = threading.Timer(TIMEOUT_S, _shut, [opened])
    guard.start()
    try:
        if isinstance(opened, ssl.SSLSocket):
            opened.do_handshake()
        yield connection
    finally:
        guard.cancel()
        connection.close()
        opened.close()


def _open_socket(host: str, port: int) -> socket.socket:
    error: OSError = OSError(f"the name {host} has no address")
    for family, kind, protocol, _, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        address = _as_address(str(place[0]))
        reason = "its address is not understood" if address is None else _forbidden(address, port)
        if reason:
            raise WebhookFailed(f"Nothing was sent to {host}: {reason}.", "Set another address.")
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


def _forbidden(address: Address, port: int) -> str:
    """Return why nothing may be sent to an address, "" if it may."""
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    if address.is_link_local or str(address) in _METADATA:
        return f"{address} is where machines in a cloud get their credentials"
    if address.is_multicast or (address.is_reserved and not address.is_loopback):
        return f"{address} is no address of one machine"
    if port == app_state.settings().port and (address.is_unspecified or _is_ours(address)):
        return "this is Holdfast itself"
    return ""


def _is_name(host: str) -> bool:
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def _is_ours(address: Address) -> bool:
    """Tell whether an address is one of this machine: only then can a socket be bound to it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


def _as_address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _shut(opened: socket.socket) -> None:
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is closed already


def _reason(error: Exception) -> str:
    """Return words of the system about a connection; never those of the receiver."""
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S:.0f} seconds"
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return f"its answer is not HTTP ({type(error).__name__})"
