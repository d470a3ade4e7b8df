"""`flask user …`: people who may log in. Passwords come from a prompt, a file or stdin only."""

from __future__ import annotations

import sys
from typing import TextIO, get_args

import click

from core.access import second_factor, users
from core.access.users import Role
from webapp.commands.group import Group
from webapp.commands.tokens import token

user = Group("user", help="Add, list and disable the people who may log in; tokens for scripts.")
user.add_command(token)

_PASSWORD_FILE = click.option(
    "--password-file", type=click.File(), metavar="FILE",
    help="Read the password from the first line of a file; - is stdin. Asked for on a terminal otherwise.",
)  # fmt: skip


@user.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(get_args(Role)), default="viewer", show_default=True)
@_PASSWORD_FILE
def add(name: str, role: Role, password_file: TextIO | None) -> None:
    """Add a user."""
    users.create(name, _password(password_file), role)
    click.echo(f"Added {name} as {role}.")


@user.command("list")
def list_all() -> None:
    """List all users."""
    for each in users.list_all():
        last = (
            f"last login {each.last_login_at:%Y-%m-%d %H:%M} UTC" if each.last_login_at else "never logged in"
        )
        disabled = ", disabled" if each.disabled_at else ""
        click.echo(f"{each.name}  {each.role}, {last}{disabled}")


@user.command("passwd")
@click.argument("name")
@_PASSWORD_FILE
def passwd(name: str, password_file: TextIO | None) -> None:
    """Give a user a new password; all their logins end, and their API tokens are revoked."""
    found = users.find(name)
    users.set_password(found.id, _password(password_file))
    click.echo(f"Changed the password of {name}. All logins of {name} were ended, and API tokens revoked.")


@user.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Keep a user from logging in; all their logins end, and their API tokens are revoked."""
    users.disable(users.find(name).id)
    click.echo(f"Disabled {name}.")


@user.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Let a disabled user log in again; their tokens stay revoked."""
    users.enable(users.find(name).id)
    click.echo(f"{name} may log in again.")


@user.command("role")
@click.argument("name")
@click.argument("role", type=click.Choice(get_args(Role)))
def set_role(name: str, role: Role) -> None:
    """Change what a user may do, from their next click on."""
    users.set_role(users.find(name).id, role)
    click.echo(f"{name} is {role} now.")


@user.command("reset-totp")
@click.argument("name")
def reset_totp(name: str) -> None:
    """Let a user log in with the password alone, who has lost app and recovery codes."""
    second_factor.turn_off(users.find(name).id)
    click.echo(f"{name} logs in with the password alone now, and can turn the second factor on again.")


def _password(file: TextIO | None) -> str:
    if file is None and sys.stdin.isatty():
        password: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return password
    line = (file or sys.stdin).readline().rstrip("\r\n")
    if not line:
        raise click.UsageError("No password was given: type it on a terminal, or use --password-file.")
    return line
