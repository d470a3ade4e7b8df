"""Hosts: other machines, over SSH. Their pages and what can be done there."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from core.errors import HoldfastError, Invalid
from core.hosts import host_confirm, host_doctor, host_test, hosts
from webapp import answers, forms
from webapp.access import access
from webapp.hosts import host_form, host_pages

blueprint = Blueprint("hosts", __name__, url_prefix="/hosts")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List the hosts."""
    return render_template("hosts/index.html", cards=host_pages.cards())


@blueprint.get("/new")
@access.allow("admin")
def new() -> ResponseReturnValue:
    """Show the form of a new host."""
    return host_pages.form_page(host_form.empty())


@blueprint.post("")
@access.allow("admin")
def create() -> ResponseReturnValue:
    """Add a host; its page leads through the steps that are left."""
    form = forms.sent()
    try:
        host = hosts.create(host_form.to_input(form))
    except HoldfastError as error:
        return host_pages.form_page(form.refuse(error), status=422)
    return answers.see_other(url_for("hosts.show", host_id=host.id))


@blueprint.get("/<host_id>")
@access.allow("admin")
def show(host_id: str) -> ResponseReturnValue:
    """Show a host: what is left to do, facts, the last test, the configs that use it."""
    return host_pages.show_page(hosts.get(host_id))


@blueprint.post("/<host_id>/keys")
@access.allow("admin")
def keys(host_id: str) -> ResponseReturnValue:
    """Ask the host for its keys, for a person to compare."""
    host = hosts.get(host_id)
    return _changed(host_id, host_pages.ask(host))


@blueprint.post("/<host_id>/confirm")
@access.allow("admin")
def confirm(host_id: str) -> ResponseReturnValue:
    """Pin the keys that were ticked, and test the host with them."""
    form = forms.sent()
    try:
        who, seen = access.user().name, form.value("pinned_then")
        host_confirm.confirm(host_id, form.values("host_keys"), who, seen=seen)
    except Invalid as error:
        asked = host_pages.ask(hosts.get(host_id))
        asked.errors = error.fields
        return _changed(host_id, asked, 422)
    return _tested(host_id)


@blueprint.post("/<host_id>/test")
@access.allow("operator")
def test(host_id: str) -> ResponseReturnValue:
    """Go the whole way that a backup goes, and say how that went."""
    if not forms.sent().value("from_list"):
        return _tested(host_id)
    host_test.test(host_id)
    if answers.is_fragment_request():
        return answers.fragment("hosts/_card.html", card=host_pages.card_of(hosts.get(host_id)))
    return answers.see_other(url_for("hosts.index"))


@blueprint.post("/<host_id>/examine")
@access.allow("admin")
def examine(host_id: str) -> ResponseReturnValue:
    """Say what a backup of the host would miss and why, and how to give it no more rights than it needs."""
    report = host_doctor.examine(host_id)
    host = hosts.get(host_id)
    if answers.is_fragment_request():
        return answers.fragment("hosts/_host.html", **host_pages.values(host, report=report))
    return host_pages.show_page(host, report=report)


@blueprint.get("/<host_id>/edit")
@access.allow("admin")
def edit(host_id: str) -> ResponseReturnValue:
    """Show the form of a host, its secrets left blank."""
    host = hosts.get(host_id)
    return host_pages.form_page(host_form.of(host), host)


@blueprint.post("/<host_id>")
@access.allow("admin")
def update(host_id: str) -> ResponseReturnValue:
    """Change a host."""
    form, host = forms.sent(), hosts.get(host_id)
    try:
        hosts.update(host_id, host_form.to_input(form))
    except HoldfastError as error:
        return host_pages.form_page(form.refuse(error), host, status=422)
    return answers.see_other(url_for("hosts.show", host_id=host_id), "The changes are saved.")


@blueprint.get("/<host_id>/delete")
@access.allow("admin")
def confirm_delete(host_id: str) -> ResponseReturnValue:
    """Say what deleting means, or why it cannot be."""
    return host_pages.delete_page(hosts.get(host_id))


@blueprint.post("/<host_id>/delete")
@access.allow("admin")
def delete(host_id: str) -> ResponseReturnValue:
    """Forget a host; its points stay."""
    host = hosts.get(host_id)
    name = host.name
    if hosts.why_not_delete(host_id):
        return host_pages.delete_page(host, status=409)
    hosts.delete(host_id)
    return answers.see_other(
        url_for("hosts.index"), f"{name} is deleted here. Its points stay, and so does everything on it."
    )


def _tested(host_id: str) -> ResponseReturnValue:
    host_test.test(host_id)
    if answers.is_fragment_request():
        return _changed(host_id)
    return answers.see_other(url_for("hosts.show", host_id=host_id))


def _changed(host_id: str, asked: host_pages.Asked | None = None, status: int = 200) -> ResponseReturnValue:
    """Return the part of a host's page that changes, or all of it."""
    host = hosts.get(host_id)
    if answers.is_fragment_request():
        return answers.fragment("hosts/_host.html", status, **host_pages.values(host, asked))
    return host_pages.show_page(host, asked, status)
