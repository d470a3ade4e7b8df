"""Places on a host that may be worth a backup, and how much is in them: read only, and cheap."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from repository.entries import SourceUnavailable
from sources.ssh import survey_data

PlaceKind = Literal["database", "sqlite", "volumes", "home", "config", "disk", "network", "folder"]

MEASURE_S = 20
_MOST_PLACES = 400
_MARK = b"holdfast-survey"
_FACTS = rb"""
echo holdfast-survey
cat /proc/mounts 2>/dev/null
printf '\0'
getent passwd 2>/dev/null || cat /etc/passwd
printf '\0'
for place in /* /home/* /mnt/* /media/* /var/* /var/lib/* /usr/local; do
    test -d "$place" && test ! -L "$place" && printf '%s\0' "$place"
done
true
"""
# Each place with its size in KiB, or - where there was no time left. What may not be read is not counted.
_MEASURE = rb"""
end=$(($(date +%s) + $1))
xargs -0 sh -c 'end=$0 nice=
command -v nice >/dev/null && nice="nice -n 19"
for place; do
    { test -d "$place" || test -f "$place"; } && test ! -L "$place" || continue
    left=$((end - $(date +%s))) size=
    if test "$left" -gt 0 && command -v timeout >/dev/null; then
        size=$(timeout "$left" $nice du -xsk "$place" 2>/dev/null)
        size=${size%%[!0-9]*}
    fi
    printf "%s %s\0" "${size:--}" "$place"
done' "$end"
"""
# What stands anew after an installation, or lasts for one start of the machine.
_SYSTEM = (
    "bin", "boot", "cdrom", "dev", "lib", "lib32", "lib64", "libx32", "lost+found", "nix", "proc", "run",
    "sbin", "snap", "sys", "tmp", "usr",
)  # fmt: skip
_VAR_LEFT = ("cache", "crash", "lib", "local", "lock", "lost+found", "opt", "run", "snap", "tmp")
_LIB_LEFT = (
    "alternatives", "apt", "aptitude", "containerd", "containers", "dbus", "dhcp", "dnf", "docker", "dpkg",
    "fwupd", "initramfs-tools", "libvirt", "logrotate", "lxcfs", "man-db", "misc", "pam", "PackageKit",
    "polkit-1", "private", "python", "rpm", "selinux", "snapd", "sudo", "systemd", "ucf", "udisks2",
    "update-manager", "update-notifier", "usbutils", "vim", "yum",
)  # fmt: skip
_VOLUMES = (
    *survey_data.VOLUMES, "/var/lib/libvirt/images",
    "/var/lib/lxc", "/var/lib/machines",
)  # fmt: skip
_CONFIG = ("/etc", "/usr/local", "/var/spool/cron")
_DISKS = re.compile(r"(?:ext[234]|xfs|btrfs|zfs|f2fs|jfs|reiserfs|bcachefs|vfat|exfat|ntfs3?|fuseblk)\Z")
_NETWORK = re.compile(r"(?:nfs4?|cifs|smb3?|ceph|glusterfs|fuse\.(?:sshfs|glusterfs|ceph))\Z")
_OF_PROGRAMS = ("/boot", "/snap/", "/var/lib/docker/", "/var/lib/containers/", "/run/", "/proc/")
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Found:
    """A place; `size_bytes` is at least what is in it, None if there was no time to tell.

    `mount`: it is the top of a file system. `engine`: which database's data it is, if it is that.
    """

    path: str
    kind: PlaceKind
    size_bytes: int | None
    mount: bool = False
    engine: str = ""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found. `cut`: there is more than was looked at."""

    found: list[Found]
    cut: bool


class Answer(Protocol):
    """What a program wrote."""

    @property
    def stdout(self) -> bytes:
        """On its standard output."""


class Machine(Protocol):
    """A machine that runs programs: sources.here.Here, or a host."""

    @property
    def name(self) -> str:
        """Return how messages call it."""

    def run(self, command: Sequence[bytes], stdin: bytes = b"") -> Answer:
        """Run a program to its end. Raises SourceUnavailable, SshError."""


def survey(host: Machine, seconds: int | None = None) -> Survey:
    """Look at a machine that runs programs; measuring ends in time. Raises SourceUnavailable, SshError."""
    facts = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _FACTS]).stdout
    _, mark, text = facts.partition(_MARK + b"\n")
    if not mark:
        raise SourceUnavailable(f"{host.name} does not tell what is on it")
    mounts, users, *folders = text.split(b"\0")[:-1]
    data = survey_data.find(host)
    engines = data.engines
    kinds: dict[str, PlaceKind] = {path: _kind_of(engine) for path, engine in engines.items()}
    for path, kind in _places(_text(mounts), _text(users), [os.fsdecode(folder) for folder in folders]):
        kinds.setdefault(path, kind)
    tops = {path for path, _ in _disks(_text(mounts))}
    paths = list(kinds)[:_MOST_PLACES]
    measured = host.run(
        [
            b"env",
            b"LC_ALL=C",
            b"sh",
            b"-c",
            _MEASURE,
            b"sh",
            b"%d" % (MEASURE_S if seconds is None else seconds),
        ],
        b"".join(os.fsencode(path) + b"\0" for path in paths if kinds[path] != "network"),
    ).stdout
    sizes = dict(_sizes(measured))
    found = [
        Found(path, kinds[path], sizes.get(path), path in tops, _engine_of(path, kinds[path], engines))
        for path in paths
        if path in sizes or kinds[path] == "network"
    ]
    return Survey(found, data.cut or len(kinds) > _MOST_PLACES)


def _kind_of(engine: str) -> PlaceKind:
    return "sqlite" if engine == survey_data.SQLITE else "database"


def _engine_of(path: str, kind: PlaceKind, engines: Mapping[str, str]) -> str:
    return engines.get(path, "") or (survey_data.by_name(path) if kind == "database" else "")


def _sizes(text: bytes) -> Iterator[tuple[str, int | None]]:
    for record in text.split(b"\0")[:-1]:
        size, _, path = record.partition(b" ")
        yield os.fsdecode(path), int(size) * 1024 if size.isdigit() else None


def _places(mounts: str, users: str, folders: Sequence[str]) -> Iterator[tuple[str, PlaceKind]]:
    """Yield each place once, what matters most first, so that it is measured before time is up."""
    seen = set[str]()
    for path, kind in _candidates(mounts, users, folders):
        if path != "/" and path not in seen:
            seen.add(path)
            yield path, kind


def _candidates(mounts: str, users: str, folders: Sequence[str]) -> Iterator[tuple[str, PlaceKind]]:
    disks = list(_disks(mounts))
    network = {path for path, kind in disks if kind == "network"}
    near = [path for path in folders if not _is_in(path, network)]
    for path in _below(near, "/var/lib"):
        if survey_data.by_name(path):
            yield path, "database"
    yield from ((path, "config") for path in _CONFIG)
    yield from (
        (path, "home") for path in (*_homes(users), *_below(near, "/home")) if not _is_in(path, network)
    )
    yield from ((path, "volumes") for path in _VOLUMES)
    yield from disks
    yield from ((path, "folder") for path in _others(near))


def _others(folders: Sequence[str]) -> Iterator[str]:
    """Yield the folders that are nothing special, but may hold something."""
    expanded = (*_SYSTEM, "etc", "home", "media", "mnt", "root", "var")
    yield from (path for path in _below(folders, "") if os.path.basename(path) not in expanded)
    yield from (path for path in _below(folders, "/var") if os.path.basename(path) not in _VAR_LEFT)
    yield from (path for path in _below(folders, "/var/lib") if os.path.basename(path) not in _LIB_LEFT)
    yield from (*_below(folders, "/mnt"), *_below(folders, "/media"))


def _below(folders: Iterable[str], parent: str) -> Iterator[str]:
    return (path for path in folders if path.rpartition("/")[0] == parent)


def _disks(mounts: str) -> Iterator[tuple[str, PlaceKind]]:
    """Yield where file systems are mounted that hold files of people."""
    for line in mounts.splitlines():
        words = line.split(" ")
        if len(words) < 3:
            continue
        path = _OCTAL.sub(lambda found: chr(int(found[1], 8)), words[1])
        if path.startswith(
            ("/boot", "/snap/", "/var/lib/docker/", "/var/lib/containers/", "/run/", "/proc/")
        ):
            continue
        if _DISKS.match(words[2]):
            yield path, "disk"
        elif _NETWORK.match(words[2]):
            yield path, "network"


def _homes(users: str) -> Iterator[str]:
    """Yield the home folders of people, and root's."""
    for line in users.splitlines():
        words = line.split(":")
        if len(words) < 7 or not words[2].isdigit() or not words[5].startswith("/"):
            continue
        if (int(words[2]) == 0 or 1000 <= int(words[2]) < 65000) and words[5].count("/") <= 6:
            yield os.path.normpath(words[5])


def _is_in(path: str, tops: Iterable[str]) -> bool:
    return any(path == top or path.startswith(top + "/") for top in tops)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
