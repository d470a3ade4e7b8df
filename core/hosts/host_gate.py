"""The gates: small scripts on a host by which a key does one thing there as root, and can do nothing else."""

from __future__ import annotations

import shlex
from pathlib import Path

PATH = "/usr/local/sbin/holdfast-gate"
# What begins the key's line: whatever is asked for, the gate is what runs.
COMMAND = f'command="sudo -n {PATH}"'
_END = "END-OF-HOLDFAST-GATE"


def script() -> str:
    """Return the gate that reads everything and changes nothing."""
    return _shipped("holdfast-gate")


def restore_script(root: str) -> str:
    """Return the gate that puts new folders into one folder, and does nothing else."""
    return _shipped("holdfast-gate-restore").replace("@ROOT@", shlex.quote(root), 1)


def dump_script(database: str, port: int) -> str:
    """Return the gate that dumps one database, and does nothing else."""
    text = _shipped("holdfast-gate-dump").replace("@DATABASE@", shlex.quote(database), 1)
    return text.replace("@PORT@", str(port), 1)


def command(user: str, path: str) -> str:
    """Return what begins the line of a key that leads to the gate at a path."""
    return f'command="{path}"' if user == "root" else f'command="sudo -n {path}"'


def rule_for(user: str, path: str = PATH) -> str:
    """Return the line of sudoers that lets a user run a gate, without any argument, and nothing else."""
    return f'{user} ALL=(root) NOPASSWD: {path} ""'


def install_lines(text: str = "", path: str = PATH) -> str:
    """Return lines for a shell of root that put a gate, the reading one if none is given, in its place."""
    return f"cat > {path} <<'{_END}'\n{text or script()}{_END}\nchown root:root {path} && chmod 755 {path}"


def _shipped(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
