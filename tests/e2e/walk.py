"""What a person does in the browser, step by step; used by the tests and by the script of the screenshots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from storage_adapters.s3 import S3Settings

CHROMIUM = [
    "--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAME, PASSWORD = "anna", "correct horse battery"
BACKUP_MS = 180_000
PATIENCE_MS = 60_000  # for what a page shows at once: the machine may be busy
PROGRESS = "[id^=job-][id$=-progress]"


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """Start the machine's own Chromium."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM)
        yield browser
        browser.close()


def set_up(page: Page, link: str, storage: Path) -> str:
    """Go from the one-time link to a confirmed recovery key; return the key."""
    page.goto(link)
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Make the account").click()
    page.get_by_label("Folder").fill(str(storage))
    page.get_by_role("button", name="Keep backups here").click()
    expect(page.get_by_role("heading", name="Save your recovery key now")).to_be_visible()
    key = page.locator("#recovery-key-text").get_attribute("data-text") or ""
    page.get_by_role("link", name="I have saved it").click()
    for field in page.locator("input[name^=part_]").all():
        place = int((field.get_attribute("name") or "").removeprefix("part_"))
        field.fill(key.split("-")[place - 1])
    page.get_by_role("button", name="Confirm").click()
    expect(page.get_by_role("heading", name="What should be backed up first?")).to_be_visible()
    return key


def log_in(page: Page, url: str) -> None:
    """Log in as the first admin."""
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()


def first_config(page: Page, name: str, paths: list[str]) -> None:
    """Fill the form of the first config, look at the preview, save it and start the backup."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Folders and files").fill("\n".join(paths))
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#config-preview")).to_contain_text(re.compile(r"[\d,]+ files"))
    page.get_by_role("button", name="Save and back up now").click()


def watch_job(page: Page) -> list[float]:
    """Stay on the page until its job has ended; return the shares of its bar, as a person saw them."""
    seen: list[float] = []
    expect(page.locator(PROGRESS).first).to_be_visible()
    for _ in range(BACKUP_MS // 100):
        value = page.evaluate(f"document.querySelector('{PROGRESS} progress')?.value ?? null")
        if value is None:
            return seen
        if not seen or value != seen[-1]:
            seen.append(value)
        page.wait_for_timeout(100)
    raise AssertionError("the job did not end")


def add_disk(page: Page, url: str, name: str, folder: Path) -> None:
    """Add a folder of this machine as one more storage, after a test of the place."""
    page.goto(f"{url}/storages")
    page.get_by_role("link", name="Add storage").click()
    page.get_by_role("link", name="Disk of this machine").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Folder", exact=True).fill(str(folder))
    page.get_by_role("button", name="Test this place").click()
    expect(page.locator("#storage-look .note").first).to_be_visible()
    page.get_by_role("button", name="Add storage").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def add_bucket(page: Page, url: str, name: str, bucket: S3Settings) -> None:
    """Add a bucket as one more storage, after a test of the place."""
    page.goto(f"{url}/storages/new?provider=s3")
    fields = {"Name": name, "Endpoint": bucket.endpoint, "Region": bucket.region, "Bucket": bucket.bucket,
              "Folder in the bucket": "holdfast", "Access key": bucket.access_key,
              "Secret key": bucket.secret_key}  # fmt: skip
    for label, value in fields.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("button", name="Test this place").click()
    expect(page.locator("#storage-look")).to_contain_text("Wrote, read and deleted")
    page.get_by_role("button", name="Add storage").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)


def copy_to(page: Page, storage: str) -> None:
    """From a config's page: let it keep a copy of every point on one more storage."""
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_role("button", name="Copy to another storage as well").click()
    page.get_by_label("Storage").nth(1).select_option(label=storage)
    page.get_by_label("What it is for").nth(1).select_option("hot")
    expect(page.locator("#config-summary")).to_contain_text(storage)
    page.get_by_role("button", name="Save changes").click()


def sync(page: Page) -> None:
    """On a config's page: fill what its second storage lacks, and wait until it is complete."""
    button, complete = (
        page.get_by_role("button", name="Sync missing"),
        page.locator("#destinations").get_by_text("Complete", exact=True),
    )
    # Every ten minutes the tick fills gaps by itself: then there is nothing left to press.
    for _ in range(BACKUP_MS // 200):
        if complete.count() == 2:
            return
        if button.is_visible():
            button.click()
            break
        page.wait_for_timeout(200)
    expect(complete).to_have_count(2, timeout=BACKUP_MS)


def open_folder(page: Page, *names: str) -> None:
    """Open one folder after the other in the tree of a point."""
    for name in names:
        row = page.locator("summary.tree-row", has=page.locator(f"text=/^\\s*{re.escape(name)}\\s*$/")).first
        row.click()
        expect(row.locator("xpath=..").locator("ul.tree").first).to_be_visible()
