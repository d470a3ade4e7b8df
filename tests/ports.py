"""Ports for servers that tests start; several test processes run at a time."""

from __future__ import annotations

import itertools
import os
import socket

# Below what Linux gives to clients (32768 and up): a connection of another test cannot take one between
# the moment it is found free and the moment its server listens.
_FIRST, _COUNT = 20_000, 12_000
_numbers = itertools.count(os.getpid() * 101)  # each process goes its own way


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody uses, and that this process gave to nobody yet."""
    for number in itertools.islice(_numbers, _COUNT):
        port = _FIRST + number % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue  # in use
            return port
    raise AssertionError(f"no port from {_FIRST} on is free")
