"""The gate: a small script on a host by which a key reads all of it as root, and can do nothing else."""

from __future__ import annotations

from pathlib import Path

PATH = "/usr/local/sbin/holdfast-gate"
# What begins the key's line: whatever is asked for, the gate is what runs.
COMMAND = f'command="sudo -n {PATH}"'
_END = "END-OF-HOLDFAST-GATE"


def script() -> str:
    """Return the gate itself."""
    return Path(__file__).with_name("holdfast-gate").read_text(encoding="utf-8")


def rule_for(user: str) -> str:
    """Return the line of sudoers that lets a user run the gate, without any argument, and nothing else."""
    return f'{user} ALL=(root) NOPASSWD: {PATH} ""'


def install_lines() -> str:
    """Return lines for a shell of root that put the gate in its place."""
    return f"cat > {PATH} <<'{_END}'\n{script()}{_END}\nchown root:root {PATH} && chmod 755 {PATH}"
