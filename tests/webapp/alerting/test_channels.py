"""Channels and mutes on their pages: added, tested, changed, without a secret shown again."""

from __future__ import annotations

import json

import pytest

from core.alerting import alerts, mutes
from core.messaging import channels
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World

SECRET = "https://hooks.example.org/services/s3cr3t"


def test_pages_of_channels_are_sound(world: World, as_: As) -> None:
    browser = as_("admin")
    for url in (
        "/channels",
        "/channels/new",
        f"/channels/{world.channel_id}",
        "/settings",
        "/alerts",
        f"/configs/{world.config_id}/pings",
    ):
        assert problems_of(browser.get(url).text) == [], url
    for kind in ("email", "webhook", "apprise"):
        assert problems_of(browser.get(f"/channels/new?kind={kind}").text) == [], kind


def test_a_webhook_is_added_changed_and_not_shown_again(world: World, as_: As) -> None:
    browser = as_("admin")
    data = {"kind": "webhook", "name": "Hook", "url": SECRET, "for": "some", "configs": [world.config_id]}
    assert browser.post("/channels", data).headers["Location"] == "/channels"
    with world.app.app_context():
        made = next(each for each in channels.list_all() if each.name == "Hook")
        channel_id, chosen = made.id, made.config_ids
    assert chosen == [world.config_id]
    for url in ("/channels", f"/channels/{channel_id}"):
        assert "s3cr3t" not in browser.get(url).text
    changed = {"name": "Hook 2", "url": "", "severity": "error", "for": "all", "enabled": "yes"}
    assert browser.post(f"/channels/{channel_id}", changed).status_code == 303
    with world.app.app_context():
        row = channels.get(channel_id)
        assert (row.name, row.severity, row.config_ids) == ("Hook 2", "error", [])
        assert channels.target_of(row).model_dump()["url"] == SECRET
    assert browser.post(f"/channels/{channel_id}/delete").status_code == 303
    assert "Hook 2 is removed" in browser.get("/channels").text


@pytest.mark.parametrize(
    ("kind", "field", "typed"),
    [("webhook", "url", "ftp://h/s3cr3t"), ("apprise", "url", "s3cr3t"), ("email", "sender", "no address")],
)
def test_what_cannot_be_taken_is_said_beside_its_field(
    kind: str, field: str, typed: str, world: World, as_: As
) -> None:
    data = {"kind": kind, "name": "Kept", field: typed, "password": "s3cr3t", "enabled": "yes"}
    answer = as_("admin").post("/channels", data)
    assert answer.status_code == 422
    assert problems_of(answer.text) == []
    assert f'id="{field}-error"' in answer.text
    assert 'value="Kept"' in answer.text
    assert "s3cr3t" not in answer.text


def test_only_these_configs_without_any_is_refused(world: World, as_: As) -> None:
    browser = as_("admin")
    for chosen in ([], ["nosuch"]):
        data = {"kind": "webhook", "name": "Kept", "url": SECRET, "for": "some", "configs": chosen}
        answer = browser.post("/channels", data)
        assert (answer.status_code, problems_of(answer.text)) == (422, [])


def test_a_test_says_what_happened_in_place(world: World, as_: As) -> None:
    browser = as_("admin")
    answer = browser.post(f"/channels/{world.channel_id}/test", htmx=True)
    assert problems_of(answer.text) == []
    assert "did not answer" in answer.text
    assert browser.post(f"/channels/{world.channel_id}/test").headers["Location"] == "/channels"


def test_a_channel_is_switched_off_and_on(world: World, as_: As) -> None:
    browser = as_("admin")
    browser.post(f"/channels/{world.channel_id}/switch", {"to": "off"})
    assert "Nobody is told of alerts" in browser.get("/channels").text
    browser.post(f"/channels/{world.channel_id}/switch", {"to": "on"})
    assert "Alerts go to 1 channel" in browser.get("/channels").text


def test_an_alert_is_muted_and_told_again(world: World, as_: As) -> None:
    browser = as_("operator")
    answer = browser.post(f"/alerts/{world.alert_id}/mute", {"hours": "8"})
    assert answer.headers["Location"] == "/alerts"
    page = browser.get("/alerts").text
    assert problems_of(page) == []
    assert "Muted by otto" in page
    with world.app.app_context():
        (made,) = [each for each in mutes.active() if each.muted_by == "otto"]
        mute_id, config_id = made.id, made.config_id
        assert config_id == alerts.get(world.alert_id).config_id
    browser.post(f"/alerts/mutes/{mute_id}/end")
    assert "Muted by otto" not in browser.get("/alerts").text
    assert browser.post(f"/alerts/{world.alert_id}/mute", {"hours": "x"}).status_code == 422
    assert browser.post(f"/alerts/{world.alert_id}/mute", {"hours": "999999"}).status_code == 422


def test_pings_are_set_tested_and_not_shown_again(world: World, as_: As) -> None:
    browser, url = as_("admin"), f"/configs/{world.spare_config_id}/pings"
    assert "No watcher" in browser.get(url).text
    assert browser.post(url, {"success": "http://127.0.0.1:1/s3cr3t"}).headers["Location"] == url
    page = browser.get(url).text
    assert "127.0.0.1:1/…" in page
    assert "s3cr3t" not in page
    browser.post(f"{url}/test")
    assert "did not answer" in browser.get(url).text
    bad = browser.post(url, {"fail": "ftp://x/s3cr3t"})
    assert (bad.status_code, problems_of(bad.text)) == (422, [])
    assert "s3cr3t" not in bad.text
    browser.post(url, {"forget": ["success"]})
    assert "No watcher" in browser.get(url).text


def test_the_heartbeat_is_set_on_the_page_of_channels(world: World, as_: As) -> None:
    browser = as_("admin")
    browser.post("/channels/heartbeat", {"heartbeat_url": "http://169.254.169.254/"})
    assert "Nothing was saved" in browser.get("/channels").text
    browser.post("/channels/heartbeat", {"heartbeat_url": "https://hc.example.org/s3cr3t"})
    page = browser.get("/channels").text
    assert "hc.example.org/…" in page
    assert "s3cr3t" not in page
    browser.post("/channels/heartbeat", {"heartbeat_url": ""})


def test_commands_list_acknowledge_and_test(world: World) -> None:
    runner = world.app.test_cli_runner()
    with world.app.app_context():
        open_id = alerts.raise_alert("probe", "failure", "error", "Probe failed.", "", "").id
    listed = runner.invoke(args=["backup", "alerts"])
    assert (listed.exit_code, "Probe failed." in listed.output) == (1, True)
    runner.invoke(args=["backup", "alerts", "--acknowledge", str(open_id)])
    found = json.loads(runner.invoke(args=["backup", "alerts", "--json"]).output)["alerts"]
    assert {each["id"]: each["acknowledged_by"] for each in found}[open_id] == "the command line"
    runner.invoke(args=["backup", "alerts", "--close", str(open_id)])
    assert "Probe failed." not in runner.invoke(args=["backup", "alerts"]).output
    assert runner.invoke(args=["backup", "alerts", "--close", "999"]).exit_code == 1
    assert "Chat" in runner.invoke(args=["backup", "channels"]).output
    tested = runner.invoke(args=["backup", "channels", "--test", "Chat"])
    assert (tested.exit_code, "did not answer" in tested.output) == (1, True)
    assert runner.invoke(args=["backup", "channels", "--test", "No"]).exit_code == 2
