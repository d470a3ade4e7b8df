"""Make the pictures of the README: start Holdfast on a throw-away folder and do what a person does; then look
at an install with a month behind it.

Run by `make screenshots`; needs chromium. A new folder that is named after it holds that install, as its path
is seen in the pictures. Those that are committed were given a palette of 128 colours: a third of the size.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT))

from playwright.sync_api import Browser, Page, expect  # noqa: E402

from docs import showcase  # noqa: E402
from tests.e2e import walk  # noqa: E402
from tests.e2e.installed import Installed  # noqa: E402
from tests.webapp.served import open_as, served  # noqa: E402

IMAGES = PROJECT / "docs" / "images"
WIDE = {"width": 1200, "height": 750}
PHONE = {"width": 390, "height": 750}
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
# By name of the picture what is pressed, from the Overview on.
SHOWN = {
    "overview": (),
    "config": ("Wiki",),
    "browse": ("Wiki", "Look inside"),
    "storage": ("Storages", "Backup disk"),
}
CONFIGS = {"Team documents": "/usr/share/doc", "Shared programs": "/usr/share"}


def main() -> None:
    """Make all pictures anew."""
    IMAGES.mkdir(exist_ok=True)
    take_real()
    named = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp(prefix="srv-")) / "team"
    take_showcase(named)


def take_showcase(home: Path) -> None:
    """Take what a month of backups looks like. Raises FileExistsError for a folder that is there already."""
    home.mkdir(parents=True)
    try:
        world = showcase.make(home, trouble=False)
        with (
            served(world.app) as url,
            walk.chromium(CHROMIUM) as browser,
            open_as(browser, url, world.app, world.user_ids["admin"], viewport=WIDE) as context,
        ):
            take_pages(context.new_page(), url)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def take_pages(page: Page, url: str) -> None:
    """Take the pages of an install that is in use."""
    for name, steps in SHOWN.items():
        go(page, url, steps)
        take(page, name)
    take_restore(page, url)
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.goto(url)
    take(page, "phone")


def go(page: Page, url: str, steps: Iterable[str]) -> None:
    """Open the Overview and press one link after the other."""
    page.goto(url)
    for words in steps:
        page.get_by_role("link", name=words).first.click()
        page.wait_for_load_state()


def take_restore(page: Page, url: str) -> None:
    """Take the last step before a restore: its dry run, and all of it in words."""
    go(page, url, ("Wiki", "Look inside", "Restore all of it", "Next: where to"))
    page.get_by_label("Folder on this machine").fill("/srv/restored")
    page.get_by_role("link", name="Next: check").click()
    expect(page.locator("#restore-check")).to_contain_text("It can go there")
    take(page, "restore")


def take_real() -> None:
    """Take what is seen while a backup runs."""
    home = Path(tempfile.mkdtemp(prefix="holdfast-screenshots-"))
    holdfast = Installed(PROJECT, {"HOLDFAST_DATA_DIR": str(home / "data")})
    holdfast.start()
    try:
        with walk.chromium(CHROMIUM) as browser:
            take_job(browser, holdfast, home)
    finally:
        holdfast.stop()
        shutil.rmtree(home, ignore_errors=True)


def take_job(browser: Browser, holdfast: Installed, home: Path) -> None:
    """Set up, back up, and take the second backup on its way."""
    page = browser.new_context(viewport=WIDE).new_page()  # type: ignore[arg-type]
    walk.set_up(page, holdfast.setup_link(), home / "backups")
    for name, path in CONFIGS.items():
        if page.url != f"{holdfast.url}/setup/config":
            page.goto(f"{holdfast.url}/configs/new")
        walk.first_config(page, name, [path])
        if name == "Shared programs":
            wait_for_part(page)
            take(page, "job")
        walk.watch_job(page)


def wait_for_part(page: Page) -> None:
    """Wait until the bar of the running job is well on its way."""
    expect(page.locator(walk.PROGRESS)).to_contain_text("Running", timeout=20_000)
    share = f"document.querySelector('{walk.PROGRESS} progress')?.position ?? 1"
    while 0 <= page.evaluate(share) < 0.3 or page.evaluate(share) == -1:
        page.wait_for_timeout(100)


def take(page: Page, name: str) -> None:
    """Keep what the window shows, light and dark."""
    for scheme in SCHEMES:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_timeout(300)
        page.screenshot(path=str(IMAGES / f"{name}-{scheme}.png"))
        print(f"docs/images/{name}-{scheme}.png")  # noqa: T201


if __name__ == "__main__":
    main()
