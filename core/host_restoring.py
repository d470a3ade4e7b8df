"""Restores to a host: what is refused before anything is sent, and a target that tells what is not kept."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core import host_login, host_trouble, hosts, words
from core.errors import Invalid, NotFound, Refused
from core.outcomes import sentence
from repository.entries import Entry, Problem, SourceUnavailable, TargetError
from ssh.errors import SshError

if TYPE_CHECKING:
    from sources.ssh.host import SshHostSettings
    from sources.ssh.probe import Probe
    from sources.ssh.target import SshTarget

NEW_FOLDER_ONLY = (
    "A restore to a host goes to a folder that is new or empty, so nothing is in its way: choose “keep”."
)
_ROOM = b"""
test -d "$1" || { echo "there is no folder $1, in which it would be made"; exit 3; }
if test -L "$2"; then echo "$2 is a link"; exit 3; fi
if test -e "$2"; then
    test -d "$2" || { echo "$2 is a file"; exit 3; }
    test -z "$(ls -A -- "$2")" || { echo "$2 holds something already"; exit 3; }
fi
test -w "$1" || { echo "this user may not write in $1"; exit 3; }
df -Pk -- "$1" | { read -r head; read -r disk total used free rest; echo "free $free"; }
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found about a place on a host. `owners_kept`: the login may give files to others.

    `free_bytes` None: the host does not say.
    """

    free_bytes: int | None
    owners_kept: bool
    user: str


def check(host_id: str, path: str, conflict: str) -> str:
    """Return the path as it is used, if a restore may go there. Sends nothing. Raises Invalid by field."""
    try:
        host_login.server_of(hosts.get(host_id))
    except (NotFound, Refused) as error:
        raise Invalid({"host_id": str(error)}) from error
    if conflict != "keep":
        raise Invalid({"conflict": NEW_FOLDER_ONLY})
    clean = os.path.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise Invalid({"target_path": "Name a new folder on the host, such as /srv/restored."})
    if not clean.isprintable():
        raise Invalid({"target_path": "This path holds a character that cannot be shown."})
    return clean


def look(host_id: str, path: str, needed_bytes: int | None = None) -> Look:
    """Look at a place on a host without writing. Raises Invalid by field, with what to do."""
    host = hosts.get(host_id)
    settings, name, user = host_login.settings_of(host, quick=True), host.name, host.user
    try:
        found, free = _look(settings, path)
    except (SshError, SourceUnavailable) as error:
        advice = host_trouble.advice_for(error) or host_trouble.OTHERWISE
        raise Invalid({"host_id": f"{sentence(f'{name}: {error}')} {advice}"}) from error
    if needed_bytes is not None and free is not None and free < needed_bytes:
        there, wanted = words.size(free), words.size(needed_bytes)
        text = (
            f"There are {there} free around {path} on {name}, and {wanted} are needed. Choose another place."
        )
        raise Invalid({"target_path": text})
    return Look(free, found.uid == 0 or settings.sudo, user)


def owners_warning(found: Look) -> str:
    """Say what a login without rights cannot keep; "" if it can."""
    if found.owners_kept:
        return ""
    return (
        f"{found.user} is not root there, so what belonged to others will belong to {found.user}. "
        "Switch sudo on for the host if owners matter."
    )


@contextmanager
def opened(host_id: str, path: str) -> Iterator[HostTarget]:
    """Open a new folder on a host for the block. Its flush gives it its name; without that, nothing is left.

    Raises NotFound, Refused; TargetError where nothing can be written there.
    """
    from sources.ssh.host import SshHost
    from sources.ssh.probe import probe
    from sources.ssh.target import SshTarget

    settings = host_login.settings_of(hosts.get(host_id))
    host = SshHost(settings)
    try:
        found = probe(host)
    except (SshError, SourceUnavailable) as error:
        raise TargetError(str(error)) from error
    finally:
        host.close()
    target = SshTarget(settings, path)
    try:
        target.start_dir(b"/")  # else each folder would fail by itself
        yield HostTarget(target, found, settings.server.user, settings.sudo)
    except BaseException as error:
        _close_after(target, error)
        raise
    target.close()


def _close_after(target: SshTarget, error: BaseException) -> None:
    """Close it; what is left behind is told beside the error that ended the work, not instead of it."""
    try:
        target.close()
    except TargetError as leftover:
        error.add_note(str(leftover))


class HostTarget:
    """A folder on a host; says, once, if owners are not kept there."""

    def __init__(self, inner: SshTarget, found: Probe, user: str, sudo: bool) -> None:
        self._inner = inner
        self._user = user
        self._own_uid = None if sudo or found.uid == 0 else found.uid

    def existing(self, path: bytes) -> Entry | None:
        """See Target."""
        return self._inner.existing(path)

    def size(self, path: bytes) -> int | None:
        """Return what was sent of the file sent last."""
        return self._inner.size(path)

    def start_dir(self, path: bytes) -> None:
        """See Target."""
        self._inner.start_dir(path)

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """See Target."""
        return self._inner.finish_dir(path, entry) + self._not_kept(path, entry)

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """See Target."""
        return self._inner.write_file(path, entry, chunks) + self._not_kept(path, entry)

    def make_link(self, path: bytes, first: bytes) -> None:
        """See Target."""
        self._inner.make_link(path, first)

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """See Target."""
        return self._inner.make_special(path, entry) + self._not_kept(path, entry)

    def flush(self) -> None:
        """See Target."""
        self._inner.flush()

    def _not_kept(self, path: bytes, entry: Entry) -> list[Problem]:
        if self._own_uid in (None, entry.uid):
            return []
        text = (
            f"its owner could not be set, nor those of others: {self._user} is not root there. Each thing "
            f"that was somebody else's belongs to {self._user} now"
        )
        return [Problem(path, "incomplete", text, once="owners on a host")]


def _look(settings: SshHostSettings, path: str) -> tuple[Probe, int | None]:
    """Return what the host can do, and how much is free around a place. Raises SshError, Invalid."""
    from sources.ssh.host import SshHost
    from sources.ssh.probe import probe

    host = SshHost(settings)
    try:
        found = probe(host)
        if not found.gnu_tar:
            text = f"A restore to {host.name} needs GNU tar there: install the package tar."
            raise Invalid({"host_id": text})
        words_ = [b"env", b"LC_ALL=C", b"sh", b"-c", _ROOM, b"sh"]
        output = host.run([*words_, os.fsencode(os.path.dirname(path)), os.fsencode(path)])
    finally:
        host.close()
    said = output.stdout.decode("utf-8", "replace").strip()
    if output.code or not said.startswith("free"):
        raise Invalid({"target_path": f"{path} cannot be used: {said or 'the host does not say why'}."})
    free = said.removeprefix("free").strip()
    return found, int(free) * 1024 if free.isdigit() else None
