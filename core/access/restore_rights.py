"""Where operators may restore to: below folders of this machine that an admin has allowed.

What they restore belongs to the user that Holdfast runs as; setuid, owners and devices are left out. To other
machines only admins restore: what happens there is not in our hands.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from core import instance
from core.errors import Invalid, Refused
from core.restores.restore_targets import refuse_target

_KEY = "restore_folders"
MOST = 50


def folders() -> list[str]:
    """Return the folders that admins have allowed on this machine, in plain form."""
    return list(instance.get(_KEY, []))


def set_folders(paths: Sequence[str]) -> list[str]:
    """Allow these folders and no others; return them. Raises Invalid (`folders`).

    One that does not exist yet may be allowed; one that no restore may go to, not.
    """
    found: list[str] = []
    for path in paths:
        if not path.startswith("/") or not path.isprintable():
            raise Invalid({"folders": f"{path!r} is no whole path: it starts with /, as /srv/restored does."})
        try:
            found.append(refuse_target(path, []))
        except Invalid as error:
            raise Invalid({"folders": " ".join(error.fields.values())}) from error
    if len(found) > MOST:
        raise Invalid({"folders": f"At most {MOST} folders can be allowed."})
    instance.put(_KEY, list(dict.fromkeys(found)))
    return folders()


def require_any() -> list[str]:
    """Return the allowed folders. Raises Refused if there are none."""
    found = folders()
    if not found:
        raise Refused(
            "No folder is allowed for restores by operators.",
            "An admin can allow some under Settings, or restore it for you.",
        )
    return found


def check(target: str, host_id: str | None) -> None:
    """Raise Invalid, by field, for a place that operators may not restore to, wherever links lead."""
    allowed = require_any()
    if host_id is not None:
        raise Invalid({"host_id": "Only admins restore to other machines."})
    real = os.path.realpath(target)
    if not any(_is_in(real, os.path.realpath(folder)) for folder in allowed):
        text = f"Operators restore below {' or '.join(allowed)} only. Choose a folder there."
        raise Invalid({"target_path": text})


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")
