"""What can be done on a page, as a command line and as a call of the API: one table, shown at its foot.

A call is named as it is declared, so that its method, address and role are the API's own.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask import Flask, g, request

from core.errors import HoldfastError
from core.hosts import hosts
from core.messaging import channels
from webapp.access import access
from webapp.api import door, names


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing to do. `command` stands below `flask`; `call` is the API's; `body` is sent with it.

    In command and body, names in braces are what the address of the page holds, or a name of that.
    """

    does: str
    command: str
    call: str
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """A deed as it is shown."""

    does: str
    command: str
    curl: str


_CONFIG = (
    Deed("Back it up", "backup files --config {config_id} --wait", "start_backup"),
    Deed("Change it", "backup configs set FILE", "patch_config", {"name": "…"}),
    Deed("Switch it off", "backup configs set FILE", "patch_config", {"enabled": False}),
    Deed("Delete it", "backup configs delete {config_id}", "delete_config"),
)
_STORAGE = (
    Deed("Test it", "backup storage test {storage_id}", "test_storage"),
    Deed("Change it", "backup storage set FILE", "replace_storage", {"name": "…"}),
    Deed("Delete it", "backup storage delete {storage_id}", "delete_storage"),
)
_HOST = (
    Deed("Confirm its key", "backup host confirm {host}", "confirm_host", {"fingerprint": "SHA256:…"}),
    Deed("Test it", "backup host test {host}", "test_host"),
    Deed("Change it", "backup host set FILE", "replace_host", {"name": "…"}),
    Deed("Delete it", "backup host delete {host}", "delete_host"),
)
_CHANNEL = (
    Deed("Test it", "backup channels --test {channel}", "test_channel"),
    Deed("Change it", "backup channel set FILE", "replace_channel", {"name": "…"}),
    Deed("Delete it", "backup channel delete {channel}", "delete_channel"),
)
_JOBS = (
    Deed("Cancel jobs", "backup job cancel JOB…", "change_jobs", {"action": "cancel", "ids": [1, 2]}),
    Deed(
        "Delete jobs, and put their points into the trash",
        "backup job delete JOB…",
        "change_jobs",
        {"action": "delete", "ids": [1, 2]},
    ),
)
_DOWNLOAD = (
    Deed("See how far it is", "backup download show {built_id}", "get_download"),
    Deed("Take it", "backup download fetch {built_id} --to FILE", "fetch_download"),
    Deed("Remove it", "backup download remove {built_id}", "remove_download"),
)
_RESTORE = {"pointId": "POINT", "targetPath": "/srv/restored"}

