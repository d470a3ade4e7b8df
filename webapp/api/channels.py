"""Calls about channels: list, make, change, test, delete."""

from __future__ import annotations

from typing import Any

from flask import g, url_for

from core.errors import HoldfastError
from core.messaging import channels
from webapp.api import answers, door, queries
from webapp.api.answers import ListOut, Out
from webapp.api.channel_shape import ChannelOut, ChannelRequest, channel, parse
from webapp.api.door import Body, Given
from webapp.settings import transfer

_BODY = Body(ChannelRequest, parse=dict)


class SentOut(Out):
    """How a test message went; `text`: why it did not arrive."""

    ok: bool
    text: str


@door.operation("GET", "/backup/channels", "admin", query=queries.Paged, answer=ListOut[ChannelOut])
def list_channels(query: queries.Paged) -> Any:
    """List the channels by name."""
    return answers.part(channels.list_all(), channel, query)


@door.operation("POST", "/backup/channels", "admin", body=_BODY, answer=ChannelOut, status=201)
def create_channel(body: dict[str, Any]) -> Given:
    """Make a channel. What is open already is not told to it."""
    channel_id = channels.create(*parse(body)).id
    transfer.follow()
    where = url_for("api.get_channel", channel_id=channel_id)
    return Given(channel(channels.get(channel_id)), headers={"Location": where})


@door.operation("GET", "/backup/channels/<int:channel_id>", "admin", answer=ChannelOut)
def get_channel(channel_id: int) -> ChannelOut:
    """Return a channel, without its secrets."""
    return channel(channels.get(channel_id))


@door.operation("PUT", "/backup/channels/<int:channel_id>", "admin", body=_BODY, answer=ChannelOut)
def replace_channel(channel_id: int, body: dict[str, Any]) -> ChannelOut:
    """Change a channel; what is not named stays. A password stays only for the same server and user."""
    return channel(channels.update(channel_id, *parse(body, channels.get(channel_id))))


@door.operation("DELETE", "/backup/channels/<int:channel_id>", "admin")
def delete_channel(channel_id: int) -> None:
    """Remove a channel, and what was to be sent to it."""
    channels.delete(channel_id)


@door.operation("POST", "/backup/channels/<int:channel_id>/test", "admin", answer=SentOut)
def test_channel(channel_id: int) -> SentOut:
    """Send a test message now."""
    channels.get(channel_id)
    try:
        return SentOut(ok=True, text=channels.test(channel_id))
    except HoldfastError as error:
        g.audit_result = "failed"
        return SentOut(ok=False, text=str(error))
