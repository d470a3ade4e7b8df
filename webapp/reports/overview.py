"""The Overview: am I safe?"""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from webapp import answers
from webapp.access import access
from webapp.configs import config_cards

blueprint = Blueprint("overview", __name__)


@blueprint.get("/")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """Answer first, then explain, then offer."""
    return render_template("overview/index.html", board=config_cards.board())


@blueprint.get("/overview/board")
@access.allow("viewer")
def board() -> ResponseReturnValue:
    """Return verdict and cards; they poll themselves only while something runs."""
    return answers.fragment("overview/_board.html", board=config_cards.board())


@blueprint.get("/overview/rail")
@access.allow("viewer")
def rail() -> ResponseReturnValue:
    """Return the rail with its counts; `at` says which page is open."""
    return answers.fragment("overview/_rail.html", at=request.args.get("at", ""))
