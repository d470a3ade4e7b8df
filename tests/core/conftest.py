"""A prepared install in a folder of its own, with the database context the services need."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from flask import Flask

from core import app_state
from core.db import db
from core.settings import Settings, load
from core.storages import storages
from repository.keyfile import KdfParams
from tests.cheap import let_passwords_be_cheap
from tests.prepared import lay_database


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> None:
    """Let passwords cost little to check."""
    let_passwords_be_cheap()


@pytest.fixture
def environ(tmp_path: object) -> dict[str, str]:
    """Return a small environment whose folders all lie in tmp_path."""
    return {
        "HOLDFAST_DATA_DIR": os.path.join(str(tmp_path), "data"),
        "BACKUP_DIR": os.path.join(str(tmp_path), "backups"),
        "TZ": "Europe/Berlin",
    }


@pytest.fixture
def settings(environ: dict[str, str]) -> Settings:
    """Return the settings of `environ`, with the process prepared for them."""
    found = load(environ)
    lay_database(found)
    app_state.prepare(found)
    return found


@pytest.fixture(autouse=True)
def cheap_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let new repositories cost little to open; restic takes them all the same."""
    monkeypatch.setattr(storages, "KDF", KdfParams(n=1024, r=8, p=1))


@pytest.fixture
def context(settings: Settings) -> Iterator[Flask]:
    """Hold an application context on a fresh, migrated database."""
    app = Flask("tests")
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    db.init_app(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()
