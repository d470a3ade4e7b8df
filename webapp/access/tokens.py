"""Tokens for scripts that use the API: made here, shown once, revoked here."""

from __future__ import annotations

from flask import Blueprint, render_template, session, url_for
from flask.typing import ResponseReturnValue

from core import inputs, secrets
from core.access import api_tokens, roles
from core.access.api_tokens import TokenInput
from core.errors import HoldfastError
from webapp import answers, forms
from webapp.access import access
from webapp.settings.settings import ROLES

blueprint = Blueprint("tokens", __name__, url_prefix="/tokens")

# On its way from the form to the page that shows it once, in the cookie of the browser that asked for it.
_NEW = "new_token"
DAYS = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "A year"), ("", "Until it is revoked"))


@blueprint.get("")
@access.allow("viewer")
def index() -> ResponseReturnValue:
    """List one's own tokens, to an admin all; show one that was just made."""
    return _page(forms.Form({"role": "viewer", "days": "90"}), new=_just_made())


@blueprint.post("")
@access.allow("viewer")
def create() -> ResponseReturnValue:
    """Make a token for oneself."""
    form = forms.sent()
    try:
        data = inputs.validate(TokenInput, {name: form.value(name) for name in ("name", "role", "days")})
        _, text = api_tokens.create(data, access.user())
    except HoldfastError as error:
        return _page(form.refuse(error), status=422)
    session[_NEW] = secrets.seal(text, table="session", row=0, column=_NEW)
    return answers.see_other(url_for("tokens.index"))


@blueprint.post("/<int:token_id>/revoke")
@access.allow("viewer")
def revoke(token_id: int) -> ResponseReturnValue:
    """Make a token useless."""
    token = api_tokens.revoke(api_tokens.get(token_id, access.user()).id)
    return answers.see_other(url_for("tokens.index"), f"{token.name} is revoked: it opens nothing any more.")


def _page(form: forms.Form, *, new: str = "", status: int = 200) -> ResponseReturnValue:
    me = access.user()
    page = render_template(
        "tokens/index.html",
        form=form,
        new=new,
        tokens=[(token, api_tokens.is_valid(token)) for token in api_tokens.visible_to(me)],
        role_of=api_tokens.role_of,
        roles=[role for role in ROLES if roles.reaches(me.role, role[0])],
        days=DAYS,
    )
    return page, status


def _just_made() -> str:
    sealed = session.pop(_NEW, None)
    return secrets.unseal(sealed, table="session", row=0, column=_NEW) if sealed else ""
