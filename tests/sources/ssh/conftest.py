"""Logins of all kinds, for tests of hosts."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ssh.server import Server
from tests.conftest import need_program
from tests.servers.sshd import Sshd


@pytest.fixture
def ordinary(sshd: Sshd) -> Iterator[Server]:
    """A login that is not root's, by password or key, for as long as the test runs."""
    name, secret = f"hf-{secrets.token_hex(6)}", secrets.token_hex(12)
    subprocess.run(["useradd", "--no-create-home", "--shell", "/bin/sh", name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{secret}\n".encode(), check=True)
        yield replace(sshd.server(), user=name, private_key=None, password=secret)
    finally:
        subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


@pytest.fixture
def sudoer(ordinary: Server) -> Iterator[Server]:
    """The same login, which may become root without a password."""
    need_program("sudo")
    rule = Path("/etc/sudoers.d") / ordinary.user
    rule.write_text(f"{ordinary.user} ALL=(root) NOPASSWD: ALL\n")
    rule.chmod(0o440)
    yield ordinary
    rule.unlink()
