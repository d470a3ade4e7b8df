"""Pages by keyboard alone, in a real Chromium: all that can be pressed is reached, and nobody gets lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from core.alerting import alerts
from tests.conftest import need_program
from tests.e2e import walk
from tests.webapp.served import open_as, served
from tests.webapp.world import World

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1500)]

SLOW_MS = 30_000
PAGES = ("/", "/jobs", "/configs/{config_id}", "/points/{point_id}", "/storages", "/configs/new")
# Nothing is renewed meanwhile: what came in place of something would count as missed.
_WATCH = """() => {
    document.addEventListener("focusin", (event) => { event.target.dataset.reached = "yes"; });
    document.addEventListener("htmx:beforeRequest", (event) => event.preventDefault());
}"""
# Of a group of radio buttons the arrows reach the others.
_MISSED = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
    .filter((each) => each.checkVisibility({visibilityProperty: true}))
    .filter((each) => !each.disabled && each.tabIndex >= 0)
    .filter((each) => each.type !== "radio" && each.dataset.reached !== "yes")
    .map((each) => each.outerHTML.slice(0, 120))"""
_OUTLINED = "() => getComputedStyle(document.activeElement).outlineStyle !== 'none'"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with walk.chromium(need_program("chromium")) as found:
        yield found


@pytest.fixture
def page(browser: Browser, world: World) -> Iterator[Page]:
    with (
        served(world.app) as url,
        open_as(
            browser,
            url,
            world.app,
            world.user_ids["admin"],
            base_url=url,
            viewport={"width": 1280, "height": 900},
        ) as context,
    ):
        yield context.new_page()


@pytest.mark.parametrize("path", PAGES)
def test_tab_reaches_all_that_can_be_pressed(path: str, page: Page, world: World) -> None:
    page.goto(path.format(**vars(world)))
    page.evaluate(_WATCH)
    for _ in range(400):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
    assert page.evaluate(_MISSED) == []


def test_the_first_tab_leads_past_the_rail(page: Page) -> None:
    page.goto("/jobs")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#main').contains(document.activeElement)")
    assert page.evaluate(_OUTLINED)


def test_what_comes_in_place_of_a_button_has_the_focus(page: Page, world: World) -> None:
    page.goto("/alerts")
    with world.app.app_context():
        number = alerts.list_open()[0].id
    page.locator(f"#alert-{number}-ack").focus()
    page.keyboard.press("Enter")
    expect(page.locator(f"#alert-{number}")).to_contain_text("Seen by anna", timeout=SLOW_MS)
    expect(page.locator(f"#alert-{number}")).to_be_focused()


def test_a_new_config_goes_in_steps_and_back_without_loss(page: Page) -> None:
    page.goto("/configs/new")
    what, when, where = (
        page.get_by_role("heading", name=name, level=2) for name in ("What", "When", "Where to")
    )
    page.get_by_label("Folders and files").fill("/srv/typed")
    page.get_by_role("link", name="Next: when").press("Enter")
    expect(when).to_be_focused()
    expect(what).to_be_hidden()
    page.get_by_role("radio", name="Cron line").check()
    page.get_by_role("link", name="Next: where to").click()
    expect(where).to_be_visible()
    page.go_back()
    expect(when).to_be_visible()
    page.go_back()
    expect(page.get_by_label("Folders and files")).to_have_value("/srv/typed")
    expect(page.locator("#config-summary")).to_contain_text("/srv/typed", timeout=SLOW_MS)


def test_what_is_wrong_in_another_step_is_shown(page: Page) -> None:
    page.goto("/configs/new#step-where")
    expect(page.get_by_label("Folders and files")).to_be_hidden()
    page.get_by_role("button", name="Save only").click()
    expect(page.get_by_label("Folders and files")).to_be_focused()


def test_arrows_go_along_the_time_axis_and_fill_the_tree_below(page: Page, world: World) -> None:
    page.goto(f"/configs/{world.config_id}")
    dots = page.locator("#points .timeline a")
    expect(dots.last).to_have_attribute("aria-current", "true")
    dots.last.focus()
    page.keyboard.press("ArrowLeft")
    picked = page.locator(f"#dot-{world.point_id}")
    expect(picked).to_be_focused()
    expect(page.locator("#points .timeline a[aria-current]")).to_have_id(f"dot-{world.point_id}")
    tree = page.locator("#picked-point #point-tree")
    expect(tree).to_contain_text("letters", timeout=SLOW_MS)
    expect(tree.locator("input[name=point_id]")).to_have_value(str(world.point_id))
    page.get_by_role("link", name="1 year").press("Enter")
    expect(page).to_have_url(re.compile("range=365"))
    expect(page.get_by_role("link", name="1 year")).to_have_attribute("aria-current", "true")


def test_a_restore_in_steps_loses_nothing_by_going_back(page: Page, world: World) -> None:
    page.goto(f"/restores/new?point_id={world.point_id}")
    words, target = page.locator("#restore-in-words"), world.folder / "by-keyboard"
    expect(words).to_contain_text("name a folder")
    page.get_by_role("link", name="Next: where to").press("Enter")
    page.get_by_label("Folder there", exact=True).fill(str(target))
    page.get_by_role("radio", name="Replace what is there", exact=True).check()
    expect(words).to_contain_text(str(target), timeout=SLOW_MS)
    page.get_by_role("link", name="Next: check").press("Enter")
    found = page.locator("#restore-check")
    expect(found).to_contain_text("It can go there", timeout=SLOW_MS)
    page.go_back()
    expect(page.get_by_label("Folder there", exact=True)).to_have_value(str(target))
    page.get_by_label("Folder there", exact=True).fill("nowhere")
    page.go_forward()
    expect(found).to_contain_text("Give the whole path", timeout=SLOW_MS)
    assert not target.exists()


def test_a_dry_run_is_shown_only_of_what_is_asked_for_now(page: Page, world: World) -> None:
    page.goto(f"/restores/new?point_id={world.point_id}#step-where")
    found, folder = page.locator("#restore-check"), page.get_by_label("Folder there", exact=True)
    first, second = str(world.folder / "first"), str(world.folder / "second")
    page.route("**/restores/check", lambda route: None)  # an answer that does not come
    folder.fill(first)
    page.get_by_role("link", name="Next: check").press("Enter")
    expect(found).to_contain_text("Looking at what stands there now", timeout=SLOW_MS)
    page.get_by_role("link", name="Back", exact=True).press("Enter")
    folder.fill(second)
    page.unroute("**/restores/check")
    page.get_by_role("link", name="Next: check").press("Enter")
    expect(found.locator("[data-found]")).to_contain_text(second, timeout=SLOW_MS)
    page.get_by_role("link", name="Back", exact=True).press("Enter")
    page.get_by_role("radio", name="Replace what is there", exact=True).check()
    expect(found.locator("[data-found]")).to_have_count(0)
    page.get_by_role("link", name="Next: check").press("Enter")
    expect(found.locator("[data-found]")).to_contain_text("Replace what is there", timeout=SLOW_MS)
    page.route("**/restores/check", lambda route: route.fulfill(status=500))
    page.get_by_role("button", name="Check again").press("Enter")
    expect(found).to_contain_text("A dry run tells", timeout=SLOW_MS)
    expect(found.locator("[data-found]")).to_have_count(0)
