"""Every page in a real Chromium: axe-core finds nothing, nothing scrolls sideways, no other host is asked."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

import pytest
from flask import Flask
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from tests.conftest import need_program
from tests.e2e import walk
from tests.webapp import axe
from tests.webapp.conftest import As
from tests.webapp.served import open_as, served
from tests.webapp.test_pages import addresses
from tests.webapp.test_setup import confirm, make_admin, make_storage, token_of
from tests.webapp.world import Browser as Client
from tests.webapp.world import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1500)]

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
MORE = (
    "/configs/new?type=database",
    "/configs/new?type=config",
    "/channels/new",
    "/channels/new?kind=webhook",
    "/channels/new?kind=apprise",
    "/restores/new?point_id={point_id}&as=files",
    "/points?config=none",
    "/jobs?status=cancelled",
)
EMPTY = (
    "/",
    "/configs",
    "/jobs",
    "/points",
    "/restores",
    "/alerts",
    "/trash",
    "/hosts",
    "/storages",
    "/channels",
    "/reports",
    "/setup/config",
)
_TOO_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter((each) => each.getBoundingClientRect().right > innerWidth + 1)
    .map((each) => `${each.tagName}.${each.className}`).slice(0, 5)"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with walk.chromium(need_program("chromium")) as found:
        yield found


@pytest.fixture(scope="module")
def url(world: World) -> Iterator[str]:
    with served(world.app) as found:
        yield found


class Watch:
    """What a page asks for and complains of."""

    def __init__(self, page: Page, url: str) -> None:
        self.own, self.hosts, self.errors = urlsplit(url).netloc, set[str](), list[str]()
        page.on("request", self._asked)
        page.on("pageerror", lambda error: self.errors.append(f"{page.url}: {error}"))
        page.on("console", self._said)

    def _asked(self, request: Request) -> None:
        if request.url.startswith("http"):
            self.hosts.add(urlsplit(request.url).netloc)

    def _said(self, message: ConsoleMessage) -> None:
        # A poll that is cut off by going to the next page is no error of this one.
        if message.type == "error" and not message.text.startswith("htmx:send"):
            self.errors.append(f"{message.location['url']}: {message.text}")


def whole_pages(client: Client, urls: list[str]) -> dict[str, str]:
    """Return the addresses that lead to a whole page, each with its text."""
    found = {}
    for url in dict.fromkeys(urls):
        with client.get(url) as answer:
            if (answer.status_code, answer.mimetype) == (200, "text/html") and answer.data[
                :9
            ] == b"<!doctype":
                found[url] = answer.text
    return found


def look(page: Page, first: str = "light") -> list[str]:
    """Look at an open page wide in one colour scheme, narrow in the other; return what is wrong."""
    page.emulate_media(color_scheme=first, reduced_motion="reduce")
    wrong = axe.problems(page)
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark" if first == "light" else "light", reduced_motion="reduce")
    wrong += axe.problems(page, by_look=True)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        wrong.append(f"on a phone it is wider than the screen: {page.evaluate(_TOO_WIDE)}")
    page.set_viewport_size(WIDE)
    return wrong


def look_at_all(page: Page, url: str, paths: Iterable[str]) -> dict[str, list[str]]:
    """Look at each page: light on a desktop and dark on a phone, the next one the other way round."""
    found = {}
    for path, scheme in zip(paths, itertools.cycle(("light", "dark"))):
        page.goto(f"{url}{path}")
        if wrong := look(page, scheme):
            found[path] = wrong
    return found


def test_every_page_is_sound_to_look_at(world: World, as_: As, browser: Browser, url: str) -> None:
    paths = whole_pages(as_("admin"), [*addresses(world), *(one.format(**vars(world)) for one in MORE)])
    assert len(paths) >= 60
    assert "/components" in paths
    with open_as(browser, url, world.app, world.user_ids["admin"], viewport=WIDE) as context:
        page = context.new_page()
        watch = Watch(page, url)
        assert look_at_all(page, url, paths) == {}
    assert watch.hosts == {watch.own}
    assert watch.errors == []


def test_an_empty_install_is_sound_to_look_at(fresh: Flask, browser: Browser) -> None:
    """Every step of set-up, as a person goes through it, and what the pages say when there is nothing yet."""
    with served(fresh) as url, browser.new_context(viewport=WIDE, reduced_motion="reduce") as context:
        page = context.new_page()
        watch = Watch(page, url)
        wrong = look_at_all(page, url, ["/setup", f"/setup?token={token_of(fresh)}"])
        client = make_admin(Client(fresh))
        wrong |= look_at_all(page, url, ["/login"])
        walk.log_in(page, url)
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "Where should backups be kept?", timeout=30_000
        )
        wrong |= look_at_all(page, url, ["/setup/storage"])
        make_storage(client)
        wrong |= look_at_all(page, url, ["/setup/recovery", "/setup/recovery/confirm"])
        confirm(client)
        assert wrong | look_at_all(page, url, EMPTY) == {}
    assert watch.hosts == {watch.own}
    assert watch.errors == []


def test_axe_finds_what_it_is_there_for(browser: Browser) -> None:
    with browser.new_context(viewport=WIDE) as context:
        page = context.new_page()
        page.set_content("<title>x</title><main><h1>x</h1><input><p style='color:#ccc'>pale</p></main>")
        found = look(page)
    assert any(line.startswith("label at") for line in found)
    assert any(line.startswith("color-contrast at") for line in found)
