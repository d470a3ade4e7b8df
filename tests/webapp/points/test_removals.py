"""Points of no config on the pages: listed, removed with a word about what that means, taken back."""

from __future__ import annotations

from core.configs import configs
from core.jobs import jobs
from core.points import points
from core.retention import pins, point_removal, trash_contents
from tests.core.making import back_up, make_config
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


def orphans(world: World) -> list[int]:
    """Return points of a config that was deleted, two at least; made once."""
    with world.app.app_context():
        if len(point_removal.choose()) < 2:
            config = make_config(world.tree / "letters", "Left <behind>")
            for _ in range(2):
                (world.tree / "letters" / "again.txt").write_text("again")
                back_up(config.id)
            for job_id in jobs.queued_followers(config.id):
                jobs.request_cancel(job_id)
            configs.delete(config.id)
        return point_removal.choose()


def take_out(world: World, point_id: int) -> None:
    """Take a point out of the trash, and its pin off, so that the next test meets it as it was."""
    with world.app.app_context():
        trash_contents.take_out_points([point_id], "anna")
        pins.unpin(point_id)


def test_they_have_a_list_of_their_own(world: World, as_: As) -> None:
    number = len(orphans(world))
    page = as_("admin").get("/points?config=none").text
    assert f"No config ({number})" in page
    assert page.count('type="checkbox" name="point"') == number
    assert "Remove selected" in page
    assert problems_of(page) == []
    assert 'type="checkbox" name="point"' not in as_("viewer").get("/points?config=none").text
    assert "Remove selected" not in as_("admin").get("/points").text


def test_removing_says_what_it_means_and_can_be_undone(world: World, as_: As) -> None:
    browser, chosen = as_("admin"), orphans(world)
    asked = browser.post("/points/removal", {"point": [str(chosen[0])], "config": "none"})
    assert "It has no second copy: after the trash nobody can restore it." in asked.text
    assert problems_of(asked.text) == []
    done = browser.post("/points/removal/confirm", {"point": [str(chosen[0])], "config": "none"})
    assert (done.status_code, done.headers["Location"]) == (303, "/points?config=none")
    assert "went to the trash" in browser.get("/points?config=none").text
    page = browser.get(f"/points/{chosen[0]}").text
    assert "removed by anna" in page
    assert "Take out of the trash" in page
    take_out(world, chosen[0])
    assert orphans(world) == chosen


def test_all_of_them_at_once_meets_the_brake(world: World, as_: As) -> None:
    browser, chosen = as_("admin"), orphans(world)
    asked = browser.post("/points/removal", {"all": "none", "config": "none"})
    assert "more than half of the points of Left &lt;behind&gt; at once" in asked.text
    refused = browser.post("/points/removal/confirm", {"point": [str(each) for each in chosen]})
    assert refused.status_code == 422
    assert "nothing was removed" in refused.text.lower()
    assert orphans(world) == chosen


def test_nothing_ticked_is_said(world: World, as_: As) -> None:
    browser = as_("admin")
    response = browser.post("/points/removal", {"config": "none"})
    assert (response.status_code, response.headers["Location"]) == (303, "/points?config=none")
    assert "Tick at least one point" in browser.get("/points?config=none").text


def test_points_of_a_config_that_is_there_offer_no_removal(world: World, as_: As) -> None:
    browser = as_("admin")
    assert "/points/removal?point" not in browser.get(f"/points/{world.point_id}").text
    page = browser.get(f"/points/removal?point={world.point_id}").text
    assert "whose retention decides about it" in page
    browser.post("/points/removal/confirm", {"point": [str(world.point_id)], "confirmed": "yes"})
    with world.app.app_context():
        assert points.is_good(points.get(world.point_id))


def test_the_command_removes(world: World) -> None:
    first = orphans(world)[0]
    runner = world.app.test_cli_runner()
    listed = runner.invoke(args=["backup", "remove", "--all", "--dry-run"])
    assert f"{first}  Left <behind>" in listed.output
    done = runner.invoke(args=["backup", "remove", str(first)])
    assert (done.exit_code, "1 point went to the trash" in done.output) == (0, True), done.output
    take_out(world, first)
    refused = runner.invoke(args=["backup", "remove", str(world.point_id)])
    assert (refused.exit_code, "retention decides" in refused.output) == (1, True)


def test_a_storage_that_holds_only_copies_leads_to_them(world: World, as_: As) -> None:
    orphans(world)
    page = as_("admin").get(f"/storages/{world.storage_id}/delete").text
    assert 'href="/points?config=none"' in page
