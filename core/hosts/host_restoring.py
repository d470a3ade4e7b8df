"""Restores to a host: what is refused before anything is sent, and the folder there that is written to."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import words
from core.errors import Invalid, NotFound, Refused
from core.hosts import gate_keys, host_here, host_login, host_trouble, hosts
from core.jobs.outcomes import sentence
from core.models import GateKey
from repository.entries import Conflict, SourceUnavailable, Target, TargetError
from sources.plain_target import plain as made_plain
from ssh.errors import SshError

if TYPE_CHECKING:
    from sources.ssh.host import SshHostSettings
    from sources.ssh.place import Place
    from sources.ssh.probe import Probe


@dataclass(frozen=True, slots=True)
class Look:
    """What was found about a place on a host. `used`: something is in the folder already. `by_parts`: it goes
    file by file, by SFTP; else nothing shows before all has arrived. `owners_kept`: the login may give files
    to others. `free_bytes` None: the host does not say. `gated`: it goes through a restore key's gate."""

    used: bool
    by_parts: bool
    owners_kept: bool
    free_bytes: int | None
    user: str
    gated: bool = False

    @property
    def notes(self) -> list[str]:
        """What a person should know before, a sentence each."""
        found = []
        if self.used:
            found.append("Something is in this folder already: the rule below decides for each file.")
        if self.gated:
            found.append(
                "It goes through the gate of a restore key, which sets no setuid or setgid bits and makes no "
                "devices; all else is kept."
            )
        if self.by_parts:
            found.append(
                "It has no GNU tar and find, so files are written one by one over SFTP, which cannot set all."
            )
        if not self.owners_kept:
            found.append(
                f"{self.user} is not root there, so what belonged to others will belong to {self.user}. "
                "Switch sudo on for the host if owners matter."
            )
        return found


def check(host_id: str, path: str) -> str:
    """Return the path as it is used, if a restore may go there. Sends nothing. Raises Invalid by field."""
    try:
        host_login.server_of(hosts.get(host_id))
    except (NotFound, Refused) as error:
        raise Invalid({"host_id": str(error)}) from error
    clean = os.path.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise Invalid({"target_path": "Name a folder on the host, such as /srv/restored."})
    if not clean.isprintable():
        raise Invalid({"target_path": "This path holds a character that cannot be shown."})
    return clean


def look(
    host_id: str,
    path: str,
    tree_paths: Sequence[str],
    needed_bytes: int | None = None,
    *,
    limited: bool = False,
) -> Look:
    """Look at a place on a host without writing; `tree_paths` are to be put below it.

    A restore key is taken where the host's own does less; for who is `limited`, only if that writes nothing.
    Raises Invalid by field, with what to do.
    """
    host = hosts.get(host_id)
    settings, name, user = host_login.settings_of(host, quick=True), host.name, host.user
    here = host_here.is_here(host)
    try:
        known, place = _look(settings, path, tree_paths, here=here)
    except (SshError, SourceUnavailable) as error:
        advice = host_trouble.advice_for(error) or host_trouble.OTHERWISE
        raise Invalid({"host_id": f"{sentence(f'{name}: {error}')} {advice}"}) from error
    root = known.uid == 0 or settings.sudo
    wanted = not place.stands and (place.read_only or not (root or limited))
    if wanted and (key := gate_keys.for_restore(host_id, path)) is not None:
        return _look_through(key, path, name, needed_bytes)
    if place.read_only:
        raise Invalid({"host_id": _key_is_missing(host_id, path, name, stands=place.stands)})
    _require_room(place, path, name, needed_bytes)
    by_parts = not (known.gnu_tar and known.gnu_find)
    if by_parts and settings.sudo:
        text = (
            f"{name} has no GNU tar and find, and sudo cannot be had over SFTP: install them, or take it off."
        )
        raise Invalid({"host_id": text})
    return Look(place.used, by_parts, root, place.free_bytes, user)


def _look_through(key: GateKey, path: str, name: str, needed_bytes: int | None) -> Look:
    """Ask the gate of a restore key. Raises Invalid by field."""
    from sources.ssh import gate_wire  # slow to import: paramiko
    from sources.ssh.place import Place

    place, settings = key.place, gate_keys.settings_of(key, quick=True)
    try:
        gate_wire.request(b"restore", os.fsencode(posixpath.basename(path)))
        free = gate_wire.free_bytes(settings)
    except (SshError, SourceUnavailable) as error:
        text = f"{name}: the restore key for {place} cannot be used: {error}"
        raise Invalid({"host_id": f"{sentence(text)} The host’s page has its lines."}) from error
    _require_room(Place(free_bytes=free), path, name, needed_bytes)
    return Look(False, False, True, free, settings.server.user, gated=True)


