"""The trash: what retention removed, until when it can be had back, and out of it again."""

from __future__ import annotations

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from core.configs import configs
from core.errors import HoldfastError
from core.retention import trash_contents
from webapp import answers, formats, forms
from webapp.access import access

blueprint = Blueprint("trash", __name__, url_prefix="/trash")


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List what is in the trash, of one config or all."""
    chosen = request.args.get("config", "")
    if chosen:
        formats.use_zone_of(configs.get(chosen, deleted=True))
    page = trash_contents.contents(chosen, page=request.args.get("page", 1, type=int))
    return render_template(
        "trash/index.html", page=page, chosen=chosen, configs=configs.names(),
        goes_at=trash_contents.goes_at,
    )  # fmt: skip


@blueprint.post("/take-out")
@access.allow("operator")
def take_out() -> ResponseReturnValue:
    """Let chosen copies count again."""
    form = forms.sent()
    back = url_for("trash.index", config=form.value("config") or None)
    chosen = forms.row_numbers(form.values("copy"))
    if not chosen:
        return answers.see_other(back, "Tick what to take out of the trash first.", "warn")
    try:
        found = trash_contents.take_out(chosen, access.user().name)
    except HoldfastError as error:
        return answers.see_other(back, str(error), "bad")
    number = formats.count(len(found), "point")
    pinned = "It is pinned" if len(found) == 1 else "They are pinned"
    return answers.see_other(
        back, f"{number} taken out of the trash. {pinned}, so that no rule puts it back."
    )
