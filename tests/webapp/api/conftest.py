"""Callers of the API: a client with a token of each role, on the install of the module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from core.access import api_tokens
from core.access.api_tokens import TokenInput
from core.access.roles import Role
from jobs import tasks
from tests.webapp.world import World


class Caller:
    """A script with a token; "" for none."""

    def __init__(self, app: Flask, token: str) -> None:
        self.client = app.test_client()
        self.token = token

    def call(self, method: str, path: str, json: Any = None, **headers: str) -> TestResponse:
        """Call `/api/backup` + path."""
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        url = path if path.startswith("/api") else f"/api/backup{path}"
        return self.client.open(url, method=method, json=json, headers=sent)

    def get(self, path: str, status: int = 200) -> Any:
        """Return the document at a path."""
        answer = self.call("GET", path)
        assert answer.status_code == status, answer.text
        return answer.json

    def send(self, method: str, path: str, json: Any = None, status: int = 200, **headers: str) -> Any:
        """Send a document, and return the one that comes back; None for no content."""
        answer = self.call(method, path, json, **headers)
        assert answer.status_code == status, answer.text
        return answer.json if answer.data else None


Call = Callable[[Role], Caller]


def make_token(app: Flask, role: Role, **more: Any) -> str:
    """Return the text of a new token of nobody's."""
    with app.app_context():
        return api_tokens.create(TokenInput(name=f"{role} script", role=role, **more), None)[1]


@pytest.fixture(scope="module")
def caller(world: World) -> Call:
    """Return a function that gives a caller by role."""
    known: dict[Role, Caller] = {}

    def find(role: Role) -> Caller:
        if role not in known:
            known[role] = Caller(world.app, make_token(world.app, role))
        return known[role]

    return find


@pytest.fixture(scope="module")
def admin(caller: Call) -> Caller:
    """Return a caller that may do everything."""
    return caller("admin")


@pytest.fixture
def enqueued(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the jobs that are put into the queue, instead of putting them there."""
    found: list[int] = []
    monkeypatch.setattr(tasks, "enqueue", found.extend)
    return found