def _key_is_missing(host_id: str, path: str, name: str, *, stands: bool) -> str:
    """Say which key a restore to a host lacks whose own key reads only."""
    text = f"The key of {name} reads only, so nothing can be restored there with it."
    roots, above = gate_keys.restore_roots(host_id), posixpath.dirname(path)
    if stands and above in roots:
        text += (
            f" Its restore key for {above} makes new folders only, and {path} is there already, be it empty"
        )
        return f"{text}: name another."
    text += f" It lacks a restore key for {above}: make one on the host’s page"
    if not roots:
        return f"{text}."
    return f"{text}, or name a new folder right in {' or '.join(roots)}, for which there is one."


def real_paths(host_id: str, paths: Sequence[str]) -> list[str]:
    """Return where paths on a host lead, wherever links point. Raises Invalid (`host_id`) with what to do."""
    from sources.ssh import place
    from sources.ssh.host import SshHost

    name, settings = hosts.name_of(host_id), host_login.settings_of(hosts.get(host_id), quick=True)
    host = SshHost(settings)
    try:
        return place.real(host, paths)
    except (SshError, SourceUnavailable) as error:
        advice = host_trouble.advice_for(error) or host_trouble.OTHERWISE
        raise Invalid({"host_id": f"{sentence(f'{name}: {error}')} {advice}"}) from error
    finally:
        host.close()


@contextmanager
def opened(
    host_id: str, path: str, *, used: bool, rule: Conflict, plain: bool = False, gated: bool = False
) -> Iterator[Target]:
    """Open a folder on a host for the block; `used`: something is in it already. `plain`: without setuid,
    devices and the kernel's attributes, and only where the path has no links. `gated`: by a restore key.

    Raises NotFound, Refused; TargetError where nothing can be written there.
    """
    from sources.ssh.targets import open_gate, open_target  # slow to import: paramiko

    if gated:
        target = open_gate(gate_keys.settings_of(_key_for(host_id, path)), path)
    else:
        settings = host_login.settings_of(hosts.get(host_id))
        target = open_target(settings, path, in_place=used, rule=rule, pinned=plain)
    try:
        target.start_dir(b"/")  # else each folder would fail by itself
        yield made_plain(target) if plain else target
    except BaseException as error:
        try:
            target.close()
        except TargetError as leftover:  # told beside what ended the work, not instead of it
            error.add_note(str(leftover))
        raise
    target.close()


def _key_for(host_id: str, path: str) -> GateKey:
    """Return the key to restore with. Raises TargetError if it was taken away meanwhile."""
    key = gate_keys.for_restore(host_id, path)
    if key is None:
        raise TargetError(
            f"the restore key for {posixpath.dirname(path)} was taken away; nothing was restored"
        )
    return key


def _require_room(place: Place, path: str, name: str, needed_bytes: int | None) -> None:
    if place.refused:
        raise Invalid({"target_path": f"{path} cannot be used: {place.refused}."})
    free = place.free_bytes
    if needed_bytes is not None and free is not None and free < needed_bytes and not place.used:
        there, wanted = words.size(free), words.size(needed_bytes)
        text = f"There are {there} free around {path} on {name}, and {wanted} are needed."
        raise Invalid({"target_path": f"{text} Choose another place."})


def require_not_ours(host_id: str, path: str, tree_paths: Sequence[str]) -> None:
    """Refuse a place on this very machine where Holdfast's own data or backups are.

    Raises Invalid (`target_path`), SourceUnavailable, SshError.
    """
    host = hosts.get(host_id)
    _look(host_login.settings_of(host), path, tree_paths, here=host_here.is_here(host))


def _look(
    settings: SshHostSettings, path: str, tree_paths: Sequence[str], *, here: bool
) -> tuple[Probe, Place]:
    """Return what the host can do, and what stands there. Raises SshError, SourceUnavailable, Invalid."""
    from sources.ssh import place
    from sources.ssh.host import SshHost
    from sources.ssh.probe import probe

    host = SshHost(settings)
    try:
        known = probe(host)
        host_here.refuse_ours(host, path, tree_paths, here=here, shell=known.shell)
        return known, place.look(host, path, shell=known.shell)
    finally:
        host.close()
