"""A network of its own on this machine, as another machine would be: with a link that can be taken down."""

from __future__ import annotations

import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import need_program
from tests.servers.sshd import Sshd, start_sshd, stop_sshd


@dataclass(frozen=True)
class FarHost:
    """A network namespace with an sshd in it."""

    name: str
    sshd: Sshd

    def take_link_down(self) -> None:
        """Pull the cable, at the far end: with ours down, the way would lead elsewhere."""
        _ip("-n", self.name, "link", "set", f"{self.name}b", "down")

    def bring_link_up(self) -> None:
        """Plug it in again, and wait until it carries."""
        _ip("-n", self.name, "link", "set", f"{self.name}b", "up")
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((self.sshd.address, self.sshd.port), 1).close()
                return
            except OSError:  # nobody has found its address on the link yet
                assert time.monotonic() < deadline
                time.sleep(0.05)


@contextmanager
def far_host(folder: Path) -> Iterator[FarHost]:
    """Make one for the block; a test is skipped where that is not allowed."""
    need_program("ip")
    name = f"hf{secrets.token_hex(4)}"
    # Of the networks for tests between machines (RFC 2544).
    start = f"198.{secrets.choice((18, 19))}.{secrets.randbelow(256)}."
    first = 4 * secrets.randbelow(63) + 1
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no network namespace can be made here: {made.stderr.strip()}")
    try:
        _ip("link", "add", f"{name}a", "type", "veth", "peer", "name", f"{name}b", "netns", name)
        _ip("address", "add", f"{start}{first}/30", "dev", f"{name}a")
        _ip("link", "set", f"{name}a", "up")
        for words in (
            ("address", "add", f"{start}{first + 1}/30", "dev", f"{name}b"),
            ("link", "set", f"{name}b", "up"),
        ):
            _ip("-n", name, *words)
        inside = ["ip", "netns", "exec", name]
        sshd = start_sshd(folder, port=22, address=f"{start}{first + 1}", inside=inside)
        try:
            yield FarHost(name, sshd)
        finally:
            stop_sshd(sshd)
    finally:
        _ip("netns", "delete", name)  # and the link with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)
