"""Calls about users: list, add, change role and password, keep out, let in again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import url_for
from pydantic import BaseModel, ConfigDict, Field

from core.access import second_factor, users
from core.access.roles import Role
from core.models import User
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out
from webapp.api.door import Body, Given

_STRICT = ConfigDict(extra="forbid", hide_input_in_errors=True)


class UserOut(Out):
    """A person who may log in. `secondFactor`: their logins ask for a code, too."""

    id: int
    name: str
    role: Role
    disabled: bool
    second_factor: bool
    created_at: datetime
    last_login_at: datetime | None


class NewUser(BaseModel):
    """Who may log in."""

    model_config = _STRICT

    name: str = Field(min_length=1, max_length=users.LONGEST_NAME)
    password: str = Field(max_length=users.LONGEST_PASSWORD, repr=False)
    role: Role = "viewer"


class RoleChange(BaseModel):
    """What they may do."""

    model_config = _STRICT

    role: Role


class PasswordChange(BaseModel):
    """The new password."""

    model_config = _STRICT

    password: str = Field(max_length=users.LONGEST_PASSWORD, repr=False)


@door.operation("GET", "/backup/users", "admin", query=queries.Paged, answer=ListOut[UserOut])
def list_users(query: queries.Paged) -> Any:
    """List the users by name."""
    return answers.part(users.list_all(), _given, query)


@door.operation("POST", "/backup/users", "admin", body=Body(NewUser), answer=UserOut, status=201)
def create_user(body: NewUser) -> Given:
    """Add a user. Tell them the password in person; they can change it."""
    made = users.create(body.name, body.password, body.role)
    return Given(_given(made), headers={"Location": url_for("api.get_user", user_id=made.id)})


@door.operation("GET", "/backup/users/<int:user_id>", "admin", answer=UserOut)
def get_user(user_id: int) -> UserOut:
    """Return a user."""
    return _given(users.get(user_id))


@door.operation(
    "PATCH", "/backup/users/<int:user_id>", "admin", body=Body(RoleChange), answer=UserOut, also=(409,)
)
def change_role(user_id: int, body: RoleChange) -> UserOut:
    """Change what a user may do, from their next call on. Refused for the last admin."""
    users.set_role(user_id, body.role)
    return _given(users.get(user_id))


@door.operation("PUT", "/backup/users/<int:user_id>/password", "admin", body=Body(PasswordChange))
def set_user_password(user_id: int, body: PasswordChange) -> None:
    """Give a user a new password; all their logins end, and their tokens are revoked."""
    users.set_password(user_id, body.password)


@door.operation("POST", "/backup/users/<int:user_id>/disable", "admin", answer=UserOut, also=(409,))
def disable_user(user_id: int) -> UserOut:
    """Keep a user out; all their logins end, and their tokens are revoked. Refused for the last admin."""
    users.disable(user_id)
    return _given(users.get(user_id))


@door.operation("POST", "/backup/users/<int:user_id>/enable", "admin", answer=UserOut)
def enable_user(user_id: int) -> UserOut:
    """Let a disabled user log in again; their tokens stay revoked."""
    users.enable(user_id)
    return _given(users.get(user_id))


@door.operation("POST", "/backup/users/<int:user_id>/reset-totp", "admin", answer=UserOut)
def reset_second_factor(user_id: int) -> UserOut:
    """Let a user log in with the password alone, who has lost app and recovery codes."""
    second_factor.turn_off(users.get(user_id).id)
    return _given(users.get(user_id))


def _given(row: User) -> UserOut:
    return UserOut.model_validate(
        {
            "id": row.id, "name": row.name, "role": row.role, "disabled": row.disabled_at is not None,
            "second_factor": row.totp_confirmed_at is not None, "created_at": row.created_at,
            "last_login_at": row.last_login_at,
        }
    )  # fmt: skip
