"""What a person does about alerts: adds a channel, tests it, acknowledges."""

from __future__ import annotations

from playwright.sync_api import Page, expect


def add_webhook(page: Page, url: str, name: str, address: str) -> None:
    """Add a webhook as a channel and send a test to it, in place."""
    page.goto(f"{url}/settings")
    page.get_by_role("link", name="Channels for alerts").click()
    page.get_by_role("link", name="Add a channel").click()
    page.get_by_role("link", name="Webhook").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Address", exact=True).fill(address)
    page.get_by_role("button", name="Add channel").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator("[id^=channel-]").first).to_contain_text("the other side took it")
    expect(page.locator("[id^=channel-]").first).to_contain_text("Works")


def back_up_again(page: Page, url: str, config: str, outcome: str) -> None:
    """Start a backup from the page of a config, and wait for how it ends."""
    page.goto(f"{url}/configs")
    page.get_by_role("link", name=config, exact=True).first.click()
    page.get_by_role("button", name="Back up now").click()
    expect(page.locator("#run")).to_contain_text(outcome)


def acknowledge(page: Page, url: str, text: str) -> None:
    """Acknowledge an open alert, in place."""
    page.goto(f"{url}/alerts")
    alert = page.locator("article", has_text=text).first
    alert.get_by_role("button", name="Acknowledge alert").click()
    expect(alert).to_contain_text("Seen by anna")
