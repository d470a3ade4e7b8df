"""The form of a configuration backup: offered with what this machine has, saved as it says."""

from __future__ import annotations

from core.configs import configs
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World


def test_a_configuration_backup_is_made_as_the_form_says(world: World, as_: As) -> None:
    admin = as_("admin")
    page = admin.get("/configs/new?type=config").text
    assert problems_of(page) == []
    for offered in ('value="Weekly Configuration"', "/etc", 'value="04:00"'):
        assert offered in page
    form = {
        "type": "config", "name": "Machine", "paths": str(world.tree), "variables": "PATH", "services": "yes",
        "schedule": "manual", "timezone": "UTC", "destinations.0.retention.days": "90", "then": "save",
    }  # fmt: skip
    assert admin.post("/configs/preview", form, htmx=True).status_code == 200
    assert admin.post("/configs", form).status_code == 303
    with world.app.app_context():
        config = next(each for each in configs.list_all() if each.name == "Machine")
        assert config.type == "config"
        assert (config.source["variables"], config.source["packages"]) == (["PATH"], False)
        assert config.source["services"] is True
    for url in (f"/configs/{config.id}", f"/configs/{config.id}/edit"):
        page = admin.get(url).text
        assert problems_of(page) == []
        assert str(world.tree) in page
