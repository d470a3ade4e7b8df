"""Lines for a shell of root on a host, which let a key in and give it no more than it needs."""

from __future__ import annotations

import shlex

from core.hosts import host_login

_END = "END-OF-HOLDFAST-KEY"


def user(name: str, line: str) -> str:
    """Return shell that makes a user, if need be, and lets a key in by this line alone."""
    make = f"id {name} 2>/dev/null || useradd --system --create-home --shell /bin/sh {name}"
    return f"{make}\n{let_in(name, line)}"


def let_in(name: str, line: str) -> str:
    """Return shell by which root lets a key in by this line alone, in a user's authorized_keys."""
    # The user's own hands do it: a link that the user put there would lead those of root to any file.
    return f"su -s /bin/sh {name} -c /bin/sh <<'{_END}'\n{host_login.put_line(line)}\n{_END}"


def sudoers(file: str, rule: str) -> str:
    """Return shell that puts a rule into a file of /etc/sudoers.d."""
    path = f"/etc/sudoers.d/{file}"
    return f"echo {shlex.quote(rule)} > {path}\nchmod 440 {path} && visudo -cf {path}"
