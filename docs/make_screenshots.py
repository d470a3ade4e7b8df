"""Make the pictures of the README: start Holdfast on a throw-away folder and do what a person does; then look
at an install with a month behind it.

Run by `make screenshots`; needs chromium. A new folder that is named after it holds that install, as its path
is seen in the pictures.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(PROJECT))

from playwright.sync_api import Browser, Page, expect  # noqa: E402

from docs import showcase  # noqa: E402
from tests.e2e import walk  # noqa: E402
from tests.e2e.installed import Installed  # noqa: E402
from tests.servers import s3  # noqa: E402
from tests.webapp.served import open_as, served  # noqa: E402

IMAGES = PROJECT / "docs" / "images"
WIDE = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 780}
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
# Scheme, window, and by name of the picture what is pressed, from the Overview on.
SHOWN = (
    ("light", WIDE, {"overview-light": [], "config-light": ["Wiki"]}),
    ("dark", WIDE, {"browse-dark": ["Wiki", "Look inside"]}),
    ("dark", PHONE, {"phone-dark": []}),
)
CONFIGS = {"Team documents": "/usr/share/doc", "Server settings": "/etc", "Shared programs": "/usr/share"}


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
        with served(world.app) as url, walk.chromium(CHROMIUM) as browser:
            for scheme, size, pictures in SHOWN:
                more = {"viewport": size, "color_scheme": scheme}
                with open_as(browser, url, world.app, world.user_ids["admin"], **more) as context:
                    page = context.new_page()
                    for name, steps in pictures.items():
                        page.goto(url)
                        for words in steps:
                            page.get_by_role("link", name=words).first.click()
                            page.wait_for_load_state()
                        take(page, name)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def take_real() -> None:
    """Take what is seen while a backup runs, and storages of two kinds."""
    home = Path(tempfile.mkdtemp(prefix="holdfast-screenshots-"))
    holdfast = Installed(PROJECT, {"HOLDFAST_DATA_DIR": str(home / "data")})
    holdfast.start()
    try:
        with walk.chromium(CHROMIUM) as browser:
            take_all(browser, holdfast, home)
    finally:
        holdfast.stop()
        shutil.rmtree(home, ignore_errors=True)


def take_all(browser: Browser, holdfast: Installed, home: Path) -> None:
    """Set up, back up, and take each picture on the way."""
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    walk.set_up(page, holdfast.setup_link(), home / "backups")
    for name, path in CONFIGS.items():
        if page.url != f"{holdfast.url}/setup/config":
            page.goto(f"{holdfast.url}/configs/new")
        walk.first_config(page, name, [path])
        if name == "Shared programs":
            wait_for_half(page)
            take(page, "job-light")
        walk.watch_job(page)
    take_copies(page, holdfast.url, home)


def wait_for_half(page: Page) -> None:
    """Wait until the bar of the running job is well on its way."""
    expect(page.locator(walk.PROGRESS)).to_contain_text("Running", timeout=20_000)
    share = f"document.querySelector('{walk.PROGRESS} progress')?.position ?? 1"
    while 0 <= page.evaluate(share) < 0.3 or page.evaluate(share) == -1:
        page.wait_for_timeout(100)


def take_copies(page: Page, url: str, home: Path) -> None:
    """Add a bucket and another disk, and let a config keep copies there."""
    (home / "s3" / s3.BUCKET).mkdir(parents=True)
    with s3.serving(home / "s3") as server:
        walk.add_bucket(page, url, "Bucket elsewhere", server.settings)
        walk.add_disk(page, url, "Disk in the safe", home / "safe")
        page.goto(f"{url}/configs")
        page.get_by_role("link", name="Team documents").click()
        walk.copy_to(page, "Bucket elsewhere")
        walk.sync(page)
        page.locator("#destinations").scroll_into_view_if_needed()
        take(page, "copies-light")
        page.goto(f"{url}/storages")
        take(page, "storages-light")


def take(page: Page, name: str) -> None:
    """Keep what the window shows."""
    page.wait_for_timeout(400)
    page.screenshot(path=str(IMAGES / f"{name}.png"))
    print(f"docs/images/{name}.png")  # noqa: T201


if __name__ == "__main__":
    main()
