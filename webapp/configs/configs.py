"""Configs: what is backed up, when, where to. Their pages and what can be done there."""

from __future__ import annotations

from contextlib import suppress

from flask import Blueprint, flash, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.backups import copying
from core.configs import configs
from core.errors import Conflict, HoldfastError
from core.jobs import jobs
from core.models import Config
from jobs import tasks
from webapp import answers, formats, forms
from webapp.access import access
from webapp.configs import config_cards, config_form, config_pages, config_words, destination_form
from webapp.configs.config_cards import Chosen
from webapp.jobs import progress

blueprint = Blueprint("configs", __name__, url_prefix="/configs")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List the configs: by name, state and type, a page at a time."""
    chosen = Chosen(*(request.args.get(each, "") for each in ("name", "state", "type")))
    page, by_state = config_cards.page_of(chosen, request.args.get("page", 1, type=int))
    return render_template(
        "configs/index.html",
        page=page,
        chosen=chosen,
        by_state=by_state,
        here=configs.types_in_use(),
        deleted=configs.list_all(deleted=True),
    )


@blueprint.get("/new")
@access.allow("admin")
def new() -> ResponseReturnValue:
    """Show the form of a new config, filled with what is usual."""
    form = config_form.from_input(configs.offered(request.args.get("type", "files")))
    host_id, paths = request.args.get("host_id", ""), request.args.getlist("path")
    return config_pages.form_page(config_pages.for_host(form, host_id, paths))


@blueprint.post("")
@access.allow("admin")
def create() -> ResponseReturnValue:
    """Make a config, and back it up at once if asked."""
    form = forms.sent()
    try:
        data = config_form.to_input(form)
        config_pages.require_present(form, data)
        config = configs.create(data)
    except HoldfastError as error:
        return config_pages.form_page(form.refuse(error), status=422)
    if form.value("then") == "back-up":
        return _back_up(config.id)
    return _saved(config, f"{config.name} is saved.")


@blueprint.get("/<config_id>")
@access.allow("viewer")
def show(config_id: str) -> ResponseReturnValue:
    """Show a config: state, progress, points."""
    return config_pages.show_page(configs.get(config_id, deleted=True))


@blueprint.get("/<config_id>/head")
@access.allow("viewer")
def head(config_id: str) -> ResponseReturnValue:
    """Return the first line of a config's page."""
    config = configs.get(config_id, deleted=True)
    formats.use_zone_of(config)
    return answers.fragment("configs/_head.html", card=config_cards.card_of(config))


@blueprint.get("/<config_id>/facts")
@access.allow("viewer")
def facts(config_id: str) -> ResponseReturnValue:
    """Return what a config does, and how it went."""
    card = config_cards.card_of(configs.get(config_id, deleted=True))
    formats.use_zone_of(card.config)
    return answers.fragment("configs/_facts.html", card=card, kept=config_words.kept_by(card.config))


@blueprint.get("/<config_id>/points")
@access.allow("viewer")
def points(config_id: str) -> ResponseReturnValue:
    """Return the time axis and the list of points."""
    config = configs.get(config_id, deleted=True)
    return answers.fragment("configs/_points.html", **config_pages.points_part(config))


@blueprint.get("/<config_id>/destinations")
@access.allow("viewer")
def destinations(config_id: str) -> ResponseReturnValue:
    """Return where the points of a config are, and what is missing there."""
    config = configs.get(config_id)
    formats.use_zone_of(config)
    gaps = copying.gaps(config)
    fewer = request.args.get("copying", 0, type=int) > sum(gap.job is not None for gap in gaps)
    events = {"job-ended": 0} if fewer else None
    return answers.fragment("configs/_destinations.html", events=events, config=config, gaps=gaps)


@blueprint.post("/<config_id>/sync/<int:destination_id>")
@access.allow("operator")
def sync(config_id: str, destination_id: int) -> ResponseReturnValue:
    """Copy what a destination lacks, now."""
    with suppress(Conflict):  # it is being copied already, and the page shows that job
        tasks.enqueue([copying.sync(destination_id).id])
    if answers.is_fragment_request():
        return destinations(config_id)
    return answers.see_other(url_for("configs.show", config_id=config_id, _anchor="destinations"))


@blueprint.get("/<config_id>/edit")
@access.allow("admin")
def edit(config_id: str) -> ResponseReturnValue:
    """Show the form of a config."""
    config = configs.get(config_id)
    return config_pages.form_page(config_form.from_input(configs.to_input(config).model_dump()), config)


@blueprint.post("/<config_id>")
@access.allow("admin")
def update(config_id: str) -> ResponseReturnValue:
    """Change a config."""
    form, config = forms.sent(), configs.get(config_id)
    try:
        data = config_form.to_input(form, enabled=config.enabled)
        config_pages.require_present(form, data, config)
        config = configs.update(config_id, data)
    except HoldfastError as error:
        return config_pages.form_page(form.refuse(error), config, status=422)
    return _saved(config, f"The changes are saved.{_fill(config)}")


