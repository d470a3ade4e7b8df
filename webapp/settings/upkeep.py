"""Upkeep: what runs by itself, or is paused; how many at once; how long records are kept, and their size."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, Flask, g, render_template, url_for
from flask.typing import ResponseReturnValue

from core import app_state
from core.errors import HoldfastError
from core.reports import housekeeping
from core.schedules import limits, pause
from core.schedules.pause import Pause
from webapp import answers, forms
from webapp.access import access

blueprint = Blueprint("upkeep", __name__, url_prefix="/upkeep")


@dataclass(slots=True)
class _Forms:
    pause: forms.Form
    limits: forms.Form
    ages: forms.Form


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """Show how it stands."""
    return _page(_filled())


@blueprint.post("/pause")
@access.allow("admin")
def pause_all() -> ResponseReturnValue:
    """Let nothing begin by itself for a while."""
    form = forms.sent()
    zone = app_state.settings().timezone
    try:
        held = pause.begin(
            pause.parse_until(form.value("until"), zone), access.user().name, form.value("note")
        )
    except HoldfastError as error:
        shown = _filled()
        shown.pause = form.refuse(error)
        return _page(shown, 422)
    return answers.see_other(url_for("upkeep.index"), f"All is paused {held.words(zone)}.", "warn")


@blueprint.post("/resume")
@access.allow("admin")
def resume() -> ResponseReturnValue:
    """Let all run again."""
    held = pause.end()
    message = (
        "All runs again; what fell into the pause is made up for once." if held else "Nothing was paused."
    )
    return answers.see_other(url_for("upkeep.index"), message)


@blueprint.post("/limits")
@access.allow("admin")
def set_limits() -> ResponseReturnValue:
    """Set how many jobs may run at once."""
    form = forms.sent()
    try:
        limits.change({name: form.value(name) for name in limits.Limits.model_fields})
    except HoldfastError as error:
        shown = _filled()
        shown.limits = form.refuse(error)
        return _page(shown, 422)
    return answers.see_other(
        url_for("upkeep.index"), "The limits are saved; they hold for jobs that begin from now on."
    )


@blueprint.post("/ages")
@access.allow("admin")
def set_ages() -> ResponseReturnValue:
    """Set how long records are kept."""
    form = forms.sent()
    try:
        kept = housekeeping.ages().model_dump()  # of what is left empty
        housekeeping.change({name: form.value(name) or kept[name] for name in kept})
    except HoldfastError as error:
        shown = _filled()
        shown.ages = form.refuse(error)
        return _page(shown, 422)
    return answers.see_other(
        url_for("upkeep.index"), "The ages are saved; the next daily sweep keeps to them."
    )


def pause_now() -> Pause | None:
    """Return the pause that holds; asked once a request."""
    if "pause" not in g:
        g.pause = pause.active()
    found: Pause | None = g.pause
    return found


def register(app: Flask) -> None:
    """Give every template the pause."""
    app.jinja_env.globals["pause_now"] = pause_now


def _filled() -> _Forms:
    return _Forms(
        forms.Form(),
        forms.Form(limits.current().model_dump()),
        forms.Form(housekeeping.ages().model_dump()),
    )


def _page(shown: _Forms, status: int = 200) -> ResponseReturnValue:
    page = render_template(
        "upkeep/index.html", shown=shown, state=housekeeping.state(), zone=app_state.settings().timezone
    )
    return page, status
