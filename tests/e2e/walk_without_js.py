"""The main jobs with JavaScript switched off: forms, links, and pages that come anew by themselves."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.e2e import walk as steps

SLOW_MS = 30_000


def walk(page: Page, url: str, tree: Path, target: Path) -> bytes:
    """Do all of it with a tree that holds diary/monday.txt; return what a download of that gave."""
    steps.log_in(page, url)
    make_config(page, url, "Papers", tree)
    open_newest_point(page, url, "Papers")
    open_folder(page, "diary")
    content = download(page, "monday.txt")
    restore(page, "monday.txt", target)
    return content


def make_config(page: Page, url: str, name: str, folder: Path) -> None:
    """Preview, save and start a config; its page follows the backup to its end."""
    page.goto(f"{url}/configs/new")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Folders and files").fill(str(folder))
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#config-preview")).to_contain_text("1 file", timeout=SLOW_MS)
    expect(page.get_by_label("Name", exact=True)).to_have_value(name)
    page.get_by_role("button", name="Save and back up now").click()
    headline = page.get_by_role("heading", level=1)
    expect(headline).to_have_text(f"{name} is protected.", timeout=steps.BACKUP_MS)


def open_newest_point(page: Page, url: str, config: str) -> None:
    """Go from the list of points to what is in the newest one of a config."""
    page.goto(f"{url}/points")
    page.get_by_role("row").filter(has_text=config).first.get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(config, timeout=SLOW_MS)


def open_folder(page: Page, name: str) -> None:
    """Open a folder: without JavaScript it is a page of its own."""
    page.locator("summary.tree-row").filter(has_text=name).click()
    page.get_by_role("link", name=f"Open {name}", exact=True).click()
    expect(page.get_by_role("navigation", name="Folder")).to_contain_text(name, timeout=SLOW_MS)


def download(page: Page, name: str) -> bytes:
    """Download a file of the folder that is open."""
    with page.expect_download() as found:
        page.get_by_title(f"Download {name}").click()
    return Path(found.value.path()).read_bytes()


def restore(page: Page, name: str, target: Path) -> None:
    """Tick a file of the folder that is open and restore it; the job's page comes anew until its end."""
    page.get_by_label(f"Select {name}").check()
    page.get_by_role("button", name="Restore selected").click()
    page.get_by_label("Folder on this machine").fill(str(target))
    page.get_by_role("button", name="Restore 1 thing").click()
    expect(page.locator(steps.PROGRESS).first).to_contain_text("Completed", timeout=steps.BACKUP_MS)
