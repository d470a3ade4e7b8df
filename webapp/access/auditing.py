"""The audit log of pages and API: after each request that changed something, or read backed-up data.

Everything that is sent by another method than GET counts, so that a new view is noted without a word here.
It is noted as begun before it is done: a kill in the middle leaves a trace (core.access.audit_begun).
What was not even tried is not noted: input that could not be taken, addresses that do not exist.
A view whose status does not say what came of it sets `g.audit_result`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, g, request

from core.access import api_tokens, audit, audit_begun, users
from core.access.audit import Deed, Door, Result
from core.configs import configs
from core.db import db
from core.errors import HoldfastError
from core.hosts import hosts
from core.jobs import jobs
from core.points import points, tokens
from core.storages import storages
from webapp.api import problems

# Views that a GET reads backed-up data, or secrets, with.
READS = frozenset(
    {"api.diff_file", "api.download_file", "api.download_folder", "api.export_all", "api.export_audit",
     "api.fetch_download", "audit.export", "compare.diff", "compare.environment", "diffs.file",
     "downloads.file", "points.archive", "points.file", "setup.recovery_file", "setup.recovery_key",
     "transfer.export"}
)  # fmt: skip
# Forms that only look, or change nothing that lasts.
LOOKS = frozenset(
    {"sessions.theme", "configs.summary", "configs.preview", "configs.destinations_form", "storages.look",
     "restores.new", "restores.check", "restores.summary", "hosts.keys", "hosts.examine", "host_looks.look",
     "job_many.ask", "transfer.look", "downloads.new", "here_map.look", "host_gates.test"}
)  # fmt: skip
# Noted also if they were not taken: somebody may be guessing.
GUESSED = frozenset(
    {
        "sessions.enter",
        "second_factor.enter",
        "second_factor.turn_off",
        "settings.password",
        "setup.create_admin",
    }
)
# Fields of what was sent that say what it was about, and are no secrets.
_TOLD = ("name", "role", "type", "action", "ids", "days", "enabled", "point_id", "pointId", "target_path",
         "targetPath", "to", "all", "provider", "form", "path", "token_of", "id",
         "address", "host_id", "hostId", "host_keys", "mode", "place", "folders", "networks", "do",
         "job", "point", "copy",
         "dry_run", "dryRun", "put_back", "inPlace")  # fmt: skip
_LONGEST, _LONGEST_LIST = 300, 1800
# Forms whose `path` are tokens.
_TOKENS = frozenset({"points.selection", "downloads.create", "compare.put_back", "restores.create"})


def register(app: Flask) -> None:
    """Note requests as they are answered."""
    app.before_request(_begin)
    app.after_request(_note)
    app.teardown_request(_let_go)


def _begin() -> None:
    """Note what is about to be done, and what it is about before that is changed, or gone."""
    if _counts():
        g.audit_target = _target()
        g.audit_begun = audit_begun.begin(_deed("unknown", f"{request.method} {request.path}"))


def _counts() -> bool:
    endpoint = request.endpoint
    if endpoint is None or endpoint in LOOKS:
        return False
    return endpoint in READS or request.method not in ("GET", "HEAD", "OPTIONS")


def _note(response: Response) -> Response:
    if not _counts():
        return response
    status, tried = response.status_code, _was_tried(response.status_code)
    db.session.rollback()  # an error may have left it broken
    result = g.get("audit_result") or _result(status)
    deed = _deed(result, f"{request.method} {request.path}: {status}") if tried else None
    if "audit_begun" in g:
        audit_begun.end(g.audit_begun, deed)
        g.pop("audit_begun")
    elif deed is not None:  # it was refused before it could begin
        audit.record(deed)
    return response


def _let_go(error: BaseException | None = None) -> None:
    if "audit_begun" in g:
        audit_begun.let_go(g.pop("audit_begun"))


def _deed(result: Result, detail: str) -> Deed:
    told = [g.audit_target if "audit_target" in g else _target(), *g.get("audit_more", ())]
    target = ", ".join(text for text in told if text)
    return Deed(
        actor=_actor(), door=_door(), action=request.endpoint or "", result=result, target=target,
        address=request.remote_addr or "", detail=detail,
    )  # fmt: skip


def _was_tried(status: int) -> bool:
    if request.endpoint in GUESSED:
        return True
    if g.get("user") is not None and "audit_result" in g:
        return True  # the view says that something came of it
    return g.get("user") is not None and status not in (400, 404, 405, 413, 415, 422)


def _result(status: int) -> Result:
    if status >= 500:
        return "failed"
    return "done" if status < 400 else "refused"


def _door() -> Door:
    return "api" if problems.is_api() else "page"


def _actor() -> str:
    """Return who asks; of a login that failed, the name only if there is such a user.

    What was typed there may be a password.
    """
    if g.get("user") is not None:
        return str(g.user.name)
    if "half_logged_in" in g:
        return str(g.half_logged_in)
    try:
        return users.find(request.form.get("name", "")).name
    except HoldfastError:
        return "somebody unknown"


def _target() -> str:
    parts = [_named(name, value) for name, value in (request.view_args or {}).items()]
    sent = _sent()
    parts += [f"{name} {_short(sent[name])}" for name in _TOLD if sent.get(name) not in (None, "", [])]
    return ", ".join(parts)


def _named(name: str, value: Any) -> str:
    """Return the name of what an address is about, where it has one."""
    noun = name.removesuffix("_id")
    look = _NAMES.get(noun)
    try:
        return f"{noun} {look(value) if look else value}"
    except HoldfastError:
        return f"{noun} {value}"


_NAMES: Mapping[str, Any] = {
    "config": lambda value: configs.get(value, deleted=True).name,
    "storage": lambda value: storages.get(value).name,
    "host": hosts.name_of,
    "user": lambda value: users.get(value).name,
    "token": lambda value: api_tokens.get_any(value).name,
    "job": lambda value: f"{value}{_of(jobs.get(value))}",
    "point": lambda value: f"{value}{_of(points.get(value))}",
}


def _of(row: Any) -> str:
    return f" of {row.config.name}" if row.config is not None else ""


def _sent() -> Mapping[str, Any]:
    if request.method == "GET":
        return {**request.args.to_dict(), **_path_said()}
    if request.is_json:
        try:
            found = request.get_json(silent=True)
        except RecursionError:
            return {}  # what comes next refuses it
        return found if isinstance(found, dict) else {}
    if problems.is_api() or request.endpoint == "sessions.enter":
        return {}  # reading a form would take its content away from the API, which refuses it
    sent = {name: found if len(found) > 1 else found[0] for name, found in request.form.lists()}
    chosen = request.form.getlist("path") if request.endpoint in _TOKENS else []
    return {
        **sent,
        **_path_said(),
        **({"path": [_readable(token) or token for token in chosen]} if chosen else {}),
    }


def _path_said() -> dict[str, str]:
    """Return the path of a download as people read it."""
    token = request.args.get("token", request.args.get("path", ""))
    path = _readable(token) if token else ""
    return {"path": path} if path else {}


def _readable(token: str) -> str:
    """Return the path in a token as people read it; "" if it is none."""
    try:
        return tokens.printable(tokens.path_from_token(token))
    except ValueError:
        return ""


def _short(value: Any) -> str:
    is_list = isinstance(value, list)
    text, longest = (
        ", ".join(map(str, value)) if is_list else str(value),
        _LONGEST_LIST if is_list else _LONGEST,
    )
    return text if len(text) <= longest else f"{text[:longest]}…"
