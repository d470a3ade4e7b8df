"""What a person decides about a channel, by kind, and what of it may be shown."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)

from core.errors import Invalid
from core.messaging import http_sender, outgoing

M = TypeVar("M", bound=BaseModel)
Kind: TypeAlias = Literal["webhook", "email", "apprise"]
Severity: TypeAlias = Literal["warning", "error"]

LONGEST_NAME = 100
MOST_RECIPIENTS = 20
_MAIL = re.compile(r"[^\s@<>,;:\"()\[\]\\]+@[^\s@<>,;:\"()\[\]\\]+\Z")
_SCHEME = re.compile(r"([a-z][a-z0-9.+-]*)://.+\Z", re.IGNORECASE)
# What would act on this machine instead of sending something.
_LOCAL = {
    "dbus", "file", "glib", "gnome", "growl", "kde", "macosx", "qt", "syslog", "windows", "xfce",
}  # fmt: skip


class WebhookTarget(BaseModel):
    """An address that takes JSON."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)
    url: str = Field(min_length=1, max_length=2000, repr=False)

    @property
    def place(self) -> str:
        """Say where it leads, without what may be secret."""
        return http_sender.place_of(self.url)

    def check(self) -> None:
        """Raise Invalid for an address that nothing may be sent to."""
        http_sender.check_url(self.url)


class AppriseTarget(BaseModel):
    """An Apprise URL: any of the services that Apprise knows."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)
    url: str = Field(min_length=1, max_length=2000, repr=False)

    @property
    def place(self) -> str:
        """Say which service it is; all the rest may be secret."""
        return f"{self.url.partition('://')[0].lower()}://…"

    def check(self) -> None:
        """Raise Invalid for what is no URL of a service elsewhere."""
        found = _SCHEME.match(self.url)
        if found is None or not self.url.isprintable():
            raise Invalid({"url": "An Apprise URL is scheme://…, such as slack://… or ntfys://host/topic."})
        if found[1].lower() in _LOCAL:
            raise Invalid({"url": f"{found[1]}:// shows messages on this machine only; it sends none."})


def _mail(text: str) -> str:
    if not text.isascii() or not _MAIL.match(text):
        raise ValueError("a mail address is name@host, in plain letters")
    return text


def _host(text: str) -> str:
    if not text.isprintable() or set(text) & set("/@ ") or not outgoing.is_name(text):
        raise ValueError("a host is a name or an address, such as mail.example.org")
    return text


def _addresses(value: object) -> object:
    return [part for part in re.split(r"[\s,;]+", value) if part] if isinstance(value, str) else value


Mail = Annotated[str, AfterValidator(_mail), Field(max_length=254)]
Mails = Annotated[list[Mail], BeforeValidator(_addresses), Field(min_length=1, max_length=MOST_RECIPIENTS)]


class EmailTarget(BaseModel):
    """A mail server and who gets mail. An empty user: without login."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)
    host: Annotated[str, AfterValidator(_host)] = Field(min_length=1, max_length=253)
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = Field(default="", max_length=200)
    password: str = Field(default="", max_length=500, repr=False)
    sender: Mail
    recipients: Mails

    @property
    def place(self) -> str:
        """Say who gets mail, and by which server."""
        shown = ", ".join(self.recipients[:3])
        more = f" and {len(self.recipients) - 3} more" if len(self.recipients) > 3 else ""
        return f"{shown}{more} by {self.host}"[:200]

    def check(self) -> None:
        """Raise Invalid for a login that would be sent in the open."""
        if self.user and self.security == "none" and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise Invalid({"security": "A password is only sent encrypted: choose STARTTLS or TLS."})


Target: TypeAlias = WebhookTarget | AppriseTarget | EmailTarget
TARGETS: Mapping[str, type[Target]] = {
    "webhook": WebhookTarget, "email": EmailTarget, "apprise": AppriseTarget,
}  # fmt: skip


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("a name has only visible characters, on one line")
    return text


def _blank_is_none(value: object) -> object:
    return None if value in ("", "0", 0) else value


class ChannelInput(BaseModel):
    """What every channel has. `configs` empty: all. `repeat_hours` None: told once."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True, hide_input_in_errors=True)
    name: Annotated[str, AfterValidator(_visible)] = Field(min_length=1, max_length=LONGEST_NAME)
    kind: Kind
    severity: Severity = "warning"
    configs: list[str] = Field(default_factory=list, max_length=1000)
    repeat_hours: Annotated[Annotated[int, Field(ge=1, le=720)] | None, BeforeValidator(_blank_is_none)] = 24
    tell_resolved: bool = True
    enabled: bool = True


def parse(data: Mapping[str, Any]) -> ChannelInput:
    """Return the input that `data` describes. Raises Invalid with a sentence by field."""
    return _validated(ChannelInput, data)


def parse_target(kind: str, data: Mapping[str, Any], known: Target | None = None) -> Target:
    """Return where a channel leads; what is blank and secret stays as it is `known`. Raises Invalid."""
    given = dict(data)
    if isinstance(known, EmailTarget):
        _keep_password(given, known)
    elif known is not None and not str(given.get("url", "")).strip():
        return known
    target: Target = _validated(TARGETS[kind], given)
    target.check()
    return target


def to_text(target: Target) -> str:
    """Return it as text, to be sealed."""
    return json.dumps(target.model_dump())


def from_text(kind: str, text: str) -> Target:
    """Return what was sealed. The first webhook was its bare address."""
    data = json.loads(text) if text.startswith("{") else {"url": text}
    return TypeAdapter[Target](TARGETS[kind]).validate_python(data)


def _keep_password(given: dict[str, Any], known: EmailTarget) -> None:
    """Use the password that is known, if nothing says who would get it instead."""
    same = all(str(given.get(name, "")).strip() == str(getattr(known, name)) for name in ("host", "user"))
    if not given.get("password") and given.get("user") and same:
        given["password"] = known.password


def _validated(schema: type[M], data: Mapping[str, Any]) -> M:
    try:
        return schema.model_validate(data)
    except ValidationError as error:
        found = {str(each["loc"][0] if each["loc"] else "form"): _sentence(each) for each in error.errors()}
        raise Invalid(found) from None


def _sentence(error: Mapping[str, Any]) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in ("missing", "string_too_short", "too_short"):
        text = "this must be filled in"
    return f"{text[:1].upper()}{text[1:]}."