@blueprint.post("/summary")
@access.allow("admin")
def summary() -> ResponseReturnValue:
    """Return what the form says so far, in words."""
    form = forms.sent()
    return answers.fragment("configs/_summary.html", summary=config_pages.summary_of(form), form=form)


@blueprint.post("/destinations")
@access.allow("admin")
def destinations_form() -> ResponseReturnValue:
    """Return the form's destinations with one more, one less, or the rules of another tier."""
    form = destination_form.changed(forms.sent())
    if answers.is_fragment_request():
        events = {"destinations-changed": len(destination_form.places(form))}
        return answers.fragment("configs/_destination_fields.html", events=events, form=form)
    return config_pages.form_page(form, config_pages.config_of(form))


@blueprint.post("/preview")
@access.allow("admin")
def preview() -> ResponseReturnValue:
    """Look at what the form would back up: files, bytes, biggest folders, what rules leave out."""
    form = forms.sent()
    try:
        found = config_pages.preview_of(form)
    except HoldfastError as error:
        form.refuse(error)
        found = None
    if answers.is_fragment_request():
        return answers.fragment("configs/_preview.html", preview=found, form=form)
    return config_pages.form_page(
        form, config_pages.config_of(form), preview=found, status=200 if found else 422
    )


@blueprint.get("/folders")
@access.allow("admin")
def folders() -> ResponseReturnValue:
    """Return the folders below one on this machine, or on a host, to choose from."""
    path, host_id = request.args.get("path", "/"), request.args.get("host_id", "")
    return answers.fragment("configs/_folders.html", listing=config_pages.list_folders(path, host_id))


@blueprint.post("/<config_id>/back-up")
@access.allow("operator")
def back_up(config_id: str) -> ResponseReturnValue:
    """Start a backup now; the page shows its progress in place."""
    return _back_up(config_id)


@blueprint.post("/<config_id>/pause")
@access.allow("admin")
def pause(config_id: str) -> ResponseReturnValue:
    """Stop the schedule until it is resumed."""
    config = configs.set_enabled(config_id, False)
    message = f"{config.name} is paused: nothing runs by itself until you resume it."
    return answers.see_other(url_for("configs.show", config_id=config_id), message, "warn")


@blueprint.post("/<config_id>/resume")
@access.allow("admin")
def resume(config_id: str) -> ResponseReturnValue:
    """Let the schedule run again."""
    config = configs.set_enabled(config_id, True)
    return answers.see_other(url_for("configs.show", config_id=config_id), f"{config.name} runs again.")


@blueprint.post("/<config_id>/clean-up")
@access.allow("admin")
def clean_up(config_id: str) -> ResponseReturnValue:
    """Apply retention now; who pressed the button was told how many points go: `most`, of one storage."""
    most = forms.sent().value("most")
    told = int(most) if most.isascii() and most.isdigit() and len(most) < 10 else 0
    job = jobs.create_retention("manual", configs.get(config_id).id, confirmed=True, most=told)
    tasks.enqueue([job.id])
    return answers.see_other(url_for("jobs.show", job_id=job.id))


@blueprint.get("/<config_id>/delete")
@access.allow("admin")
def confirm_delete(config_id: str) -> ResponseReturnValue:
    """Say what deleting means."""
    return config_pages.delete_page(configs.get(config_id))


@blueprint.post("/<config_id>/delete")
@access.allow("admin")
def delete(config_id: str) -> ResponseReturnValue:
    """Delete a config; its points stay."""
    config = configs.get(config_id)
    name = config.name
    configs.delete(config_id)
    return answers.see_other(url_for("configs.index"), f"{name} is deleted. Its points stay.")


def _fill(config: Config) -> str:
    """Begin to copy to destinations that are new, or want more now; say so."""
    queued = copying.follow(config.id) if config.enabled else []
    tasks.enqueue(queued)
    names = [gap.storage.name for gap in copying.gaps(config) if gap.job and gap.job.id in queued]
    if not names:
        return ""
    return f" {formats.listing(names)} {'is' if len(names) == 1 else 'are'} being filled now."


def _saved(config: Config, message: str) -> ResponseReturnValue:
    """Go to a config's page; what cannot be read now may be saved, but not silently."""
    if trouble := config_pages.trouble_with(config):
        flash(trouble, "warn")
    return answers.see_other(url_for("configs.show", config_id=config.id), message)


def _back_up(config_id: str) -> ResponseReturnValue:
    try:
        job = jobs.create_backup(config_id, "manual")
    except Conflict:
        # Pressed twice, or by two people: show the run there is. Gone meanwhile: say why there is none.
        pending = jobs.pending_of(config_id)
        if pending is None:
            raise
        return _show_run(config_id, pending.id)
    tasks.enqueue([job.id])
    return _show_run(config_id, job.id)


def _show_run(config_id: str, job_id: int) -> ResponseReturnValue:
    if not answers.is_fragment_request():
        return answers.see_other(url_for("configs.show", config_id=config_id))
    job = jobs.get(job_id)
    events = {"announce": "The backup was started.", "job-started": job.id}
    return answers.fragment("jobs/_progress.html", events=events, job=job, live=progress.of(job))
