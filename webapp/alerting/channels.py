"""Channels: where alerts are sent to. Only admins come here."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.configs import configs
from core.errors import HoldfastError, Invalid
from core.messaging import channels, heartbeat
from core.models import Channel
from webapp import answers, forms
from webapp.access import access
from webapp.alerting import channel_form
from webapp.settings import transfer

blueprint = Blueprint("channels", __name__, url_prefix="/channels")


@blueprint.get("")
@access.allow("admin")
def index() -> ResponseReturnValue:
    """List the channels, each with how it does."""
    return render_template(
        "channels/index.html",
        at="settings",
        channels=channels.list_all(),
        heartbeat_place=heartbeat.place(),
        heartbeat_state=heartbeat.state(),
        **_values(),
    )


@blueprint.get("/new")
@access.allow("admin")
def new() -> ResponseReturnValue:
    """Ask for the kind of a new channel, then show its form."""
    kind = request.args.get("kind", "")
    if kind not in channel_form.ICONS:
        return render_template("channels/new.html", at="settings", **_values())
    return _form_page(transfer.prefilled(channel_form.empty(kind), "channel"))


@blueprint.post("")
@access.allow("admin")
def create() -> ResponseReturnValue:
    """Make a channel."""
    form = forms.sent()
    kind = form.value("kind")
    try:
        if kind not in channel_form.ICONS:
            raise Invalid({"kind": "Choose a kind of channel."})
        made = channels.create(channel_form.to_input(form, kind), channel_form.to_target(form, kind))
    except HoldfastError as error:
        return _form_page(form.refuse(error, "url"), status=422)
    name = made.name
    transfer.follow()
    return _back(f"{name} is ready. Press “Send a test” to see whether messages arrive.")


@blueprint.get("/<int:channel_id>")
@access.allow("admin")
def edit(channel_id: int) -> ResponseReturnValue:
    """Show the form of a channel, without its secrets."""
    channel = channels.get(channel_id)
    return _form_page(channel_form.of(channel), channel)


@blueprint.post("/<int:channel_id>")
@access.allow("admin")
def update(channel_id: int) -> ResponseReturnValue:
    """Change a channel."""
    form, channel = forms.sent(), channels.get(channel_id)
    try:
        target = channel_form.to_target(form, channel.kind, channel_form.known_target(channel))
        changed = channels.update(channel_id, channel_form.to_input(form, channel.kind), target)
    except HoldfastError as error:
        return _form_page(form.refuse(error, "url"), channels.get(channel_id), status=422)
    return _back(f"{changed.name} is saved.")


@blueprint.post("/<int:channel_id>/test")
@access.allow("admin")
def test(channel_id: int) -> ResponseReturnValue:
    """Send a test message; say what happened."""
    try:
        sentence, tone = channels.test(channel_id), "good"
    except HoldfastError as error:
        sentence, tone = str(error), "bad"
    if answers.is_fragment_request():
        channel = channels.get(channel_id)
        return answers.fragment(
            "channels/_channel.html", channel=channel, tested=sentence, tone=tone, **_values()
        )
    return _back(sentence, tone)


@blueprint.post("/<int:channel_id>/switch")
@access.allow("admin")
def switch(channel_id: int) -> ResponseReturnValue:
    """Switch a channel on or off."""
    wanted = forms.sent().value("to") == "on"
    channel = channels.set_enabled(channel_id, wanted)
    return _back(f"{channel.name} is {'on' if wanted else 'off'}.")


@blueprint.post("/<int:channel_id>/delete")
@access.allow("admin")
def delete(channel_id: int) -> ResponseReturnValue:
    """Remove a channel."""
    name = channels.get(channel_id).name
    channels.delete(channel_id)
    return _back(f"{name} is removed.")


def _form_page(form: forms.Form, channel: Channel | None = None, status: int = 200) -> ResponseReturnValue:
    kind = channel.kind if channel else form.value("kind")
    page = render_template(
        "channels/form.html",
        at="settings",
        form=form.changed({"url": "", "password": ""}),  # may be secrets: never sent back
        channel=channel,
        kind=kind if kind in channel_form.ICONS else "webhook",
        severities=channel_form.SEVERITIES,
        securities=channel_form.SECURITIES,
        repeats=channel_form.REPEATS,
        **_values(),
    )
    return page, status


def _values() -> dict[str, Any]:
    return {"kinds": channel_form.KINDS, "icons": channel_form.ICONS, "configs": configs.list_all()}


def _back(message: str, tone: str = "good") -> ResponseReturnValue:
    return answers.see_other(url_for("channels.index"), message, tone)
