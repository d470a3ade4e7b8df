"""Host doctor: what a backup of a host would miss and why, and lines that give it no more than it needs."""

from __future__ import annotations

import ipaddress
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from core import words
from core.hosts import host_gate, host_login, host_test, hosts, set_up_lines
from core.jobs.outcomes import sentence
from core.models import Host
from core.points.tokens import printable
from repository.entries import SourceUnavailable
from ssh.errors import SshError

if TYPE_CHECKING:
    from sources.ssh.checkup import Checkup
    from sources.ssh.host import SshHostSettings

Tone = Literal["good", "warn", "bad"]

# What is looked through for a host that no config backs up yet.
_USUAL = ("/etc", "/home", "/opt", "/root", "/srv", "/var")
_NEARLY_FULL = 0.95
_SKEW_S = 60
_SHOWN = 5
_USER = "holdfast"
_ROOT_STILL = (
    f" The key is root until its line is out of root’s authorized_keys: take it out there, and let the host "
    f"log in as {_USER}."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: how it stands, what it means, and a line to paste where one mends it."""

    tone: Tone
    title: str
    text: str
    command: str = ""


@dataclass(frozen=True, slots=True)
class SetUp:
    """Lines for a shell of root on the host, and what they allow and forbid."""

    title: str
    allows: str
    forbids: str
    lines: str


@dataclass(slots=True)
class Report:
    """What the doctor says; `test` is the way there, and the findings are empty if that was not gone."""

    test: host_test.Result
    findings: list[Finding] = field(default_factory=list)
    set_ups: list[SetUp] = field(default_factory=list)


def examine(host_id: str) -> Report:
    """Test a host, then look at what a backup could not read or keep. Writes nothing there.

    Raises NotFound, Refused where a host key is not confirmed yet.
    """
    report = Report(host_test.test(host_id))
    host = hosts.get(host_id)
    if not report.test.ok:
        report.set_ups = list(_set_ups(host, _places(host), ""))
        return report
    seen, places = None, _places(host)
    if report.test.facts["shell"]:
        try:
            seen = _checkup(host_login.settings_of(host, quick=True), places, gnu=report.test.facts["gnu"])
        except (SshError, SourceUnavailable) as error:
            report.findings.append(Finding("bad", "It could not be looked at", sentence(str(error))))
            return report
    report.findings = list(_findings(hosts.get(host_id), report.test, seen, places))
    report.set_ups = list(_set_ups(hosts.get(host_id), places, seen.address if seen else ""))
    return report


def _places(host: Host) -> list[str]:
    found = [path for config in hosts.uses(host.id).configs for path in config.source.get("paths", ())]
    return list(dict.fromkeys(found)) or list(_USUAL)


def _checkup(settings: SshHostSettings, places: Sequence[str], *, gnu: bool) -> Checkup:
    from sources.ssh import checkup
    from sources.ssh.host import SshHost

    host = SshHost(settings)
    try:
        return checkup.look(host, places, gnu=gnu)
    finally:
        host.close()


def _findings(
    host: Host, test: host_test.Result, seen: Checkup | None, places: Sequence[str]
) -> Iterator[Finding]:
    yield _programs(test)
    for limit in test.limits:
        mends = "apt-get install attr" if "getfattr" in limit else ""
        yield Finding("warn", "Not everything is kept", sentence(limit), mends)
    yield _restores(test)
    if seen is not None:
        root = host.sudo or test.facts["uid"] == 0
        yield _rights(host, seen, places, root=root)
        if test.facts["uid"] == 0:
            yield Finding(
                "warn", "Login", "It logs in as root, so this key can do anything. See the lines below."
            )
        yield _owners(host, root=root)
        yield from _disks(seen, places)
    yield _clock(test)


def _programs(test: host_test.Result) -> Finding:
    if not test.facts["shell"]:
        text = "This login runs no programs, so files are read by SFTP: slower, and less of them is kept."
        return Finding("warn", "SFTP alone", text)
    if test.facts["gnu"]:
        return Finding("good", "Programs", "GNU find and tar are there: all that a fast, whole backup needs.")
    return Finding("good", "Programs", "find and tar as BusyBox has them do: a backup is whole, and slower.")


def _restores(test: host_test.Result) -> Finding:
    if test.facts["gnu_tar"]:
        return Finding("good", "Restores", "GNU tar is there, so files can be restored to it.")
    text = "It has no GNU tar, so files are restored to it one by one, by SFTP, which cannot set everything."
    return Finding("warn", "Restores", text, "apt-get install tar" if test.facts["shell"] else "")


def _rights(host: Host, seen: Checkup, places: Sequence[str], *, root: bool) -> Finding:
    where = f"in {', '.join(places)}"
    if seen.unreadable is None:
        return Finding("warn", "What may be read", f"Looking {where} took too long to say what may be read.")
    if not seen.unreadable:
        return Finding("good", "What may be read", f"Nothing {where} is closed to it, five folders down.")
    number = words.count(len(seen.unreadable), "place")
    at_least = "At least " if len(seen.unreadable) >= 20 else ""
    shown = ", ".join(printable(os.fsencode(path)) for path in seen.unreadable[:_SHOWN])
    shown += " and more" if len(seen.unreadable) > _SHOWN else ""
    why = "even for root" if root else f"for {host.user}, who is not root"
    text = f"{at_least}{number} {where} cannot be read {why}: {shown}. A backup would end with a warning."
    return Finding("bad", "What may be read", text)


def _owners(host: Host, *, root: bool) -> Finding:
    if root:
        return Finding("good", "Owners", "It may give files to others, so a restore brings owners back.")
    return Finding(
        "warn", "Owners", f"{host.user} is not root: what is restored to this host belongs to {host.user}."
    )


def _disks(seen: Checkup, places: Sequence[str]) -> Iterator[Finding]:
    full = [disk for disk in seen.disks if disk.free_bytes < (1 - _NEARLY_FULL) * disk.size_bytes]
    for disk in full:
        text = f"{words.size(disk.free_bytes)} of {words.size(disk.size_bytes)} are free on {disk.mount}."
        yield Finding("warn", "A disk is nearly full", f"{text} Reading needs no room there; a restore does.")
    if not full and seen.disks:
        largest = max(seen.disks, key=lambda disk: disk.free_bytes)
        text = (
            f"No disk is nearly full; the most room is on {largest.mount}: {words.size(largest.free_bytes)}."
        )
        yield Finding("good", "Disks", text)


def _clock(test: host_test.Result) -> Finding:
    ahead = test.facts["ahead_s"]
    if abs(ahead) <= _SKEW_S:
        return Finding("good", "Clock", "Its clock agrees with ours.")
    side = "ahead of" if ahead > 0 else "behind"
    text = f"Its clock is {abs(ahead)} s {side} ours. Backups cope with it; times of its files will mislead."
    return Finding("warn", "Clock", text, "timedatectl set-ntp true")


def _set_ups(host: Host, places: Sequence[str], address: str) -> Iterator[SetUp]:
    """Yield ways to let in a user of its own, the one with the fewest rights first."""
    if not host.public_key:
        return
    for set_up in _ways(host, places, address):
        yield replace(set_up, forbids=set_up.forbids + _ROOT_STILL) if host.user == "root" else set_up


def _ways(host: Host, places: Sequence[str], address: str) -> Iterator[SetUp]:
    user = _USER if host.user == "root" else host.user
    line, address = host_login.authorized_line(host), _checked(address)
    if address:
        line = line.replace("restrict", f'restrict,from="{address}"', 1)
    make = set_up_lines.user(user, line)
    leads, leads_not = host_login.forwarding(line, user)
    named = places if places != list(_USUAL) else ["/srv/documents"]
    acls = "\n".join(f"setfacl -R -m u:{user}:rX -m d:u:{user}:rX {shlex.quote(path)}" for path in named)
    from_us = f", and from {address} alone" if address else ""
    yield SetUp(
        "Read only these folders",
        f"{user} may log in with this key{from_us}, and read {', '.join(named)}, also what is added later."
        f"{leads}",
        f"Becoming root, writing outside its home, terminals{leads_not}, a password. The folders’ own ACLs "
        "get an entry more, which backups keep. Restores to the host go to its home only.",
        f"{make}\n{acls}",
    )
    yield _gate(user, line, from_us)
    yield SetUp(
        "Read everything, by sudo",
        f"{user} may log in with this key{from_us}, and become root. Switch sudo on here, too.{leads}",
        f"Terminals{leads_not}, a password. Be aware: whoever has the key is root on this host; nothing less "
        "keeps all of every file, or brings owners back.",
        f"{make}\n{set_up_lines.sudoers(user, f'{user} ALL=(root) NOPASSWD: ALL')}",
    )


def _gate(user: str, line: str, from_us: str) -> SetUp:
    """Return the way by which a key reads all and changes nothing."""
    leads, leads_not = host_login.forwarding(line, user)
    line = line.replace("restrict", f"restrict,{host_gate.COMMAND}", 1)
    rule = set_up_lines.sudoers(user, host_gate.rule_for(user))
    return SetUp(
        "Read everything, and change nothing",
        f"This key{from_us} reads every file as root, over SFTP alone, through a gate that these lines "
        f"install. Leave sudo off here: the gate is what sudo runs.{leads}",
        "Programs, every change on the host (restores to it have keys of their own, on the host’s page), "
        f"terminals{leads_not}, a password. Hard "
        "links, ACLs and a few more things are not kept over SFTP, and configs of type config cannot ask "
        "for the environment; the points say so.",
        f"{host_gate.install_lines()}\n{set_up_lines.user(user, line)}\n{rule}",
    )


def _checked(address: str) -> str:
    """Return what a host says of where we come from, if it is an address: it is pasted into a shell."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return ""
