"""Send one JSON message, or a bare ping, over HTTP; follow no redirect and read no answer but its status."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urlsplit

from core import app_state
from core.errors import Invalid
from core.messaging import outgoing
from core.messaging.outgoing import ReceiverGone, SendFailed

_PORTS = {"http": 80, "https": 443}
_AGENT = {"User-Agent": "Holdfast", "Connection": "close"}


def check_url(url: str, field: str = "url") -> None:
    """Raise Invalid (`field`) unless this is an address that messages may be sent to, as far as it shows."""
    if problem := _problem_of(url):
        raise Invalid({field: problem})


def place_of(url: str) -> str:
    """Return scheme and host of an address, without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/…"


def send(url: str, message: dict[str, Any]) -> None:
    """Post the message and wait for a 2xx. Raises ReceiverGone, SendFailed."""
    _request(url, "POST", json.dumps(message).encode(), {"Content-Type": "application/json"})


def ping(url: str) -> None:
    """Ask for an address with GET and wait for a 2xx. Raises ReceiverGone, SendFailed."""
    _request(url, "GET", None, {})


def _problem_of(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return f"This is not an address: {error}."
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        return "The address must begin with https:// or http:// and a host."
    if parts.username or parts.password:
        return "The address must not hold a user or password; put a secret into its path."
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "The address holds a character that must be written as %.."
    literal = outgoing.as_address(parts.hostname)
    if literal is None and not outgoing.is_name(parts.hostname):
        return "The host is no name that can be looked up: a part is empty or too long."
    why = "" if literal is None else outgoing.forbidden(literal, _port(parts), app_state.settings().port)
    return f"Messages cannot be sent there: {why}." if why else ""


def _request(url: str, method: str, body: bytes | None, headers: dict[str, str]) -> None:
    parts = urlsplit(url)
    try:
        with _connect(parts) as connection:
            connection.request(method, _target(parts), body, headers | _AGENT)
            status = connection.getresponse().status
    except UnicodeError as error:  # from the look-up of the name
        raise SendFailed(
            f"The host {parts.hostname} is no name that can be looked up.", "Set another address."
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise ReceiverGone(f"The receiver at {parts.hostname} did not answer: {_reason(error)}.") from error
    if 300 <= status < 400:
        raise SendFailed(f"The receiver answered with a redirect ({status}), which is not followed.")
    if not 200 <= status < 300:
        raise SendFailed(f"The receiver did not take the message: it answered {status}.")


@contextmanager
def _connect(parts: SplitResult) -> Iterator[http.client.HTTPConnection]:
    host, port = parts.hostname or "", _port(parts)
    opened = outgoing.connect(host, port, app_state.settings().port)
    connection = http.client.HTTPConnection(host, port)
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port)
        opened = ssl.create_default_context().wrap_socket(
            opened, server_hostname=host, do_handshake_on_connect=False
        )
    connection.sock = opened
    with outgoing.limited(lambda: opened):
        if isinstance(opened, ssl.SSLSocket):
            opened.do_handshake()
        yield connection
        connection.close()


def _port(parts: SplitResult) -> int:
    return parts.port or _PORTS[parts.scheme]


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _reason(error: OSError | http.client.HTTPException) -> str:
    """Return words of the system about a connection; never those of the receiver."""
    if isinstance(error, OSError):
        return outgoing.reason(error)
    return f"its answer is not HTTP ({type(error).__name__})"
