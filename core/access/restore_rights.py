"""Where operators may restore to: below folders that an admin has allowed, on this machine and on each host.

What they restore belongs to the user that Holdfast runs as, or that logs in there; setuid, owners and devices
are left out. A host on which that user is root is for admins only: root's files give rights away.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence

from core import instance
from core.errors import Invalid, Refused
from core.hosts import host_restoring, hosts
from core.restores.restore_targets import refuse_target

_KEY = "restore_folders"
MOST = 50


def folders(host_id: str | None = None) -> list[str]:
    """Return the folders that admins have allowed on a host, None: on this machine, in plain form."""
    return list(instance.get(_key(host_id), []))


def allowed_hosts() -> list[str]:
    """Return the hosts on which there are allowed folders."""
    return [row.id for row in hosts.list_all() if folders(row.id)]


def any_allowed() -> bool:
    """Tell whether operators may restore anywhere."""
    return bool(folders()) or bool(allowed_hosts())


def set_folders(paths: Sequence[str], host_id: str | None = None) -> list[str]:
    """Allow these folders there and no others; return them. Raises Invalid (`folders`), NotFound.

    One that does not exist yet may be allowed; one that no restore may go to, not.
    """
    if host_id is not None:
        hosts.get(host_id)
    found: list[str] = []
    for path in paths:
        if not path.startswith("/") or not path.isprintable():
            raise Invalid({"folders": f"{path!r} is no whole path: it starts with /, as /srv/restored does."})
        found.append(_usable(path, host_id))
    if len(found) > MOST:
        raise Invalid({"folders": f"At most {MOST} folders can be allowed."})
    instance.put(_key(host_id), list(dict.fromkeys(found)) or None)
    return folders(host_id)


def require_any() -> list[str]:
    """Return the allowed folders of this machine. Raises Refused if there are none, and none on any host."""
    if not any_allowed():
        raise Refused(
            "No folder is allowed for restores by operators.",
            "An admin can allow some under Settings, or restore it for you.",
        )
    return folders()


def check(target: str, host_id: str | None) -> str:
    """Return where a place is, wherever links lead. Raises Invalid, by field, if operators may not restore
    there; Refused where nothing is allowed at all.

    A host is asked where they lead. Write to what is returned: a link may come into the other path.
    """
    require_any()
    allowed = folders(host_id)
    if not allowed:
        where = "on this machine" if host_id is None else f"on {hosts.name_of(host_id)}"
        field = "target_path" if host_id is None else "host_id"
        raise Invalid({field: f"No folder {where} is allowed for restores by operators."})
    if host_id is None:
        real, roots = os.path.realpath(target), [os.path.realpath(folder) for folder in allowed]
    else:
        real, *roots = host_restoring.real_paths(host_id, [target, *allowed])
    if not any(_is_in(real, root) for root in roots):
        text = f"Operators restore below {' or '.join(allowed)} only. Choose a folder there."
        raise Invalid({"target_path": text})
    return real or "/"


def require_ordinary(seen: host_restoring.Look) -> None:
    """Raise Invalid for a host where what operators restore could give rights away."""
    if seen.owners_kept:
        raise Invalid({"host_id": "Only admins restore to a host on which Holdfast is root."})
    if seen.by_parts:
        raise Invalid({"host_id": "Only admins restore to a host without GNU tar and find."})


def _key(host_id: str | None) -> str:
    return _KEY if host_id is None else f"{_KEY}:{host_id}"


def _usable(path: str, host_id: str | None) -> str:
    if host_id is None:
        try:
            return refuse_target(path, [])
        except Invalid as error:
            raise Invalid({"folders": " ".join(error.fields.values())}) from error
    clean = posixpath.normpath("/" + path.lstrip("/"))
    if clean == "/":
        raise Invalid({"folders": "The whole host cannot be allowed. Name a folder, such as /srv/restored."})
    return clean


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
