"""Whether a host is this very machine, where a restore could write over what is Holdfast's own."""

from __future__ import annotations

import ipaddress
import os
import posixpath
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import Invalid
from core.models import Host
from core.restores import restore_targets
from repository.entries import SourceUnavailable

if TYPE_CHECKING:
    from sources.ssh.host import SshHost

# Addresses that are for documentation only.
_NOBODYS: dict[int, str] = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def is_here(host: Host) -> bool:
    """Tell whether a host's address leads back to this machine."""
    return (host.jump is None or is_here(host.jump)) and is_own(host.address)


def is_own(address: str) -> bool:
    """Tell whether an address is one of this machine's."""
    try:
        found = socket.getaddrinfo(address, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return False  # connecting says it better
    return any(_is_own(family, place) for family, _, _, _, place in found)


def refuse_ours(ssh: SshHost, path: str, tree_paths: Sequence[str], *, here: bool, shell: bool) -> None:
    """Refuse a restore that would write over what is Holdfast's; `tree_paths` are put below `path`.

    `here`: its address says that it is this machine. Where it runs programs it is asked as well: another
    address, a tunnel or a container may lead here, too. Raises Invalid (`target_path`), SshError,
    SourceUnavailable.
    """
    if here:
        restore_targets.refuse_ours(path, tree_paths)
    if not shell:
        return
    from sources.ssh import place  # slow to import: paramiko

    ours = {_identity(root): (root, what) for root, what in restore_targets.protected()}
    asked = list(dict.fromkeys([*_chain(path, tree_paths), *(root for root, _ in ours.values())]))
    found = place.identities(ssh, asked)
    if found.boot_id != _boot_id():
        return
    if not found.files:
        raise SourceUnavailable(
            f"{ssh.name} is this machine, and does not say what stands at {path}: its stat or xargs fails"
        )
    by_path = dict(zip(asked, found.files, strict=True))
    for each in _chain(path, tree_paths):
        if by_path[each] in ours:
            root, what = ours[by_path[each]]
            raise Invalid(
                {"target_path": f"{path} on this host leads into {what} ({root}). Choose another folder."}
            )
    if any(by_path[root] == identity for identity, (root, _) in ours.items()):  # it has our names
        restore_targets.refuse_ours(path, tree_paths)


def _chain(path: str, tree_paths: Sequence[str]) -> list[str]:
    """Return a folder, the places below it that are written to, and all folders above these."""
    found = []
    for each in (path, *(path + "/" + below.strip("/") for below in tree_paths)):
        while each not in ("/", ""):
            found.append(each)
            each = posixpath.dirname(each.rstrip("/"))
    return list(dict.fromkeys(found))


def _identity(root: str) -> str:
    try:
        found = os.stat(root)
    except OSError:
        return f"{root} is not there"
    return f"{found.st_dev}:{found.st_ino}"


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown here"


def _is_own(family: int, place: tuple[Any, ...]) -> bool:
    if ipaddress.ip_address(str(place[0]).partition("%")[0]).is_loopback:
        return True
    # The kernel gives away only addresses that it has, unless it is told to give away any.
    nobodys = _NOBODYS.get(family)
    return (
        nobodys is not None and _binds(family, (place[0], 0, *place[2:])) and not _binds(family, (nobodys, 0))
    )


def _binds(family: int, place: tuple[Any, ...]) -> bool:
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind(place)
    except OSError:
        return False
    return True
