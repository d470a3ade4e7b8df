"""The pages of what is looked for on a host: what survives a backup there, and what is in none."""

from __future__ import annotations

import re
from typing import Any

import pytest

from core.db import utc_now, write
from core.hosts import host_map, host_self_test
from core.models import Host
from tests.servers.sshd import Sshd
from tests.webapp.conftest import As
from tests.webapp.hosts.test_hosts import confirmed
from tests.webapp.html import problems_of
from tests.webapp.world import Browser, World

MB = 1000 * 1000


@pytest.fixture
def admin(as_: As) -> Browser:
    """Return the browser of an admin."""
    return as_("admin")


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """The host's name: one for each test, since they share an app."""
    return str(request.node.name).replace("_", "-")


@pytest.fixture
def url(admin: Browser, sshd: Sshd, name: str) -> str:
    return confirmed(admin, sshd, name)


def test_a_host_is_tested_from_its_page(admin: Browser, url: str, name: str) -> None:
    page = admin.get(url).text
    assert "Run the self-test" in page
    assert f"flask backup host self-test {name}" in page
    answer = admin.post(f"{url}/self-test")
    assert (answer.status_code, answer.headers["Location"].endswith(f"{url}#self-test")) == (303, True)
    page = admin.get(url).text
    assert problems_of(page) == []
    assert "Everything that could be tried comes back as it was" in page
    assert "Hard links" in page
    fragment = admin.post(f"{url}/self-test", htmx=True).text
    assert fragment.lstrip().startswith('<section class="section" id="self-test"')


def keep(world: World, url: str, **columns: Any) -> None:
    with world.app.app_context(), write() as session:
        row = session.get_one(Host, url.rpartition("/")[2])
        for name, value in columns.items():
            setattr(row, name, value)


def test_what_is_lost_and_what_went_wrong_is_shown(world: World, admin: Browser, url: str) -> None:
    finding = {"title": "ACLs", "state": "lost", "text": "A <b>restore</b> does not bring this back."}
    found = {
        "findings": [finding, {"title": "Odd names", "state": "kept", "text": ""}],
        "said": [], "seconds": 1.5, "trouble": "It broke.", "advice": "Mend it.",
        "leftover": "/var/tmp/x stays",
    }  # fmt: skip
    keep(world, url, self_test=found, self_tested_at=utc_now())
    page = admin.get(url).text
    assert problems_of(page) == []
    for text in ("1 of 2 kinds", "A &lt;b&gt;restore", "It broke.", "Mend it.", "/var/tmp/x stays"):
        assert text in page, text


def test_blind_spots_lead_to_a_config_or_are_left_out(
    world: World, admin: Browser, url: str, name: str
) -> None:
    assert "Look for blind spots" in admin.get(url).text
    spots = [
        {"path": '/srv/it\'s "here"', "kind": "folder", "size_bytes": 400 * MB},
        {"path": "/etc", "kind": "config", "size_bytes": 5 * MB},
        {"path": "/data", "kind": "disk", "size_bytes": None},
        {"path": "/var/lib/postgresql", "kind": "database", "size_bytes": 60 * MB},
    ]
    keep(world, url, blind_spots={"spots": spots}, mapped_at=utc_now())
    page = admin.get(url).text
    assert problems_of(page) == []
    assert "4 places with at least 443.5 MiB are in no backup" in page
    assert "no time to measure 1 place" in page
    paths = [spots[0]["path"], "/etc"]
    answer = admin.post(f"{url}/blind-spots", {"path": paths, "action": "protect"})
    assert answer.status_code == 303
    form = admin.get(answer.headers["Location"]).text
    assert problems_of(form) == []
    area = re.search(r'<textarea[^>]*name="paths"[^>]*>([^<]*)</textarea>', form)
    assert area is not None
    assert area[1].split() == ["/srv/it&#39;s", "&#34;here&#34;", "/etc"]
    assert f"{name} Files" in form
    both = {"path": ["/etc", "/var/lib/postgresql"], "action": "protect"}
    form = admin.get(admin.post(f"{url}/blind-spots", both).headers["Location"]).text
    assert "Not in this config: /var/lib/postgresql" in form, "its files are no backup while it runs"
    data = admin.post(f"{url}/blind-spots", {"path": ["/var/lib/postgresql"], "action": "protect"})
    assert "type=database" in data.headers["Location"]
    assert admin.post(f"{url}/blind-spots", {"path": ["/etc"], "action": "leave_out"}).status_code == 303
    page = admin.get(url).text
    assert problems_of(page) == []
    assert "Left out on purpose: 1 place" in page
    assert admin.post(f"{url}/blind-spots", {"path": ["/etc"], "action": "take_back"}).status_code == 303
    assert "Left out on purpose" not in admin.get(url).text
    for action in ("protect", "leave_out"):
        nothing = admin.post(f"{url}/blind-spots", {"action": action})
        assert nothing.status_code == 422
        assert "Tick at least one" in nothing.text


