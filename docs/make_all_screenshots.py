"""Make pictures of all pages: full and empty, on a desktop and a phone, light and dark.

`python docs/make_all_screenshots.py FOLDER`; needs chromium. They are to be looked at, not to be kept.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT))

from flask import Flask  # noqa: E402
from playwright.sync_api import Browser  # noqa: E402

from docs import showcase  # noqa: E402
from tests.e2e import walk  # noqa: E402
from tests.webapp.served import open_as, served  # noqa: E402
from tests.webapp.test_in_browser import EMPTY, MORE, whole_pages  # noqa: E402
from tests.webapp.test_pages import addresses  # noqa: E402
from tests.webapp.world import browse_as  # noqa: E402

MOST_HIGH = 4000


def main() -> None:
    """Make all pictures in the folder that is named."""
    folder = Path(sys.argv[1])
    home = Path(tempfile.mkdtemp(prefix="holdfast-showcase-"))
    try:
        with walk.chromium(shutil.which("chromium") or "/usr/bin/chromium") as browser:
            world = showcase.make(home / "full")
            client = browse_as(world.app, "admin", world.user_ids["admin"])
            pages = whole_pages(client, [*addresses(world), *(one.format(**vars(world)) for one in MORE)])
            take_all(browser, world.app, world.user_ids["admin"], [*pages, "/nothing-here"], folder / "full")
            take_all(browser, showcase.empty(home / "empty"), 1, EMPTY, folder / "empty")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def take_all(browser: Browser, app: Flask, user_id: int, pages: Iterable[str], folder: Path) -> None:
    """Take each page in each look."""
    with served(app) as url:
        for look, size, scheme in showcase.looks():
            more = {"viewport": size, "color_scheme": scheme}
            with open_as(browser, url, app, user_id, **more) as context:
                page = context.new_page()
                for path in pages:
                    page.goto(f"{url}{path}")
                    page.wait_for_timeout(150)
                    place = folder / look / f"{name_of(path)}.png"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    high = min(MOST_HIGH, page.evaluate("document.documentElement.scrollHeight"))
                    clip = {"x": 0, "y": 0, "width": size["width"], "height": high}
                    page.screenshot(path=str(place), full_page=True, clip=clip)


def name_of(path: str) -> str:
    """Return a page's address as a file name."""
    return re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[:80] or "overview"


if __name__ == "__main__":
    main()
