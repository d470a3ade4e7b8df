"""A host whose tools are BusyBox's: a server whose logins find nothing else in their PATH."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import need_program
from tests.servers.sshd import Sshd, start_sshd

_TOOLS = ["sh", "find", "tar", "stat", "xargs", "head", "cat", "printf"]
_TOOLS += ["uname", "date", "id", "sed", "env", "getent", "mkdir", "rm", "ln", "touch", "chmod", "chown"]
_TOOLS += ["mktemp", "mkfifo", "mknod", "truncate", "tail", "test", "true", "timeout", "du", "cut", "gzip"]


def start_busybox(folder: Path) -> Sshd:
    """Start such a server, with its keys in `folder`."""
    busybox = need_program("busybox")
    tools = folder / "tools"
    tools.mkdir()
    for name in _TOOLS:
        (tools / name).symlink_to(busybox)
    return start_sshd(folder, environment=f"PATH={tools}")
