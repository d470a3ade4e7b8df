"""Upkeep: pausing all with its banner, limits, ages; on the page and as commands."""

from __future__ import annotations

from core.reports import housekeeping
from core.schedules import limits, pause
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


def test_a_pause_is_seen_on_every_page_until_it_is_over(world: World, as_: As) -> None:
    admin, viewer = as_("admin"), as_("viewer")
    admin.post("/upkeep/pause", {"until": "", "note": "new <i>disk</i>"})
    for url in ("/", "/jobs", f"/configs/{world.config_id}", "/upkeep"):
        page = viewer.get(url).text
        assert "Everything is paused" in page
        assert "new &lt;i&gt;disk" in page
        assert problems_of(page) == []
    assert "Resume all" not in page
    assert (
        "All schedules are paused until somebody resumes it" in viewer.get(f"/configs/{world.config_id}").text
    )
    admin.post("/upkeep/resume")
    assert "Everything is paused" not in viewer.get("/").text


def test_a_time_gone_by_is_refused_and_what_was_typed_stays(as_: As) -> None:
    response = as_("admin").post("/upkeep/pause", {"until": "2020-01-01T10:00", "note": "why"})
    assert response.status_code == 422
    assert "Choose a time to come" in response.text
    assert 'value="why"' in response.text
    assert problems_of(response.text) == []


def test_limits_and_ages_are_set_and_checked(world: World, as_: As) -> None:
    admin = as_("admin")
    admin.post("/upkeep/limits", {"per_storage": "3", "per_host": ""})
    admin.post("/upkeep/ages", {"logs": "30", "jobs": "60", "alerts": "90", "audit": "700"})
    with world.app.app_context():
        assert (limits.current().per_storage, limits.current().per_host) == (3, None)
        assert (housekeeping.ages().logs, housekeeping.ages().audit) == (30, 700)
    assert admin.post("/upkeep/limits", {"per_storage": "0"}).status_code == 422
    assert admin.post("/upkeep/ages", {"logs": "1", "jobs": "60", "alerts": "90"}).status_code == 422
    admin.post("/upkeep/limits", {"per_storage": "", "per_host": ""})
    page = admin.get("/upkeep").text
    assert "KiB" in page
    assert "Log lines" in page


def test_the_commands_pause_and_resume(world: World) -> None:
    runner = world.app.test_cli_runner()
    done = runner.invoke(args=["backup", "pause", "--for", "4h", "--note", "new disk"])
    assert (done.exit_code, done.output.startswith("All is paused until ")) == (0, True)
    with world.app.app_context():
        held = pause.active()
        assert held is not None
        assert held.note == "new disk"
    assert runner.invoke(args=["backup", "resume"]).output == "All runs again.\n"
    assert runner.invoke(args=["backup", "resume"]).output == "Nothing was paused.\n"
    assert runner.invoke(args=["backup", "pause", "--for", "soon"]).exit_code == 1
    assert runner.invoke(args=["backup", "pause", "--until", "x", "--for", "4h"]).exit_code == 2
