"""Alerts and storages: seen, closed, tested."""

from __future__ import annotations

from core.alerting import alerts
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


def test_an_open_alert_is_counted_on_the_rail_until_it_is_seen(world: World, as_: As) -> None:
    browser = as_("operator")
    assert "1 alert needs you" in browser.get("/alerts").text
    assert 'count-bad">1<' in browser.fragment("/overview/rail?at=jobs").text
    seen = browser.post(f"/alerts/{world.alert_id}/acknowledge", htmx=True)
    assert problems_of(seen.text) == []
    assert "Seen by otto" in seen.text
    assert "count-bad" not in browser.fragment("/overview/rail?at=jobs").text
    assert "1 alert open, all seen" in browser.get("/alerts").text


def test_an_alert_is_closed_without_javascript(world: World, as_: As) -> None:
    browser = as_("operator")
    assert browser.post(f"/alerts/{world.alert_id}/resolve").headers["Location"] == "/alerts"
    page = browser.get("/alerts").text
    assert "Nothing needs you" in page
    assert "Resolved" in page


def test_the_rail_marks_the_page_it_is_on(world: World, as_: As) -> None:
    page = as_("viewer").get("/jobs").text
    assert page.count('aria-current="page"') == 1
    assert 'href="/jobs" aria-current="page"' in page
    assert 'href="/points" aria-current="page"' in as_("viewer").fragment("/overview/rail?at=points").text


def test_a_storage_is_tested_in_place(world: World, as_: As) -> None:
    browser = as_("operator")
    answer = browser.post(f"/storages/{world.storage_id}/test", htmx=True)
    assert "Wrote, read and deleted a probe" in answer.text
    assert problems_of(answer.text) == []
    assert browser.post(f"/storages/{world.storage_id}/test").headers["Location"] == "/storages"


def test_a_storage_that_is_gone_is_said_everywhere_and_comes_back(world: World, as_: As) -> None:
    browser, marker = as_("operator"), world.folder / "backups" / ".holdfast-storage"
    assert "and it answers" in browser.get("/storages").text
    kept = marker.read_bytes()
    marker.unlink()
    assert "1 storage cannot be reached" in browser.get("/storages").text
    answer = browser.post(f"/storages/{world.storage_id}/test", htmx=True)
    assert answer.status_code == 200
    assert "Unreachable" in answer.text
    page = browser.get("/storages").text
    assert "Unreachable since" in page
    assert "unreachable" in browser.get("/").text
    assert "needs you" in browser.get("/").text or "need you" in browser.get("/").text
    marker.write_bytes(kept)
    assert "Reachable" in browser.post(f"/storages/{world.storage_id}/test", htmx=True).text
    with world.app.app_context():
        assert not [alert for alert in alerts.list_open() if alert.kind == "unreachable"]
