"""What stands at a place on a host that a restore is to go to; writes nothing."""

from __future__ import annotations

import os
import posixpath
import secrets
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace

from repository.entries import SourceUnavailable
from sources.ssh.host import SshHost
from ssh import sftp_wire as wire
from ssh.sftp import Sftp
from ssh.sftp_channel import SftpStatus
from ssh.sftp_wire import Attrs

_SCRIPT = b"""
if test -L "$1"; then echo "$1 is a link: name what it leads to"; exit 4; fi
if test -e "$1"; then
    test -d "$1" || { echo "$1 is a file"; exit 4; }
    above=$1; kind=used
    test -n "$(ls -A -- "$1")" || { kind=empty; above=$2; }
else
    above=$2; kind=new
    test -d "$2" || { echo "there is no folder $2, in which it would be made"; exit 3; }
fi
test -w "$above" || { echo "this user may not write in $above"; test "$kind" = new && exit 3 || exit 4; }
df -Pk -- "$above" | { read -r head; read -r disk total used free rest; echo "$kind $free"; }
"""
_IDENTITIES = rb"""
cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo -
xargs -0 sh -c 'for f; do stat -L -c "%d:%i" -- "$f" 2>/dev/null || echo -; done' sh
"""


# Of what does not exist yet, the folder above counts. A newline at the end of a name is kept by the x.
_REAL = b"""
for path; do
    rest=
    while ! test -d "$path"; do
        test "$path" != / || exit 3
        rest=/${path##*/}$rest; path=${path%/*}; path=${path:-/}
    done
    here=$(cd -P -- "$path" && pwd -P && echo x) || exit 4
    here=${here%?x}
    test "$here" != / || here=
    printf '%s\\0' "$here$rest"
done
"""

# The paths at which something stands, each with a NUL, then a line for each of them.
_STANDING = rb"""
for path; do
    shift
    if test -e "$path" || test -L "$path"; then set -- "$@" "$path"; printf '%s\0' "$path"; fi
done
test $# = 0 || stat -c '%f %s %Y' -- "$@"
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that is `used`: something is in it; or new or empty. `stands`: it is there, empty or not.

    `free_bytes` None: the host does not say. `refused` says why nothing can be restored to it; "" if it can.
    `read_only`: the login changes nothing anywhere.
    """

    used: bool = False
    free_bytes: int | None = None
    refused: str = ""
    read_only: bool = False
    stands: bool = False


@dataclass(frozen=True, slots=True)
class Identities:
    """Which files paths lead to, by device and inode, "" for nothing; none at all where it cannot be told.

    `boot_id` is of the kernel that answered, "" if it is no Linux.
    """

    boot_id: str
    files: Sequence[str]


def identities(host: SshHost, paths: Sequence[str]) -> Identities:
    """Ask a host that runs programs which files these paths lead to. Raises SourceUnavailable, SshError."""
    stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
    lines = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _IDENTITIES], stdin).stdout.decode(
        "ascii", "replace"
    )
    boot_id, *files = [line.strip("- ") for line in lines.splitlines()] or [""]
    return Identities(boot_id, files if len(files) == len(paths) else [])


def look(host: SshHost, path: str, *, shell: bool) -> Place:
    """Look at a place. Raises SourceUnavailable, SshError."""
    return _by_shell(host, path) if shell else _by_sftp(host, path)


def real(host: SshHost, paths: Sequence[str]) -> list[str]:
    """Return where these paths lead, wherever links point; "" for /. Raises SourceUnavailable, SshError.

    A host with a shell is needed. What changes there afterwards is not in our hands.
    """
    output = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _REAL, b"sh", *map(os.fsencode, paths)])
    found = [os.fsdecode(each) for each in output.stdout.split(b"\0")[:-1]]
    if output.code or len(found) != len(paths):
        raise SourceUnavailable(f"{host.name} does not say where {paths[0]} leads")
    return found


def standing(host: SshHost, paths: Sequence[bytes], *, shell: bool) -> dict[bytes, tuple[int, int, int]]:
    """Return mode, size and time of change (whole seconds) of what stands at these paths, if anything does.

    Raises SourceUnavailable, SshError.
    """
    if not shell:
        return _standing_by_sftp(host, paths)
    output = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _STANDING, b"sh", *paths]).stdout
    *names, told = output.split(b"\0")
    lines = [line.split() for line in told.splitlines()]
    if len(lines) == len(names) and all(len(line) == 3 for line in lines):
        return {
            name: (int(mode, 16), int(size), int(mtime))
            for name, (mode, size, mtime) in zip(names, lines, strict=True)
        }
    found = _standing_by_sftp(host, names)  # it has no stat that takes -c
    if len(found) != len(names):
        raise SourceUnavailable(f"{host.name} does not say what stands at {os.fsdecode(names[0])}")
    return found


def _standing_by_sftp(host: SshHost, paths: Sequence[bytes]) -> dict[bytes, tuple[int, int, int]]:
    sftp = host.sftp()
    try:
        found = ((path, _lstat(sftp, os.fsdecode(path))) for path in paths)
        return {path: (at.mode or 0, at.size or 0, at.mtime or 0) for path, at in found if at is not None}
    finally:
        sftp.close()


def _by_shell(host: SshHost, path: str) -> Place:
    places = [os.fsencode(path), os.fsencode(posixpath.dirname(path))]
    output = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _SCRIPT, b"sh", *places])
    said = output.stdout.decode("utf-8", "replace").strip()
    kind, _, free = said.partition(" ")
    if output.code or kind not in ("used", "empty", "new"):
        return Place(refused=said or "the host does not say why", stands=output.code == 4)
    return Place(kind == "used", int(free) * 1024 if free.isdigit() else None, stands=kind != "new")


def _by_sftp(host: SshHost, path: str) -> Place:
    sftp = host.sftp()
    try:
        return replace(_seen_by_sftp(sftp, path), read_only=_is_read_only(sftp))
    finally:
        sftp.close()


def _is_read_only(sftp: Sftp) -> bool:
    """Tell whether a server refuses whatever writes, by what it says to the removal of no folder."""
    try:
        sftp.remove_dir(b"/" + secrets.token_hex(16).encode())
    except SftpStatus as error:
        return error.code == wire.PERMISSION_DENIED
    return False


def _seen_by_sftp(sftp: Sftp, path: str) -> Place:
    there, name = _lstat(sftp, path), os.fsencode(path)
    if there is None:
        return _new(sftp, posixpath.dirname(path))
    if not stat.S_ISDIR(there.mode or 0):
        return Place(refused=f"{path} is no folder")
    for _, found in sftp.list_dirs([name]):
        if isinstance(found, SftpStatus):
            return Place(refused=f"{path} cannot be listed: {found}")
        return Place(bool(found), sftp.free_bytes(name), stands=True)
    return Place(refused=f"{path} cannot be listed")


def _new(sftp: Sftp, above: str) -> Place:
    there = _lstat(sftp, above)
    if there is None:
        return Place(refused=f"there is no folder {above}, in which it would be made")
    return Place(free_bytes=sftp.free_bytes(os.fsencode(above)))


def _lstat(sftp: Sftp, path: str) -> Attrs | None:
    try:
        return sftp.lstat(os.fsencode(path))
    except SftpStatus:
        return None
