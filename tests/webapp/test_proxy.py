"""Behind a reverse proxy: its word about address and scheme counts when told so, and only then."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask, request

from core.settings import SettingsError, load
from tests.webapp.world import environ
from webapp import create_app

FORWARDED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https"}


def seen_by(app: Flask) -> tuple[str | None, bool]:
    with app.test_client() as client:
        client.get("/login", headers=FORWARDED)
        return request.remote_addr, request.is_secure


def test_without_the_setting_nobody_may_say_where_they_come_from(tmp_path: Path) -> None:
    assert seen_by(create_app(load(environ(tmp_path)))) == ("127.0.0.1", False)


def test_one_proxy_is_believed(tmp_path: Path) -> None:
    assert seen_by(create_app(load({**environ(tmp_path), "HOLDFAST_PROXIES": "1"}))) == ("203.0.113.9", True)


def test_a_bad_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_PROXIES is 'yes'"):
        load({**environ(tmp_path), "HOLDFAST_PROXIES": "yes"})
