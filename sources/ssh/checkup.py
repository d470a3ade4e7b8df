"""A look at a host beyond its programs: who we are there, its disks, and what we may not read."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from repository.entries import SourceUnavailable
from sources.ssh.host import SshHost
from sources.ssh.quoting import unescaped
from ssh.errors import SshError

MOST_UNREADABLE = 20
_MARK = b"holdfast-checkup"
_FACTS = b"""echo holdfast-checkup
echo "user $(id -un)"
echo "from ${SSH_CLIENT%% *}"
echo "system $(uname -sr)"
df -Pk 2>/dev/null | sed 's/^/disk /'
"""
# What a folder holds that cannot be listed is not known; so far down, and no farther, a look is quick.
_UNREADABLE = rb"""
for place; do find "$place" -xdev -maxdepth 5 -type d 2>&1 >/dev/null; done | head -n 20
"""
_UNREADABLE_GNU = rb"""
for place; do
    find "$place" -xdev -maxdepth 5 ! -type l ! -readable -printf '%p\0' -prune 2>/dev/null
done | head -z -n 20
"""
_REFUSED = re.compile(rb"\S*find: ('?)(/.*)\1: Permission denied\Z")
_NO_DISKS = ("tmpfs", "devtmpfs", "udev", "efivarfs", "none", "shm")


@dataclass(frozen=True, slots=True)
class Disk:
    """A file system of the host, by where it is mounted."""

    mount: str
    size_bytes: int
    free_bytes: int


@dataclass(slots=True)
class Checkup:
    """What was found. `address`: from where the host sees us come. `unreadable`: at most so many places;
    None: it took too long to tell."""

    user: str = ""
    address: str = ""
    system: str = ""
    disks: list[Disk] = field(default_factory=list)
    unreadable: list[str] | None = None


def look(host: SshHost, places: Sequence[str], *, gnu: bool) -> Checkup:
    """Look at a host that runs programs; `places` are tried for what may not be read.

    Raises SourceUnavailable, SshError.
    """
    text = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _FACTS], plain=True).stdout
    found = _understood(text.partition(_MARK + b"\n")[2].decode("utf-8", "replace"))
    try:
        found.unreadable = _unreadable(host, places, gnu=gnu)
    except (SshError, SourceUnavailable):
        found.unreadable = None  # the facts above have come, so it was too much, not too far away
    return found


def _understood(text: str) -> Checkup:
    found = Checkup()
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "user":
            found.user = rest
        elif word == "from":
            found.address = rest
        elif word == "system":
            found.system = rest
        elif word == "disk" and (disk := _disk(rest)) is not None:
            found.disks.append(disk)
    return found


def _disk(line: str) -> Disk | None:
    words = line.split(None, 5)
    if len(words) < 6 or words[0] in _NO_DISKS or not (words[1].isdigit() and words[3].isdigit()):
        return None
    return Disk(words[5], int(words[1]) * 1024, int(words[3]) * 1024)


def _unreadable(host: SshHost, places: Sequence[str], *, gnu: bool) -> list[str]:
    script = _UNREADABLE_GNU if gnu else _UNREADABLE
    command = [b"env", b"LC_ALL=C", b"sh", b"-c", script, b"sh", *map(os.fsencode, places)]
    text = host.run(command).stdout
    if gnu:
        names = text.split(b"\0")[:-1]
    else:
        names = [unescaped(each[2]) for line in text.splitlines() if (each := _REFUSED.match(line))]
    return [os.fsdecode(name) for name in names[:MOST_UNREADABLE]]
