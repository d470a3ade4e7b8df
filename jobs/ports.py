"""Whether the port of the pages is free, and who has it if not."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

_LISTENING = "0A"
# "All addresses", with what to ask the way to: addresses that RFC 5737 and RFC 3849 keep for examples.
_ALL = {
    "0.0.0.0": (socket.AF_INET, "192.0.2.1"),  # noqa: S104  (compared, not bound)
    "::": (socket.AF_INET6, "2001:db8::1"),
}


def why_not_free(host: str, port: int) -> str | None:
    """Return a sentence about why the pages cannot be served there; None if they can."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        return f"HOST is {host!r}, which is no address of this machine: {error.strerror}. Set HOST to one."
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            return _sentence(host, port, error)
    return None


def address_of(host: str, port: int) -> str:
    """Return host and port as they stand in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(host: str, port: int) -> str:
    """Return the URL for a browser: for "all addresses", one by which other machines find this one."""
    if host in _ALL:
        host = _own_address(host)
    return f"http://{address_of(host, port)}"


def _own_address(every: str) -> str:
    """Return the address that this machine shows to others, else its name. Sends nothing."""
    family, elsewhere = _ALL[every]
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((elsewhere, 9))  # no packet: the kernel only chooses the way, and its own end
            return str(probe.getsockname()[0])
    except OSError:
        return socket.gethostname()  # no network, or none of this kind


def _sentence(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use{_by_whom(port)}. End that program, or set PORT to another number."
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights than this user has. Set PORT to a number above 1023."
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST is {host!r}, which is no address of this machine. Set HOST to one, such as 127.0.0.1."
    return f"The pages cannot be served at {address_of(host, port)}: {error.strerror}. Set HOST and PORT."


def _by_whom(port: int) -> str:
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # gone meanwhile, or of another user
            if any(os.readlink(entry.path) in wanted for entry in os.scandir(f"/proc/{pid}/fd")):
                with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                    return f" by {file.read().strip()} (process {pid})"
    return ""


def _inodes(port: int) -> Iterator[str]:
    """Yield the inodes of the sockets that listen on the port."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError), open(table, encoding="ascii") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]
