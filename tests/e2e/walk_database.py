"""What a person does in the browser with a database, step by step."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from sources.postgres.server import Server


def make_config(page: Page, url: str, name: str, server: Server, database: str) -> None:
    """Go from the list of configs through the form of a database, test it there, save it and back it up."""
    page.goto(f"{url}/configs")
    page.get_by_role("link", name="New config").click()
    page.get_by_label("Type of config").get_by_role("link", name="Database").click()
    fields = {"Name": name, "Server": server.host, "Port": str(server.port), "User": server.user,
              "Password": server.password}  # fmt: skip
    for label, value in fields.items():
        page.get_by_label(label, exact=True).fill(value)
    page.get_by_role("radio", name="Only these").check()
    page.get_by_label("Names", exact=True).fill(database)
    page.get_by_role("button", name="Test connection and rights").click()
    expect(page.locator("#config-preview")).to_contain_text("may read everything")
    expect(page.locator("#config-preview")).to_contain_text(database)
    page.get_by_role("button", name="Save and back up now").click()


def restore_newest(page: Page, to: str) -> None:
    """From a config's page: restore its newest point into a new database."""
    page.get_by_role("link", name="Look inside").first.click()
    page.get_by_role("link", name="Restore all of it").click()
    page.get_by_label("Name of the new database").fill(to)
    page.get_by_role("button", name="Restore the database").click()


def rows_of(page: Page, table: str) -> list[str]:
    """Return, of a restore's page, what it says of one table: name, rows in the dump, rows now, result."""
    row = page.get_by_role("row", name=re.compile(re.escape(table)))
    expect(row).to_be_visible(timeout=20_000)
    return [text.strip() for text in row.get_by_role("cell").all_inner_texts()]