PAGES: Mapping[str, Sequence[Deed]] = {
    "configs.index": (
        Deed("Make a config", "backup configs set FILE", "create_config", {"name": "…", "type": "files"}),
    ),
    "configs.show": _CONFIG,
    "configs.edit": _CONFIG[1:],
    "configs.confirm_delete": _CONFIG[3:],
    "jobs.index": _JOBS,
    "job_many.ask": _JOBS[1:],
    "jobs.show": (
        Deed("Read its log", "backup job log {job_id}", "get_log"),
        Deed("Cancel it", "backup job cancel {job_id}", "cancel_job"),
        Deed("Delete it, and put its point into the trash", "backup job delete {job_id}", "delete_job"),
    ),
    "points.show": (
        Deed("Restore it", "backup restore {point_id} --to /srv/restored", "create_restore",
             {"pointId": "{point_id}", "targetPath": "/srv/restored"}),
        Deed("Build a download", "backup download build {point_id} --wait", "build_download",
             {"pointId": "{point_id}", "form": "zip"}),
        Deed("Pin it", "backup pin {point_id} --note WHY", "pin_point", {"note": "why"}),
        Deed("Let rules decide again", "backup unpin {point_id}", "unpin_point"),
    ),
    "downloads.index": (
        Deed("Change the rules", "backup download rules --keep-hours 48", "change_download_rules",
             {"keepHours": 48}),
    ),
    "downloads.show": _DOWNLOAD,
    "search.index": (
        Deed("Add what search does not know", "backup catalog fill", "fill_catalog"),
        Deed("Begin the catalog anew", "backup catalog rebuild", "rebuild_catalog"),
    ),
    "trash.index": (
        Deed("Take points out of it", "backup untrash POINT", "take_out_of_trash", {"points": [1]}),
    ),
    "restores.new": (
        Deed("Restore", "backup restore POINT --to /srv/restored", "create_restore", _RESTORE),
    ),
    "storages.index": (
        Deed("Add a storage", "backup storage set FILE", "create_storage",
             {"name": "…", "provider": "local", "settings": {"path": "/mnt/backup"}}),
    ),
    "storages.show": _STORAGE, "storages.edit": _STORAGE[1:2], "storages.confirm_delete": _STORAGE[2:],
    "hosts.show": _HOST, "hosts.edit": _HOST[2:3], "hosts.confirm_delete": _HOST[3:],
    "channels.edit": _CHANNEL,
    "alerts.index": (
        Deed("Note that one was seen", "backup alerts --acknowledge ALERT", "acknowledge_alert"),
        Deed("Close one", "backup alerts --close ALERT", "resolve_alert"),
    ),
    "settings.index": (
        Deed("Add somebody", "user add NAME --role viewer", "create_user",
             {"name": "NAME", "role": "viewer", "password": "…"}),
    ),
    "tokens.index": (
        Deed("Make a token", "user token add NAME --role viewer --days 90", "create_token",
             {"name": "NAME", "role": "viewer"}),
        Deed("Revoke one", "user token revoke NAME", "revoke_token"),
    ),
}  # fmt: skip


def here() -> list[Shown]:
    """Return what can be done on the present page by who asks for it, as commands and calls."""
    if g.get("failed"):
        return []  # the page tells that there is no such thing, or that it cannot be shown
    found = [deed for deed in PAGES.get(request.endpoint or "", ()) if access.may(_role(deed))]
    if not found:
        return []
    known = _known()
    return [Shown(deed.does, f"flask {_filled(deed.command, known)}", _curl(deed, known)) for deed in found]


def operation(deed: Deed) -> door.Operation:
    """Return the call of a deed."""
    return next(made for made in door.OPERATIONS if made.name == deed.call)


def _role(deed: Deed) -> str:
    return operation(deed).role


def _known() -> dict[str, str]:
    """Return what the address of the page holds, and names of that."""
    known = {name: str(value) for name, value in (request.view_args or {}).items()}
    try:
        if "host_id" in known:
            known["host"] = hosts.name_of(known["host_id"])
        if "channel_id" in known:
            known["channel"] = channels.get(int(known["channel_id"])).name
    except HoldfastError:
        return known  # it is gone: the page says so
    return known


def _filled(text: str, known: Mapping[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(f"{{{name}}}", shlex.quote(value))
    return text


def _curl(deed: Deed, known: Mapping[str, str]) -> str:
    made = operation(deed)
    address = made.address
    for _, name in made.parameters:
        value = known.get(_ALIASES.get(name, name), known.get(name, name.removesuffix("_id").upper()))
        address = address.replace(f"{{{names.to_camel(name)}}}", quote(value, safe=""))
    words = ["curl", "-H", '"Authorization: Bearer $TOKEN"']
    words += [] if made.method == "GET" else ["-X", made.method]
    if deed.body is not None:
        sent = {name: _sent(value, known) for name, value in deed.body.items()}
        words += ["--json", shlex.quote(json.dumps(sent, ensure_ascii=False))]
    return " ".join([*words, shlex.quote(request.url_root.rstrip("/") + address)])


_ALIASES = {"download_id": "built_id"}


def _sent(value: Any, known: Mapping[str, str]) -> Any:
    if isinstance(value, str) and value.startswith("{") and value[1:-1] in known:
        found = known[value[1:-1]]
        return int(found) if found.isdecimal() else found
    return value


def register(app: Flask) -> None:
    """Give the templates this function."""
    app.add_template_global(here, "deeds_here")
