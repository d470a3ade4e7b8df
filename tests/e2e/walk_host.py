"""What a person does with a host in the browser, step by step."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from ssh.server import Server


def add_host(page: Page, url: str, name: str, server: Server) -> str:
    """Fill the form of a new host whose key is made here; return the line for its authorized_keys."""
    page.goto(f"{url}/hosts")
    page.get_by_role("link", name="Add host").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Address", exact=True).fill(server.host)
    page.get_by_label("Port", exact=True).fill(str(server.port))
    page.get_by_label("User", exact=True).fill(server.user)
    page.get_by_role("button", name="Add host").click()
    page.get_by_text("Only the line for authorized_keys").click()
    return page.locator("#host-line").inner_text()


def confirm_key(page: Page, fingerprint: str) -> None:
    """On a host's page: ask for its key, tick the one that was compared, and see the test go well."""
    page.get_by_role("button", name="Ask for its key").click()
    page.locator("label.choice", has_text=fingerprint).get_by_role("checkbox").check()
    page.get_by_role("button", name="Confirm the ticked key").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("is ready")


def back_up_folder(page: Page, folder: Path) -> None:
    """On a host's page: make a config of a folder there, look at its preview, and start the backup."""
    page.get_by_role("link", name=re.compile("Back up files of")).click()
    page.get_by_label("Folders and files").fill(str(folder))
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#config-preview")).to_contain_text(re.compile(r"\d+ files?.* on "))
    page.get_by_role("button", name="Save and back up now").click()


def restore_file(page: Page, name: str, target: Path) -> None:
    """On a point's page: tick a file of the folder that is open, and restore it to the host it came from."""
    page.get_by_role("checkbox", name=f"Select {name}").check()
    page.get_by_role("button", name="Restore selected").click()
    page.get_by_role("link", name="Next: where to").click()
    expect(page.get_by_label("Machine", exact=True)).to_have_value(re.compile(".+"))
    page.get_by_label("Folder there", exact=True).fill(str(target))
    page.get_by_role("link", name="Next: check").click()
    expect(page.locator("#restore-check")).to_contain_text("It can go there")
    page.get_by_role("button", name=re.compile("^Restore 1 thing")).click()
