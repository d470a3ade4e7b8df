"""What the pages of hosts show, gathered from core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import render_template, url_for
from flask.typing import ResponseReturnValue

from core.errors import HoldfastError
from core.hosts import host_confirm, host_doctor, host_login, host_map, host_self_test, host_test, hosts
from core.models import Host, Point
from webapp import answers
from webapp.forms import Form
from webapp.hosts import host_form


@dataclass(frozen=True, slots=True)
class Card:
    """A host in short."""

    host: Host
    state: hosts.State
    uses: hosts.Uses
    test: host_test.Result | None


@dataclass(slots=True)
class Asked:
    """What the host showed when it was asked for its keys, or why it did not."""

    keys: Sequence[host_confirm.HostKey] = ()
    trouble: str = ""
    advice: str = ""
    errors: dict[str, str] = field(default_factory=dict)


def cards() -> list[Card]:
    """Return all hosts in short, by name."""
    return [card_of(host) for host in hosts.list_all()]


def card_of(host: Host) -> Card:
    """Return one host in short, as its row says it stands."""
    return Card(host, hosts.state_of(host), hosts.uses(host.id), host_test.last(host))


def host_of(point: Point) -> str:
    """Return the id of the host whose files a point holds, if it is still known: "" for this machine."""
    of_files = point.config is not None and point.config.type != "database"
    host_id = str(point.config.source.get("host_id") or "") if point.config and of_files else ""
    return host_id if any(host.id == host_id for host in hosts.list_all()) else ""


def ask(host: Host) -> Asked:
    """Ask a host for its keys; what goes wrong is told, not raised."""
    try:
        return Asked(host_confirm.shown_by(host))
    except HoldfastError as error:
        return Asked(trouble=error.message, advice=error.advice)


def values(
    host: Host, asked: Asked | None = None, report: host_doctor.Report | None = None
) -> dict[str, Any]:
    """Return what a host's page, or its part that changes, shows."""
    return {
        "report": report,
        "card": card_of(host),
        "pinned": host_confirm.pinned(host),
        "pinned_then": host_confirm.state(host),
        "line": host_login.authorized_line(host),
        "command": host_login.install_command(host),
        "asked": asked,
        "compare": host_confirm.compare_command,
        "self_test": host_self_test.last(host),
        "blind": host_map.last(host),
        "look_trouble": None,
    }


def show_page(
    host: Host,
    asked: Asked | None = None,
    status: int = 200,
    *,
    report: host_doctor.Report | None = None,
    look_trouble: HoldfastError | None = None,
) -> ResponseReturnValue:
    """Render a host's page; `look_trouble`: why nobody could look around there."""
    found = {**values(host, asked, report), "look_trouble": look_trouble}
    return render_template("hosts/show.html", **found), status


def form_page(form: Form, host: Host | None = None, status: int = 200) -> ResponseReturnValue:
    """Render the form of a host, new or changed."""
    template = "hosts/edit.html" if host else "hosts/new.html"
    choices = {
        "logins": host_form.logins(host is not None),
        "jumps": host_form.jumps(host),
        "compressions": host_form.compressions(),
    }
    return render_template(template, form=form, host=host, **choices), status


def delete_page(host: Host, status: int = 200) -> ResponseReturnValue:
    """Render what deleting a host means, or why it cannot be."""
    reasons = hosts.why_not_delete(host.id)
    return render_template("hosts/delete.html", host=host, reasons=reasons), status


def begin_config(host_id: str | None, files: list[str], dumped: list[str]) -> ResponseReturnValue:
    """Go to the form of a new config of these places; databases have a type of their own."""
    if not files:
        return answers.see_other(url_for("configs.new", type="database", host_id=host_id))
    note = f"Not in this config: {', '.join(dumped)}. Make one of type database, which dumps PostgreSQL."
    url = url_for("configs.new", host_id=host_id, path=files)
    return answers.see_other(url, note if dumped else "", "warn")
