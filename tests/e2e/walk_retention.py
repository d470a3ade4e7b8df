"""What a person does about time: keeps fewer points, pins one, has one back from the trash, pauses all."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def keep_only(page: Page, url: str, config: str, number: int, told: str) -> None:
    """Let a config keep so many points; see what the words beside the form say, and save."""
    open_config(page, url, config)
    page.get_by_role("link", name="Change", exact=True).click()
    page.get_by_label("At most so many points").fill(str(number))
    expect(page.locator("#config-summary")).to_contain_text(told)
    page.get_by_role("button", name="Save changes").click()


def open_config(page: Page, url: str, config: str) -> None:
    """Open the page of a config."""
    page.goto(f"{url}/configs")
    page.get_by_role("link", name=config, exact=True).first.click()


def wait_for_clean_up(page: Page, url: str, config: str) -> None:
    """Wait for the end of the clean-up after a config's last backup: a late one would go by a newer rule."""
    open_config(page, url, config)
    config_id = page.url.rpartition("/")[2]
    newest = page.locator("tbody tr").first
    for _ in range(60):
        page.goto(f"{url}/jobs?config={config_id}")
        told = newest.inner_text()
        if re.search("retention|clean-up", told, re.IGNORECASE) and "Completed" in told:
            return
        page.wait_for_timeout(1000)
    raise AssertionError(f"no clean-up has followed the backup of {config}: {told}")


def pin_oldest(page: Page, note: str) -> None:
    """From a config's page: pin the oldest point of its list."""
    page.locator("#points-table tbody a").last.click()
    page.get_by_text("Pin: keep this point").click()
    page.get_by_label("Why (optional)").fill(note)
    page.get_by_role("button", name="Pin this point").click()
    expect(page.locator("#pin")).to_contain_text(f"Pinned by anna just now: {note}")


def move_to_trash(page: Page) -> None:
    """On a config's page: let go what its rule keeps no longer, and wait for the job."""
    page.get_by_role("button", name=re.compile("to the trash now")).click()
    expect(page.get_by_role("main")).to_contain_text("1 point went to the trash")


def take_out(page: Page, url: str) -> None:
    """Take what is in the trash out of it."""
    page.goto(f"{url}/trash")
    page.get_by_role("checkbox").first.check()
    page.get_by_role("button", name="Take out of the trash").click()
    expect(page.locator("#notices")).to_contain_text("1 point taken out of the trash")


def pause_and_resume(page: Page, url: str, note: str) -> None:
    """Pause everything, see the banner elsewhere, and resume from it."""
    page.goto(f"{url}/upkeep")
    page.get_by_label("Why (optional)").fill(note)
    page.get_by_role("button", name="Pause all schedules").click()
    page.goto(f"{url}/jobs")
    expect(page.locator("#pause-banner")).to_contain_text(note)
    page.get_by_role("button", name="Resume all").click()
    expect(page.locator("#notices")).to_contain_text("All runs again")
    expect(page.locator("#pause-banner")).to_have_count(0)
