"""What holds for all pages: sound HTML, strict headers, one root for each fragment, kind errors."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from core import setup
from tests.webapp.access.test_access import ROUTES, address, methods
from tests.webapp.conftest import As
from tests.webapp.html import parse, problems_of
from tests.webapp.world import NASTY, NASTY_FOLDER, ROLES, Browser, World
from webapp import security
from webapp.security import CONTENT_SECURITY_POLICY

FRAGMENTS = (
    "overview.board",
    "overview.rail",
    "configs.head",
    "configs.facts",
    "configs.points",
    "configs.folders",
    "configs.destinations",
    "jobs.head",
    "jobs.detail",
    "jobs.progress",
    "points.folder",
    "points.card",
)
MORE_PAGES = (
    "/jobs?from=2026-01-01&to=2030-01-01",
    "/storages/new",
    "/storages/new?provider=local",
    "/storages/new?provider=sftp",
    "/jobs?kind=restore&status=completed",
    "/jobs?status=cancelled",
    "/jobs/{failed_job_id}?lines=problems",
    "/jobs/{queued_job_id}",
    "/jobs/{restore_job_id}",
    "/jobs/{queued_job_id}/progress",
    "/configs/{config_id}?range=all",
    "/configs/{config_id}/points?range=365",
    "/points?config={config_id}",
    "/points/{point_id}?path=Lw",
    "/nothing-here",
    "/jobs/999999",
)


def addresses(world: World) -> list[str]:
    pages = [address(world, name) for name in ROUTES if "GET" in methods(world, name) and name != "static"]
    return [*pages, *(url.format(**vars(world)) for url in MORE_PAGES)]


@pytest.mark.parametrize("role", ["stranger", *ROLES])
def test_every_page_is_sound_html(role: str, world: World, as_: As) -> None:
    browser, wrong, seen = as_(role), {}, 0
    for url in addresses(world):
        with browser.get(url) as response:
            if response.mimetype == "text/html" and response.status_code != 303:
                seen += 1
                if found := problems_of(response.text):
                    wrong[url] = found
    assert wrong == {}
    assert seen >= (2 if role == "stranger" else 25)


def test_every_page_has_the_headers(world: World, as_: As) -> None:
    browser = as_("admin")
    for url in addresses(world):
        with browser.get(url) as response:
            assert response.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert response.headers["X-Frame-Options"] == "DENY"
            assert response.headers["Cache-Control"] == "no-store", url


def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    assert "unsafe" not in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; script-src 'self'; style-src 'self'")


@pytest.mark.parametrize("endpoint", FRAGMENTS)
def test_a_fragment_is_one_element_with_an_id(endpoint: str, world: World, as_: As) -> None:
    page = as_("admin").fragment(address(world, endpoint)).text
    assert not page.lstrip().startswith("<!doctype")
    assert problems_of(page) == []


@pytest.mark.parametrize(
    "endpoint", ["configs.head", "configs.facts", "configs.points", "configs.destinations", "overview.board"]
)
def test_a_fragment_replaces_itself_on_its_page(endpoint: str, world: World, as_: As) -> None:
    browser = as_("admin")
    page = browser.get("/" if endpoint.startswith("overview") else f"/configs/{world.config_id}").text
    fragment = browser.fragment(address(world, endpoint)).text
    root = re.search(r'id="([^"]+)"', fragment)
    assert root is not None
    assert f'id="{root[1]}"' in page


def test_static_files_are_kept_for_ever_by_their_content(world: World, as_: As) -> None:
    browser = as_("stranger")
    page = browser.get("/login").text
    assets = re.findall(r'(?:href|src)="(/static/[^"#]+)', page)
    assert len(assets) > 8
    for url in set(assets):
        assert "?v=" in url
        with browser.get(url) as response:
            assert response.status_code == 200
            assert "immutable" in response.headers["Cache-Control"]


def test_every_icon_named_is_in_the_sprite(world: World, as_: As) -> None:
    browser = as_("admin")
    with browser.get("/static/vendor/lucide-1.62.0.svg") as response:
        there = set(re.findall(r'<symbol id="([^"]+)"', response.text))
    for url in addresses(world):
        with browser.get(url) as response:
            if response.mimetype == "text/html":
                assert set(re.findall(r"lucide-1\.62\.0\.svg[^#\"]*#([^\"]+)", response.text)) <= there, url


def test_the_address_of_the_icons_is_made_once_a_page(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    add_version = security._add_version

    def note(app: Flask, endpoint: str, values: dict[str, str]) -> None:
        asked.append(values.get("filename", ""))
        add_version(app, endpoint, values)

    monkeypatch.setattr(security, "_add_version", note)
    for _ in range(2):
        asked.clear()
        assert as_("admin").get("/components").text.count("lucide-1.62.0.svg?v=") > 100
        assert asked.count("vendor/lucide-1.62.0.svg") == 1


def test_names_of_files_and_people_are_only_text(world: World, as_: As) -> None:
    browser = as_("admin")
    tree = browser.get(f"/points/{world.point_id}").text
    assert "<script>alert" not in tree
    assert "<img" not in tree
    assert "<b>nowhere" not in tree
    words = " ".join(parse(tree).itertext())
    assert NASTY in words
    assert NASTY_FOLDER in words
    assert "<b>nowhere</b>" in words
    assert "latin-\\xe9.txt" in tree
    assert "<b>spare</b>" not in browser.get("/settings").text


def test_an_unknown_page_says_so(world: World, as_: As) -> None:
    response = as_("viewer").get("/jobs/424242")
    assert response.status_code == 404
    assert "There is no job 424242." in response.text


def test_a_page_for_others_says_so(world: World, as_: As) -> None:
    response = as_("viewer").get("/configs/new")
    assert response.status_code == 403
    assert "not for your role" in response.text


def test_a_fault_of_ours_shows_an_id_that_is_in_the_log(
    world: World, as_: As, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from core.alerting import alerts

    def fail() -> int:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(alerts, "list_recent", fail)
    response = as_("admin").get("/alerts")
    assert response.status_code == 500
    assert "secret detail" not in response.text
    found = re.search(r"Error id <code>([0-9a-f]{8})</code>", response.text)
    assert found is not None
    assert f"error {found[1]} at GET /alerts" in caplog.text


def test_an_error_for_htmx_is_a_notice_not_a_page(world: World, as_: As) -> None:
    response = as_("operator").post("/jobs/424242/cancel", htmx=True)
    assert response.status_code == 404
    assert '"notice": {"value": "There is no job 424242."}' in response.headers["HX-Trigger"]


def test_the_pages_of_an_empty_install_teach(fresh: Flask) -> None:
    from tests.webapp.test_setup import set_up

    browser = set_up(Browser(fresh))
    for url in ("/", "/configs", "/jobs", "/points", "/restores", "/alerts", "/storages", "/settings"):
        page = browser.get(url)
        assert page.status_code == 200
        assert problems_of(page.text) == [], url
    assert "Choose what to back up" in browser.get("/").text
    with fresh.app_context():
        assert setup.stage() == "config"


@pytest.mark.parametrize("place", ["points", "jobs", "settings/users"])
def test_a_number_that_no_row_can_have_is_not_found(place: str, as_: As) -> None:
    assert as_("admin").get(f"/{place}/99999999999999999999999").status_code == 404
