"""An install per module for tests that look, and a fresh one for those that set up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from core.db import db
from core.storages import storages
from repository.keyfile import KdfParams
from tests.cheap import let_passwords_be_cheap
from tests.webapp import world as making
from tests.webapp.world import Browser, World

As = Callable[[str], Browser]


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> None:
    """Let passwords cost little to check."""
    let_passwords_be_cheap()


@pytest.fixture(scope="module", autouse=True)
def cheap_keys() -> Iterator[None]:
    """Let new repositories cost little to open."""
    before, storages.KDF = storages.KDF, KdfParams(n=1024, r=8, p=1)
    yield
    storages.KDF = before


def _close(app: Flask) -> None:
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, cheap_keys: None) -> Iterator[World]:
    """Return an install with everything in it."""
    made = making.make_world(tmp_path_factory.mktemp("world"))
    yield made
    _close(made.app)


@pytest.fixture(scope="module")
def as_(world: World) -> As:
    """Return a function that gives a logged-in browser by role."""
    return lambda role: making.browse_as(world.app, role, world.user_ids.get(role, 0))


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """Return an app that nobody has set up yet."""
    app = making.make_app(tmp_path_factory.mktemp("fresh"))
    yield app
    _close(app)
