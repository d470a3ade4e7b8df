"""Which programs a host has, and what follows for a backup of it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace

from repository.entries import SourceUnavailable
from sources.ssh.host import SshHost
from ssh.errors import NoSftp, Unreachable

_MARK = b"holdfast-probe"
_SCRIPT = b"""echo holdfast-probe
echo "name $(uname -n)"
echo "time $(date +%s)"
echo "uid $(id -u)"
for tool in find tar stat xargs getfattr gzip zstd; do
    command -v $tool >/dev/null 2>&1 && echo "has $tool"
done
find --version </dev/null 2>/dev/null | head -n 1 | sed 's/^/find /'
tar --version </dev/null 2>/dev/null | head -n 1 | sed 's/^/tar /'
echo ::
getent passwd || cat /etc/passwd
echo ::
getent group || cat /etc/group
"""
OWNERS_MARK = b"\n::\n"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}\Z")

NO_ATTRIBUTES = (
    "extended attributes and ACLs of {host} are not kept: it has no getfattr. Install it there (Debian: attr)"
)
SFTP_ONLY = (
    "{host} lets this user in for SFTP alone. Not kept are: fractions of seconds in times, names of owners, "
    "hard links (each name becomes a file), devices, extended attributes and ACLs; and a file that was "
    "changed within a second, to the same size, is not noticed before every file is read again"
)


class SudoRefused(SourceUnavailable):
    """The host lets this user in, but not become root without a password."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a host can do. `hostname` is its own name; `ahead_ns` how far its clock is ahead of ours.

    `limits` are sentences: what of its files cannot be kept, and why. Without `shell` there is SFTP only.
    `owners_text`: all names of users and, after OWNERS_MARK, of groups, also those of a directory service.
    """

    hostname: str
    uid: int = -1
    ahead_ns: int = 0
    tools: frozenset[str] = frozenset()
    gnu_find: bool = False
    gnu_tar: bool = False
    limits: list[str] = field(default_factory=list)
    shell: bool = True
    owners_text: bytes = b""


def probe(host: SshHost) -> Probe:
    """Ask a host for its programs. Raises SourceUnavailable where it cannot be backed up, Unreachable."""
    try:
        output = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _SCRIPT], plain=True)
    except Unreachable:
        return _sftp_only(host)  # some servers close a channel that asks for a program
    before, mark, answer = output.stdout.partition(_MARK + b"\n")
    if not mark:
        return _sftp_only(host)
    if before:
        raise SourceUnavailable(
            f"a login script of {host.settings.server.user} on {host.name} prints text, which would get "
            "into the data; let it print only for terminals"
        )
    facts, _, owners = answer.partition(OWNERS_MARK)
    found = replace(_understood(facts.decode("utf-8", "replace"), host), owners_text=owners)
    if host.settings.sudo:
        _require_sudo(host)
    return found


def _sftp_only(host: SshHost) -> Probe:
    """Return what holds for a login that runs no programs, if it offers SFTP at least."""
    if host.settings.sudo:
        raise SudoRefused(f"{host.name} runs no programs for this user, so no sudo either: take it off")
    try:
        host.sftp().close()
    except NoSftp as error:
        raise SourceUnavailable(
            f"{host.name} lets {host.settings.server.user} in, but for neither programs nor SFTP"
        ) from error
    name = host.settings.server.host
    return Probe(name, limits=[SFTP_ONLY.format(host=host.name)], shell=False)


def _understood(answer: str, host: SshHost) -> Probe:
    facts = dict[str, str]()
    tools = set[str]()
    for line in answer.splitlines():
        word, _, rest = line.partition(" ")
        if word == "has":
            tools.add(rest)
        else:
            facts[word] = rest
    limits = [] if "getfattr" in tools else [NO_ATTRIBUTES.format(host=host.name)]
    their_time = int(facts.get("time") or 0)
    return Probe(
        hostname=_plain_name(facts.get("name", "")) or host.settings.server.host,
        uid=int(facts.get("uid") or -1),
        ahead_ns=(their_time * 10**9 - time.time_ns()) if their_time else 0,
        tools=frozenset(tools),
        gnu_find="GNU findutils" in facts.get("find", ""),
        gnu_tar="GNU tar" in facts.get("tar", ""),
        limits=limits,
    )


def _plain_name(text: str) -> str:
    """Return the name that a host gives itself, if it is one: it will stand in snapshots and on pages."""
    return text if _NAME.match(text) else ""


def _require_sudo(host: SshHost) -> None:
    output = host.run([b"true"])
    if output.code:
        said = output.stderr.decode("utf-8", "replace").strip().splitlines()
        raise SudoRefused(
            f"sudo refuses on {host.name} ({said[-1] if said else 'no reason given'}): allow "
            f"{host.settings.server.user} to run it without a password, or take sudo off"
        )
