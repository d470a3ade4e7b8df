"""A restore that is being asked for, in words, and as a command."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from core.hosts import hosts
from core.models import Point
from core.points import points, tokens
from core.restores import restores
from webapp.forms import Form

_MOST_NAMED = 20


@dataclass(frozen=True, slots=True)
class Summary:
    """What the page says beside the form. `target` "": none is named yet; `example`: a path and what becomes
    of it; `command` "": none says it."""

    machine: str
    target: str
    put_back: bool
    conflict: str
    copy: str
    example: tuple[str, str] | None
    command: str


def summary(form: Form, point: Point, chosen: list[str]) -> Summary:
    """Return what a form asks for as it stands, right or wrong."""
    target, put_back = form.value("target_path").strip(), bool(form.value("put_back") and chosen)
    machine = _machine(form.value("host_id"))
    rules = {str(key): text for key, text in restores.CONFLICTS.items()}
    conflict = rules.get(form.value("conflict"), "")
    command = _command(form, point, chosen, target, machine, put_back=put_back)
    example = _example(point, chosen, target) if target and not put_back else None
    return Summary(machine, target, put_back, conflict, _copy(form, point), example, command)


def _machine(host_id: str) -> str:
    """Return the name of a host; "" for this machine, and for one that is none."""
    return next((host.name for host in hosts.list_all() if host.id == host_id), "")


def _copy(form: Form, point: Point) -> str:
    choices = points.choices(point)
    if wanted := next((one for one in choices if str(one.copy.id) == form.value("copy_id")), None):
        return wanted.storage.name
    best = next((one.storage.name for one in choices if one.best), "")
    return f"the best copy that answers, now on {best}" if best else "the best copy that answers"


def _example(point: Point, chosen: list[str], target: str) -> tuple[str, str] | None:
    """Return one path of what is chosen, and where it goes."""
    given = list(point.paths.get("paths", []))
    path = tokens.printable(tokens.path_from_token(chosen[0])) if chosen else (given or [""])[0]
    return (path, target.rstrip("/") + path) if path else None


def _command(
    form: Form, point: Point, chosen: list[str], target: str, machine: str, *, put_back: bool
) -> str:
    """Return the command that asks for the same; "" where it cannot: it names no copy, and only paths that
    can be typed."""
    paths = [os.fsdecode(tokens.path_from_token(token)) for token in chosen]
    if form.value("copy_id") or len(paths) > _MOST_NAMED or not all(path.isprintable() for path in paths):
        return ""
    words = ["flask backup restore", str(point.id)]
    words += ["--in-place"] if put_back else ["--to", shlex.quote(target or "/srv/restored")]
    words += ["--to-host", shlex.quote(machine)] if machine else []
    words += [f"--include {shlex.quote(path)}" for path in paths]
    rule = form.value("conflict")
    return " ".join(
        [*words, *(["--conflict", rule] if rule in restores.CONFLICTS and rule != "keep" else [])]
    )
