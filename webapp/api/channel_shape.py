"""Channels as JSON: core's inputs with where it leads in `target`, of which secrets are never given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, create_model

from core import secrets
from core.errors import Invalid
from core.messaging import channel_inputs, channels
from core.messaging.channel_inputs import TARGETS, ChannelInput, EmailTarget, Kind, Severity, Target
from core.models import Channel
from webapp.api.answers import Out

# What answers hold beside what was decided: sent back, it decides nothing.
_FACTS = ("id", "place", "failing_since", "last_error", "last_sent_at", "tested_at", "test_ok", "test_result",
          "created_at")  # fmt: skip


def _request(kind: str, target: type[BaseModel]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in ChannelInput.model_fields.items() if name != "kind"
    }
    # A Literal made at run time: the kind is the key of the table.
    fields["kind"] = (Literal[kind], ...)
    fields["target"] = (target | None, None)
    strict = ConfigDict(extra="forbid", hide_input_in_errors=True)
    title = f"{kind.capitalize()}Channel"
    return create_model(title, __config__=strict, __doc__=target.__doc__, **fields)


_EMAIL, _WEBHOOK, _APPRISE = (_request(kind, TARGETS[kind]) for kind in ("email", "webhook", "apprise"))


class ChannelRequest(RootModel[Annotated[_EMAIL | _WEBHOOK | _APPRISE, Field(discriminator="kind")]]):  # type: ignore[valid-type]
    """What a person decides about a channel. A `target`, or its password, that is left out stays as it is."""


class ChannelOut(Out):
    """A way to tell people of alerts. `place`: where it leads, without a secret; `target`: of mail only."""

    id: int
    name: str
    kind: Kind
    place: str
    target: dict[str, Any] | None
    severity: Severity
    configs: list[str]
    repeat_hours: int | None
    tell_resolved: bool
    enabled: bool
    failing_since: datetime | None
    last_error: str
    last_sent_at: datetime | None
    tested_at: datetime | None
    test_ok: bool
    test_result: str
    created_at: datetime


def parse(data: Mapping[str, Any], known: Channel | None = None) -> tuple[ChannelInput, Target]:
    """Return core's inputs; what is not named stays as `known` has it. Raises Invalid by field."""
    sent = {name: value for name, value in data.items() if name not in (*_FACTS, "target")}
    if known is not None:
        if sent.get("kind", known.kind) != known.kind:
            raise Invalid({"kind": "A channel keeps its kind: make another channel."})
        sent = {**_stored(known), **sent}
    if str(sent.get("kind")) not in TARGETS:
        raise Invalid({"kind": f"There are: {', '.join(TARGETS)}."})
    return channel_inputs.parse(sent), _target(str(sent["kind"]), data.get("target"), known)


def channel(row: Channel) -> ChannelOut:
    """Return a channel as it is given."""
    shown = {name: getattr(row, name) for name in ChannelOut.model_fields if hasattr(row, name)}
    target = known_target(row)
    mail = target.model_dump(exclude={"password"}) if isinstance(target, EmailTarget) else None
    return ChannelOut.model_validate({**shown, "configs": row.config_ids, "target": mail})


def known_target(row: Channel) -> Target | None:
    """Return where a channel leads; None where that cannot be opened any more."""
    try:
        return channels.target_of(row)
    except secrets.SealBroken:
        return None


def _stored(row: Channel) -> dict[str, Any]:
    names = ("name", "kind", "severity", "repeat_hours", "tell_resolved", "enabled")
    return {name: getattr(row, name) for name in names} | {"configs": row.config_ids}


def _target(kind: str, given: Any, known: Channel | None) -> Target:
    if given is not None and not isinstance(given, dict):
        raise Invalid({"target": "Send an object."})
    before = known_target(known) if known is not None else None
    if given is None and before is not None:
        return before
    stored = before.model_dump(exclude={"password"}) if isinstance(before, EmailTarget) else {}
    try:
        return channel_inputs.parse_target(kind, {**stored, **(given or {})}, before)
    except Invalid as error:
        raise Invalid({f"target.{name}": text for name, text in error.fields.items()}) from None
