"""Where a config's points go: in the form, one more, one less, another tier; and saved as the form says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.configs import configs
from core.jobs import jobs
from core.storages import storages
from core.storages.storage_setup import create_local
from tests.core.making import back_up, make_config
from tests.webapp import world as making
from tests.webapp.configs.test_configs import form
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World
from webapp.configs import config_form, destination_form
from webapp.forms import Form


@pytest.fixture(scope="module")
def places(world: World, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return the row ids of two repositories: that of set-up, and a second one."""
    folder: Path = tmp_path_factory.mktemp("second")
    with world.app.app_context():
        key = making.recovery.stored() or ""
        create_local("Second disk", str(folder / "holdfast"), key)
        first, second = (one.id for one in storages.list_repositories())
    return first, second


def two(places: tuple[str, str], **changes: object) -> dict[str, object]:
    """Return the fields of two destinations."""
    return {
        "destinations.0.repository_id": places[0],
        "destinations.0.tier": "hot",
        "destinations.0.was": "hot",
        "destinations.0.retention.days": "14",
        "destinations.1.repository_id": places[1],
        "destinations.1.tier": "warm",
        "destinations.1.was": "warm",
        "destinations.1.when": "cron",
        "destinations.1.cron": "30 5 * * 0",
        "destinations.1.retention.keep_daily": "90",
        **{name.replace("_0_", ".0.").replace("_1_", ".1."): value for name, value in changes.items()},
    }


def test_a_second_destination_is_saved_and_comes_back(world: World, as_: As, places: tuple[str, str]) -> None:
    browser = as_("admin")
    answer = browser.post("/configs", form(world, name="Twice", **two(places)))
    assert answer.status_code == 303, answer.text
    with world.app.app_context():
        (config,) = (one for one in configs.list_all() if one.name == "Twice")
        rows = [(one.repository_id, one.tier, one.copy_when) for one in config.destinations]
        assert rows == [(places[0], "hot", "after"), (places[1], "warm", "30 5 * * 0")]
        assert config.destinations[1].retention["keep_daily"] == 90
        filled = config_form.from_input(configs.to_input(config).model_dump())
        assert destination_form.places(filled) == [0, 1]
        assert filled.value("destinations.1.when") == "cron"
        assert filled.value("destinations.1.retention.keep_daily") == "90"
    page = browser.get(f"/configs/{config.id}/edit").text
    assert problems_of(page) == []
    assert 'value="30 5 * * 0"' in page


def test_faults_stand_at_the_fields_of_their_destination(
    world: World, as_: As, places: tuple[str, str]
) -> None:
    wrong = two(places) | {
        "destinations.1.cron": "every day",
        "destinations.1.retention.keep_weekly": "some",
    }
    page = as_("admin").post("/configs", form(world, name="Wrong", **wrong))
    assert page.status_code == 422
    assert 'id="destinations.1.retention.keep_weekly-error"' in page.text
    twice = two(places) | {"destinations.1.repository_id": places[0]}
    page = as_("admin").post("/configs", form(world, name="Wrong", **twice))
    assert 'id="destinations.1.repository_id-error"' in page.text
    assert problems_of(page.text) == []


def test_one_more_and_one_less_without_losing_what_was_typed(
    world: World, as_: As, places: tuple[str, str]
) -> None:
    browser = as_("admin")
    one = form(world, name="Typed", **{"destinations.0.repository_id": places[0], "add": "yes"})
    fragment = browser.post("/configs/destinations", one, htmx=True)
    assert problems_of(fragment.text) == []
    assert 'name="destinations.1.repository_id"' in fragment.text
    assert re.search(rf'value="{places[1]}" selected', fragment.text)
    assert "destinations-changed" in fragment.headers["HX-Trigger"]
    whole = browser.post("/configs/destinations", one).text
    assert problems_of(whole) == []
    assert 'value="Typed"' in whole
    less = browser.post("/configs/destinations", form(world, **two(places), remove="1"), htmx=True).text
    assert "destinations.0.tier" in less
    assert "destinations.1.tier" not in less


def test_a_new_destination_is_filled_at_once_and_that_is_said(
    world: World, as_: As, places: tuple[str, str]
) -> None:
    browser = as_("admin")
    with world.app.app_context():
        config = make_config(world.tree / "letters", "To be copied")
        back_up(config.id)
        config_id = config.id
    more = {**two(places), "destinations.1.when": "after", "config_id": config_id}
    answer = browser.post(f"/configs/{config_id}", form(world, name="To be copied", **more))
    assert answer.status_code == 303, answer.text
    assert "Second disk is being filled now." in browser.get(answer.headers["Location"]).text
    with world.app.app_context():
        (job,) = jobs.list_jobs(kind="copy", config_id=config_id).items
        assert (job.status, job.repository_id) == ("queued", places[1])


def test_the_first_destination_cannot_be_removed(world: World, places: tuple[str, str]) -> None:
    with world.app.app_context():
        left = destination_form.changed(Form({**two(places), "remove": "0"}))
        assert destination_form.places(left) == [0, 1]


def test_another_tier_brings_its_rule_unless_the_old_one_was_edited(
    world: World, places: tuple[str, str]
) -> None:
    with world.app.app_context():
        fresh = destination_form.to_input(Form({**two(places), "destinations.1.tier": "cold"}))[1]
        assert (fresh["retention"]["keep_daily"], fresh["retention"]["keep_monthly"]) == ("", "36")
        edited = two(places) | {"destinations.1.tier": "cold", "destinations.1.retention.keep_daily": "60"}
        kept = destination_form.to_input(Form(edited))[1]
        assert (kept["retention"]["keep_daily"], kept["retention"]["keep_monthly"]) == ("60", "")
        own = destination_form.to_input(Form({**two(places), "destinations.1.tier": "custom"}))[1]
        assert own["retention"]["keep_daily"] == "90"


def test_the_summary_names_every_place(world: World, as_: As, places: tuple[str, str]) -> None:
    page = as_("admin").post("/configs/summary", form(world, **two(places)), htmx=True).text
    assert problems_of(f'<section id="config-summary">{page}</section>') == []
    assert "Second disk" in page
    assert "14 days; the last good point always" in page
    assert "The last of each day for 90 days" in page
    assert "every Sunday at 05:30" in page
