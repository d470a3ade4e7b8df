"""Schemathesis sends what the API's description allows, and what it does not: never a 5xx but 503, never an
answer that is not described."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from core.configs import configs
from core.errors import Unreachable
from core.hosts import host_confirm
from core.messaging import apprise_sender, channels
from core.messaging.outgoing import SendFailed
from core.storages import providers, storage_setup
from jobs import tasks
from sources.preview import Preview
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageUnavailable
from tests.webapp.api.conftest import make_token
from tests.webapp.world import World
from webapp.api import door
from webapp.api.door import Operation

# 2,000 in all, and ten times that in the slow suite: of each call, what fits and what does not.
EXAMPLES = 2000 // (2 * len(door.OPERATIONS))
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance]


@pytest.fixture(scope="module")
def description(world: World) -> Any:
    """Return the description as the live app gives it; cases of it are sent to that app."""
    return schemathesis.openapi.from_wsgi("/api/openapi.json", world.app)


@pytest.fixture
def token(world: World) -> str:
    """Return a token for this call: an earlier one may have been revoked by chance."""
    return make_token(world.app, "admin")


@pytest.fixture(autouse=True)
def harmless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep what is made up from reaching real servers, and from making storages outside of tmp_path."""
    make, check = providers.make_adapter, storage_setup.check

    def make_local(place: providers.Place, *more: Any) -> StorageAdapter:
        if place.provider != "local":
            raise StorageUnavailable("no server is asked in this test")
        return make(place, *more)

    def check_below(data: Any, *more: Any) -> Any:
        if data.provider == "local":
            data = data.model_copy(update={"path": f"{tmp_path}/{data.path.replace('/', '_')[:50]}"})
        return check(data, *more)

    monkeypatch.setattr(providers, "make_adapter", make_local)
    monkeypatch.setattr(storage_setup, "check", check_below)

    def send_nothing(*asked: Any) -> Any:
        raise SendFailed("no message is sent in this test")

    def read_nothing(*asked: Any, **more: Any) -> Preview:
        return Preview(0, 0, [], [], [], complete=True)

    monkeypatch.setattr(channels, "send", send_nothing)
    monkeypatch.setattr(apprise_sender, "check", lambda url: None)
    monkeypatch.setattr(configs, "preview", read_nothing)

    def show_nothing(*asked: Any) -> Any:
        raise Unreachable("no host is asked in this test")

    monkeypatch.setattr(host_confirm, "shown_by", show_nothing)
    monkeypatch.setattr(tasks, "enqueue", lambda ids: None)


@pytest.mark.parametrize(
    "mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["fits", "does-not-fit"]
)
@pytest.mark.parametrize("examples", [EXAMPLES, pytest.param(10 * EXAMPLES, marks=pytest.mark.slow)])
@pytest.mark.parametrize("made", door.OPERATIONS, ids=[made.name for made in door.OPERATIONS])
def test_every_answer_is_described(
    description: Any, token: str, made: Operation, mode: GenerationMode, examples: int
) -> None:
    if mode == GenerationMode.NEGATIVE and not (
        made.parameters or made.query or made.body or made.method == "POST"
    ):
        return  # nothing can be sent that does not fit
    # Cases are handed to the app directly: nobody would unpack what it sends packed.
    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "identity"}

    @given(case=description[made.address][made.method].as_strategy(generation_mode=mode))
    @settings(max_examples=examples, suppress_health_check=list(HealthCheck), deadline=None, database=None)
    def check(case: Any) -> None:
        response = case.call(headers=headers)
        assert response.status_code < 500 or response.status_code == 503, response.text
        case.validate_response(response, checks=CHECKS, headers=headers)

    check()
