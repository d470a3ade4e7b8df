"""Calls about tokens: list, make, revoke."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import g, url_for
from werkzeug.exceptions import Forbidden

from core.access import api_tokens, roles
from core.access.api_tokens import TokenInput
from core.models import ApiToken, User
from webapp.access import access
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body, Given


class TokenOut(Out):
    """A token for the API. `hint`: how it begins."""

    id: int
    name: str
    role: str
    hint: str
    user: str | None
    valid: bool
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_address: str
    revoked_at: datetime | None


class NewTokenOut(TokenOut):
    """The same with its text, which is given only now."""

    token: str


@door.operation("GET", "/backup/tokens", "viewer", query=queries.Paged, answer=ListOut[TokenOut])
def list_tokens(query: queries.Paged) -> Any:
    """List one's own tokens, to an admin all, the newest first."""
    return answers.part(api_tokens.visible_to(_whoever()), _given, query)


@door.operation("POST", "/backup/tokens", "viewer", body=Body(TokenInput), answer=NewTokenOut, status=201)
def create_token(body: TokenInput) -> Given:
    """Make a token for oneself, of one's own role or less. Its text is in this answer, and never again."""
    made, text = api_tokens.create(body, _owner(), g.token)
    where = url_for("api.get_token", token_id=made.id)
    return Given(NewTokenOut(**_shown(made), token=text), headers={"Location": where})


@door.operation("GET", "/backup/tokens/<int:token_id>", "viewer", answer=TokenOut)
def get_token(token_id: int) -> TokenOut:
    """Return a token of one's own; to an admin any."""
    return _given(api_tokens.get(token_id, _whoever()))


@door.operation("DELETE", "/backup/tokens/<int:token_id>", "viewer")
def revoke_token(token_id: int) -> None:
    """Make a token useless, at once and for good."""
    api_tokens.revoke(api_tokens.get(token_id, _whoever()).id)


def _owner() -> User | None:
    """Return whose a new token is: that of a token of nobody's is nobody's too, if its role allows it."""
    me = _whoever()
    nobodys = g.token is not None and g.token.user_id is None
    if nobodys and not roles.reaches(me.role, "admin"):
        raise Forbidden
    return None if nobodys else me


def _whoever() -> User:
    """Return the user who asks; of a token its owner, with the role that the token has."""
    me = access.user()
    return me if g.token is None else User(id=g.token.user_id, name=me.name, role=me.role)


def _given(row: ApiToken) -> TokenOut:
    """Return a token as it is given."""
    return TokenOut(**_shown(row))


def _shown(row: ApiToken) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in TokenOut.model_fields if hasattr(row, name)}
    return shown | {
        "role": api_tokens.role_of(row),
        "user": row.user.name if row.user else None,
        "valid": api_tokens.is_valid(row),
    }
