"""Storages: where backups are kept. Their pages and what can be done there."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.errors import HoldfastError, Unreachable
from core.retention import pruning
from core.storages import storage_edit, storage_probe, storage_setup, storage_uses, storages
from jobs import tasks
from webapp import answers, forms
from webapp.access import access
from webapp.settings import transfer
from webapp.storages import storage_form, storage_pages

blueprint = Blueprint("storages", __name__, url_prefix="/storages")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List the storages."""
    return render_template("storages/index.html", cards=storage_pages.cards())


@blueprint.get("/new")
@access.allow("admin")
def new() -> ResponseReturnValue:
    """Ask for the kind of a new storage, then show its form."""
    provider = request.args.get("provider", "")
    if provider not in storage_form.ICONS:
        return render_template("storages/new.html", provider="")
    return storage_pages.form_page(transfer.prefilled(storage_form.empty(provider), "storage"))


@blueprint.post("")
@access.allow("admin")
def create() -> ResponseReturnValue:
    """Initialise a storage, or adopt the repository that is there."""
    form = forms.sent()
    try:
        storage = storage_setup.create(storage_form.to_input(form), form.value("password_there"))
    except HoldfastError as error:
        return storage_pages.form_page(form.refuse(error), status=422)
    name, storage_id = storage.name, storage.id
    message = f"{name} is ready. Next: open a config, and let it keep a copy there.{transfer.follow()}"
    return answers.see_other(url_for("storages.show", storage_id=storage_id), message)


@blueprint.post("/look")
@access.allow("admin")
def look() -> ResponseReturnValue:
    """Say what is at the place that a form names, and how fast it answers; nothing stays there."""
    form = forms.sent()
    known = storage_pages.known_to(form)
    seen = storage_pages.look_at(form, known)
    if answers.is_fragment_request():
        provider = form.value("provider")
        return answers.fragment("storages/_look.html", form=form, seen=seen, provider=provider, fresh=True)
    return storage_pages.form_page(form, known, seen=seen, status=422 if form.errors else 200)


@blueprint.get("/<storage_id>")
@access.allow("admin")
def show(storage_id: str) -> ResponseReturnValue:
    """Show a storage: facts, use over time, what uses it."""
    return storage_pages.show_page(storages.get(storage_id))


@blueprint.post("/<storage_id>/test")
@access.allow("operator")
def test(storage_id: str) -> ResponseReturnValue:
    """Write, read and delete a probe; say how it went."""
    try:
        sentence, tone = storage_probe.test(storages.get(storage_id)), "good"
    except Unreachable as error:
        sentence, tone = str(error), "bad"
    if answers.is_fragment_request():
        card = storage_pages.card_of(storages.get(storage_id))
        return answers.fragment("storages/_card.html", card=card, tested=sentence, tone=tone)
    return answers.see_other(url_for("storages.index"), sentence, tone)


@blueprint.post("/<storage_id>/compact")
@access.allow("admin")
def compact(storage_id: str) -> ResponseReturnValue:
    """Free what no point needs, however little that is."""
    queued = [pruning.create(each.id, "manual").id for each in storages.get(storage_id).repositories]
    tasks.enqueue(queued)
    if len(queued) == 1:
        return answers.see_other(url_for("jobs.show", job_id=queued[0]))
    return answers.see_other(url_for("storages.show", storage_id=storage_id))


@blueprint.get("/<storage_id>/edit")
@access.allow("admin")
def edit(storage_id: str) -> ResponseReturnValue:
    """Show the form of a storage, its secrets left blank."""
    storage = storages.get(storage_id)
    return storage_pages.form_page(storage_form.of(storage), storage)


@blueprint.post("/<storage_id>")
@access.allow("admin")
def update(storage_id: str) -> ResponseReturnValue:
    """Change a storage; a new place must hold the same marker and repositories."""
    form, storage = forms.sent(), storages.get(storage_id)
    try:
        storage_edit.update(storage_id, storage_form.to_input(form, storage))
    except HoldfastError as error:
        return storage_pages.form_page(form.refuse(error), storage, status=422)
    return answers.see_other(url_for("storages.show", storage_id=storage_id), "The changes are saved.")


@blueprint.get("/<storage_id>/delete")
@access.allow("admin")
def confirm_delete(storage_id: str) -> ResponseReturnValue:
    """Say what deleting means, or why it cannot be."""
    return storage_pages.delete_page(storages.get(storage_id))


@blueprint.post("/<storage_id>/delete")
@access.allow("admin")
def delete(storage_id: str) -> ResponseReturnValue:
    """Forget a storage; what is on it stays there."""
    storage = storages.get(storage_id)
    name = storage.name
    if storage_uses.why_not_delete(storage_id):
        return storage_pages.delete_page(storage, status=409)
    storage_edit.delete(storage_id)
    return answers.see_other(
        url_for("storages.index"), f"{name} is deleted here. What is on it was not touched."
    )


@blueprint.get("/<storage_id>/replace")
@access.allow("admin")
def confirm_replace(storage_id: str) -> ResponseReturnValue:
    """Ask for the new place of a storage that is lost."""
    storage = storages.get(storage_id)
    return storage_pages.replace_page(storage, storage_form.of(storage))


@blueprint.post("/<storage_id>/replace")
@access.allow("admin")
def replace(storage_id: str) -> ResponseReturnValue:
    """Begin a lost storage anew at an empty place, and fill it from the other copies."""
    form, storage = forms.sent(), storages.get(storage_id)
    try:
        queued = storage_edit.replace_lost(storage_id, storage_form.to_input(form, storage))
    except HoldfastError as error:
        return storage_pages.replace_page(storage, form.refuse(error), status=422)
    tasks.enqueue([job.id for job in queued])
    message = f"{storage.name} begins anew. What other storages still hold is copied to it now."
    return answers.see_other(url_for("storages.show", storage_id=storage_id), message)
