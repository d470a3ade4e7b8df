"""What a person says about a host: one schema for the form and the commands. Secrets are never in a repr."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from core.errors import Invalid
from core.models import Host
from core.retention.retention_rules import blank_is_none
from sources.ssh import packing

LONGEST_NAME = 100
MOST_PARALLEL = 16
PARALLEL = 2
Login = Literal["keep", "made", "given", "password"]
Compression = packing.Compression

_ADDRESS = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?\Z")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\Z")


def _visible(name: str) -> str:
    if not name.isprintable():
        raise ValueError("a name has only visible characters, on one line")
    return name


def _check_address(text: str) -> str:
    if not _ADDRESS.match(text):
        raise ValueError("an address is a name or an IP address, such as web1.lan or 10.0.0.5")
    return text


def _check_user(text: str) -> str:
    if not _USER.match(text):
        raise ValueError("a user is a login name on the host, such as holdfast")
    return text


def _pem(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    return f"{text}\n" if text else ""


class HostInput(BaseModel):
    """All that a person decides about a host. `login`: with a key that is made here, with one that is given,
    with a password, or as it was before (`keep`, for a host that is known)."""

    # What was typed may be a secret: no error shows it.
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_visible)] = Field(min_length=1, max_length=LONGEST_NAME)
    address: Annotated[str, AfterValidator(_check_address)] = Field(min_length=1, max_length=200)
    port: Annotated[int, BeforeValidator(lambda value: blank_is_none(value) or 22)] = Field(
        default=22, ge=1, le=65_535
    )
    user: Annotated[str, AfterValidator(_check_user)] = Field(min_length=1, max_length=64)
    sudo: Annotated[bool, BeforeValidator(lambda value: value or False)] = False
    jump_id: Annotated[str | None, BeforeValidator(blank_is_none)] = None
    parallel_jobs: Annotated[int, BeforeValidator(lambda value: blank_is_none(value) or PARALLEL)] = Field(
        default=PARALLEL, ge=1, le=MOST_PARALLEL
    )
    compression: Annotated[Compression, BeforeValidator(lambda value: value or "auto")] = "auto"
    login: Annotated[Login, BeforeValidator(lambda value: value or "made")] = "made"
    private_key: Annotated[str, AfterValidator(_pem), Field(repr=False)] = ""
    passphrase: Annotated[str, Field(repr=False)] = ""
    password: Annotated[str, Field(repr=False)] = ""

    @model_validator(mode="after")
    def _drop_other_secrets(self) -> Self:
        """Take nothing that the chosen way to log in does not need."""
        if self.login != "given":
            self.private_key = self.passphrase = ""
        if self.login != "password":
            self.password = ""
        return self


def parse(data: Mapping[str, Any]) -> HostInput:
    """Return the input that flat `data` describes. Raises Invalid with a sentence by field."""
    problem: ValidationError | None = None
    if data.get("login") in (None, "", "keep") and (data.get("private_key") or data.get("password")):
        raise Invalid(
            {"login": "Say “given” to log in with this private key, “password” with this password."}
        )
    try:
        found = HostInput.model_validate(dict(data))
    except ValidationError as error:
        problem = error
    if problem is not None:  # not from inside the handler: nothing of the input may hang on the error
        raise Invalid(_sentences(problem))
    if found.login == "given" and not found.private_key:
        raise Invalid({"private_key": "Paste the private key, or let one be made here."})
    if found.login == "password" and not found.password:
        raise Invalid({"password": "Type the password, or let a key be made here."})
    return found


def to_form(host: Host) -> dict[str, Any]:
    """Return the fields of a host as a form shows them; no secrets."""
    return {
        "name": host.name, "address": host.address, "port": host.port, "user": host.user,
        "sudo": "yes" if host.sudo else "", "jump_id": host.jump_id or "",
        "parallel_jobs": host.parallel_jobs, "compression": host.compression, "login": "keep",
    }  # fmt: skip


def fill(host: Host, data: HostInput) -> None:
    """Write what an input says to a row: all but what logs in, which core.hosts.host_login seals for it."""
    host.name, host.address, host.port, host.user = data.name, data.address, data.port, data.user
    host.sudo, host.jump_id, host.parallel_jobs = data.sudo, data.jump_id, data.parallel_jobs
    host.compression = data.compression


def _sentences(error: ValidationError) -> dict[str, str]:
    fields: dict[str, str] = {}
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        name = str(problem["loc"][0]) if problem["loc"] else "name"
        fields.setdefault(name, _sentence(problem["msg"], problem["type"]))
    return fields


def _sentence(message: str, kind: str) -> str:
    if kind in ("missing", "string_too_short"):
        return "This is needed."
    text = message.removeprefix("Value error, ").removeprefix("Input ").strip()
    return f"{text[0].upper()}{text[1:].rstrip('.')}."