def test_looking_around_is_told_and_what_fails_as_well(
    admin: Browser, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sources.ssh import survey

    monkeypatch.setattr(survey, "_places", lambda *facts: [("/etc", "config")])
    assert admin.post(f"{url}/map").status_code == 303
    page = admin.get(url).text
    assert problems_of(page) == []
    assert re.search(r'value="/etc"', page)

    def fails(settings: object) -> None:
        raise host_map.SourceUnavailable("nobody is at home")

    monkeypatch.setattr(host_map, "_survey", fails)
    answer = admin.post(f"{url}/map", htmx=True)
    assert answer.status_code == 422
    assert "nobody is at home" in answer.text


def test_the_commands_say_the_same(
    world: World, url: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = host_self_test.Result(
        [host_self_test.Finding("Odd names", "lost", "A backup does not keep this.")]
    )
    monkeypatch.setattr(host_self_test, "run", lambda host_id, above: result)
    runner = world.app.test_cli_runner()
    told = runner.invoke(args=["backup", "host", "self-test", name])
    assert (told.exit_code, "LOST       Odd names: A backup does not keep this." in told.output) == (3, True)
    result.findings.clear()
    result.trouble = "It is away."
    told = runner.invoke(args=["backup", "host", "self-test", name, "--json"])
    assert (told.exit_code, '"trouble": "It is away."' in told.output) == (1, True)
    found = host_map.Map([host_map.Spot("/srv", "folder", 5 * MB, "partly", ["Web"])])
    monkeypatch.setattr(host_map, "look", lambda host_id: found)
    told = runner.invoke(args=["backup", "host", "map", name])
    assert told.exit_code == 0
    assert re.search(r"4.8 MiB +/srv +folder +partly: Web", told.output), told.output


def test_this_machine_has_a_map_too(
    world: World, admin: Browser, as_: As, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sources.ssh import survey, survey_data

    url = "/hosts/this-machine"
    monkeypatch.setattr(survey, "_places", lambda *facts: [("/etc", "config"), ("/nowhere", "folder")])
    monkeypatch.setattr(survey_data, "find", lambda machine: survey_data.Data({}))
    assert f'href="{url}"' in admin.get("/hosts").text
    page = admin.get(url).text
    assert (problems_of(page), "Look for blind spots" in page) == ([], True)
    assert admin.post(f"{url}/map").headers["Location"].endswith(f"{url}#map")
    page = admin.get(url).text
    assert (problems_of(page), 'value="/etc"' in page) == ([], True)
    answer = admin.post(f"{url}/blind-spots", {"path": ["/etc"], "action": "protect"})
    form = admin.get(answer.headers["Location"]).text
    area = re.search(r'<textarea[^>]*name="paths"[^>]*>([^<]*)</textarea>', form)
    assert (area[1].split() if area else None) == ["/etc"]
    assert admin.post(f"{url}/blind-spots", {"path": ["/etc"], "action": "leave_out"}).status_code == 303
    assert "Left out on purpose: 1 place" in admin.get(url).text
    nothing = admin.post(f"{url}/blind-spots", {"action": "leave_out"})
    assert (nothing.status_code, "Tick at least one" in nothing.text) == (422, True)
    assert as_("operator").get(url).status_code == 403
