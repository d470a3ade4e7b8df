"""Dead-man pings: what a watcher elsewhere expects, of each config and of the scheduler itself."""

from __future__ import annotations

from flask import Blueprint, render_template, url_for
from flask.typing import ResponseReturnValue

from core.configs import configs
from core.errors import HoldfastError
from core.messaging import heartbeat, pings
from webapp import answers, formats, forms
from webapp.access import access

blueprint = Blueprint("pings", __name__)


@blueprint.get("/configs/<config_id>/pings")
@access.allow("admin")
def show(config_id: str) -> ResponseReturnValue:
    """Show where the backups of a config are pinged to."""
    return _page(config_id, forms.Form())


@blueprint.post("/configs/<config_id>/pings")
@access.allow("admin")
def update(config_id: str) -> ResponseReturnValue:
    """Set or forget the addresses."""
    form = forms.sent()
    try:
        pings.set_urls(config_id, form.all(), forget=form.values("forget"))
    except HoldfastError as error:
        return _page(config_id, form.refuse(error), status=422)
    return answers.see_other(url_for("pings.show", config_id=config_id), "The pings are saved.")


@blueprint.post("/configs/<config_id>/pings/test")
@access.allow("admin")
def test(config_id: str) -> ResponseReturnValue:
    """Ping success once."""
    try:
        sentence, tone = pings.test(config_id), "good"
    except HoldfastError as error:
        sentence, tone = str(error), "bad"
    return answers.see_other(url_for("pings.show", config_id=config_id), sentence, tone)


@blueprint.post("/channels/heartbeat")
@access.allow("admin")
def set_heartbeat() -> ResponseReturnValue:
    """Set where the scheduler's heartbeat goes; empty: nowhere."""
    form = forms.sent()
    try:
        heartbeat.set_url(form.value("heartbeat_url"))
    except HoldfastError as error:
        return answers.see_other(url_for("channels.index"), f"Nothing was saved. {error}", "bad")
    saved = "The heartbeat is saved; the first one is sent within two minutes."
    return answers.see_other(
        url_for("channels.index"), saved if form.value("heartbeat_url").strip() else "No heartbeat is sent."
    )


def _page(config_id: str, form: forms.Form, status: int = 200) -> ResponseReturnValue:
    config = configs.get(config_id)
    formats.use_zone_of(config)
    page = render_template(
        "configs/pings.html",
        at="configs",
        config=config,
        form=form.changed(dict.fromkeys(pings.EVENTS, "")),  # may be secrets: never sent back
        target=pings.places_of(config_id),
        set_events=list(pings.urls_of(config_id)),
    )
    return page, status
