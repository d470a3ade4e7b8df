"""`flask user token …`: tokens for scripts that use the API."""

from __future__ import annotations

from typing import get_args

import click

from core import inputs
from core.access import api_tokens, users
from core.access.api_tokens import LONGEST_DAYS, TokenInput
from core.access.roles import Role
from core.models import ApiToken
from webapp.commands.group import Group

token = Group("token", help="Make, list and revoke tokens for the API.")


@token.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(get_args(Role)), default="viewer", show_default=True)
@click.option("--days", type=click.IntRange(1, LONGEST_DAYS), default=90, show_default=True,
              help="How long it is valid.")  # fmt: skip
@click.option("--for-ever", is_flag=True, help="Valid until it is revoked.")
@click.option("--user", "owner", metavar="NAME", help="Whose it is: it ends when that user is disabled.")
def add(name: str, role: Role, days: int, for_ever: bool, owner: str | None) -> None:
    """Make a token and print it, alone on a line. It is shown only now."""
    data = inputs.validate(TokenInput, {"name": name, "role": role, "days": None if for_ever else days})
    made, text = api_tokens.create(data, users.find(owner) if owner else None)
    until = f"until {made.expires_at:%Y-%m-%d %H:%M} UTC" if made.expires_at else "until it is revoked"
    click.echo(f"Token {made.id}, {made.name}: {made.role}, valid {until}. It is shown only now:", err=True)
    click.echo(text)


@token.command("list")
def list_all() -> None:
    """List all tokens, the newest first."""
    for each in api_tokens.list_all():
        owner = f" of {each.user.name}" if each.user else ""
        click.echo(f"{each.id}  {each.name}{owner}  {each.hint}…  {api_tokens.role_of(each)}, {_state(each)}")


@token.command("revoke")
@click.argument("wanted", metavar="NAME|NUMBER")
def revoke(wanted: str) -> None:
    """Make a token useless, at once and for good."""
    revoked = api_tokens.revoke(api_tokens.find(wanted).id)
    click.echo(f"Revoked token {revoked.id}, {revoked.name}.")


def _state(each: ApiToken) -> str:
    used = f"last used {each.last_used_at:%Y-%m-%d %H:%M} UTC" if each.last_used_at else "never used"
    if each.revoked_at is not None:
        return f"revoked, {used}"
    if not api_tokens.is_valid(each):
        return f"{'expired' if each.expires_at else 'its user is disabled'}, {used}"
    until = f"until {each.expires_at:%Y-%m-%d}" if each.expires_at else "without end"
    return f"{until}, {used}"
