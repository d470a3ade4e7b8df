"""Lines for a shell of root on a host, which let a key in and give it no more than it needs."""

from __future__ import annotations

import shlex

from core.hosts import host_login


def user(name: str, line: str) -> str:
    """Return shell that makes a user, if need be, and lets a key in by this line alone."""
    home = f"~{name}"
    return "\n".join(
        (
            f"id {name} 2>/dev/null || useradd --system --create-home --shell /bin/sh {name}",
            f"install -d -m 700 -o {name} {home}/.ssh",
            let_in(name, line, f"{home}/.ssh/authorized_keys"),
        )
    )


def let_in(name: str, line: str, file: str) -> str:
    """Return shell by which root lets a key in by this line alone, in a user's authorized_keys."""
    # Made elsewhere: the user, whose folder it is, could have put a link there.
    new = host_login.lines_with(line, file, '"$new"')
    return f'new=$(mktemp) && {new} && install -m 600 -o {name} "$new" {file}; rm -f "$new"'


def sudoers(file: str, rule: str) -> str:
    """Return shell that puts a rule into a file of /etc/sudoers.d."""
    path = f"/etc/sudoers.d/{file}"
    return f"echo {shlex.quote(rule)} > {path}\nchmod 440 {path} && visudo -cf {path}"
