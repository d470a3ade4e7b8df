"""Every page asks the database for as much in an install of many configs as in one of few."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import busy_install, busy_real, busy_things, page_list, pages
from core.db import db
from core.retention import standings
from tests.webapp.world import make_app

FEW, MANY = 4, 16
# What a page may ask for more, once there is something to show at all.
SLACK = 4


def test_no_page_is_forgotten(tmp_path: Path) -> None:
    app = make_app(tmp_path)
    there = pages.get_endpoints(app)
    assert page_list.forgotten(there) == []
    assert (page_list.PAGES.keys() | page_list.LEFT_OUT.keys()) - set(there) == set()


def test_no_page_asks_for_each_config_job_point_or_alert(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy_real, "_FILES", 10)
    monkeypatch.setattr(busy_things, "RUNNING", 2)
    monkeypatch.setattr(busy_things, "_REPORTS", 2)
    monkeypatch.setattr(busy_things, "_HOSTS", 2)  # they are few, and each is asked about by itself
    monkeypatch.setattr(standings, "FEW", 0)
    few, many = (queries_of(tmp_path / f"{number}", number) for number in (FEW, MANY))
    assert len(few) > 100
    assert {name: (few[name], each) for name, each in many.items() if each > few[name] + SLACK} == {}
    assert {name: each for name, each in many.items() if each > 60} == {}


def queries_of(folder: Path, configs: int) -> dict[str, int]:
    """Return how many queries each page takes in an install of so many configs."""
    folder.mkdir()
    app = make_app(folder)
    with app.app_context():
        busy_install.fill(folder, configs, configs * 40, configs * 20)
        client, ids = pages.browser(app), pages.find_ids()
    found = {}
    for name, every in page_list.PAGES.items():
        for place, each in enumerate(every):
            with pages.counted() as queries, client.get(each.format(**ids)) as answer:
                assert answer.status_code in (200, 303), each
            found[f"{name} {place}"] = len(queries)
    with app.app_context():
        db.engine.dispose()
    return found
