"""A configuration's point held against the machine in the browser: diffs, hidden secrets, files put back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from core.configs import configs
from core.jobs import jobs
from core.points import points
from core.points.tokens import token_from_path
from core.restores import restores
from tests.core.making import back_up, run
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import NASTY, World

SECRET, NEWER = "erstes-geheimnis", "zweites-geheimnis"


@dataclass
class Machine:
    """A folder of configuration, and the point that holds how it was."""

    folder: Path
    point_id: int

    def token(self, name: str) -> str:
        return token_from_path(str(self.folder / name).encode())


@pytest.fixture(scope="module")
def machine(world: World) -> Machine:
    """Back a folder up, then change it in each way."""
    folder = world.folder / "etc"
    folder.mkdir()
    for name, text in (("app.conf", "port = 80\n"), (".env", f"TOKEN={SECRET}\n"), (NASTY, "<b>old</b>\n")):
        (folder / name).write_text(text)
    with pytest.MonkeyPatch.context() as patch, world.app.app_context():
        patch.setenv("SHOP_TOKEN", SECRET)
        source = {"paths": [str(folder)], "variables": "SHOP_TOKEN", "services": True}
        config = configs.create(configs.parse({"name": "Machine", "type": "config", "source": source}))
        assert back_up(config.id).status == "completed"
        point = points.latest(config.id)
        assert point is not None
        point_id = point.id
    (folder / ".env").write_text(f"TOKEN={NEWER}\n")
    (folder / "app.conf").write_text("port = 81\n")
    (folder / NASTY).unlink()
    return Machine(folder, point_id)


def test_restoring_a_configuration_begins_with_what_differs(as_: As, machine: Machine) -> None:
    admin = as_("admin")
    answer = admin.get(f"/restores/new?point_id={machine.point_id}")
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/compare/{machine.point_id}")
    page = admin.get(answer.headers["Location"]).text
    assert problems_of(page) == []
    assert "3 of 3 files differ from this machine now" in page
    assert "&lt;script&gt;" in page
    assert SECRET not in page
    point = admin.get(f"/points/{machine.point_id}").text
    assert problems_of(point) == []
    assert f"/compare/{machine.point_id}" in point


@pytest.mark.parametrize("whole", [True, False])
def test_a_diff_is_a_fragment_or_a_page(as_: As, machine: Machine, whole: bool) -> None:
    admin = as_("admin")
    ask = admin.get if whole else admin.fragment
    page = ask(f"/compare/{machine.point_id}/diff?path={machine.token('app.conf')}").text
    assert problems_of(page) == []
    assert "<del>− port = 81</del>" in page
    assert "<ins>+ port = 80</ins>" in page
    assert ("<title>" in page) == whole
    gone = ask(f"/compare/{machine.point_id}/diff?path={machine.token(NASTY)}").text
    assert problems_of(gone) == []
    assert "&lt;b&gt;old&lt;/b&gt;" in gone


def test_secrets_are_hidden_until_an_admin_asks(
    as_: As, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"/compare/{machine.point_id}/diff?path={machine.token('.env')}"
    page = as_("admin").get(url).text
    assert "Show the secrets" in page
    assert SECRET not in page
    assert NEWER not in page
    shown = as_("admin").post(url, {})
    assert (shown.status_code, problems_of(shown.text)) == (200, [])
    assert SECRET in shown.text
    assert NEWER in shown.text
    assert "anna revealed the secrets in" in caplog.text
    fragment = as_("admin").post(url, {}, htmx=True).text
    assert problems_of(fragment) == []
    assert as_("operator").post(url, {}).status_code == 403


def test_the_environment_is_readable_and_its_secrets_hidden(as_: As, machine: Machine) -> None:
    url = f"/compare/{machine.point_id}/environment"
    for role in ("operator", "admin"):
        page = as_(role).get(url).text
        assert problems_of(page) == []
        assert "SHOP_TOKEN" in page
        assert "1 value that looks like a secret is hidden" in page
        assert SECRET not in page
    fragment = as_("operator").fragment(f"/compare/{machine.point_id}/since").text
    assert problems_of(fragment) == []
    assert "packages, services and /etc/environment are as they were" in fragment
    assert problems_of(as_("operator").get(f"/compare/{machine.point_id}/since").text) == []
    assert as_("viewer").get(url).status_code == 403
    assert as_("operator").post(url, {}).status_code == 403
    shown = as_("admin").post(url, {}).text
    assert problems_of(shown) == []
    assert SECRET in shown


def test_ticked_files_are_put_back_after_a_safety_backup(world: World, as_: As, machine: Machine) -> None:
    admin = as_("admin")
    url = f"/compare/{machine.point_id}"
    nothing = admin.post(url, {})
    assert (nothing.status_code, problems_of(nothing.text)) == (422, [])
    assert "Choose at least one file" in nothing.text
    answer = admin.post(url, {"path": machine.token("app.conf"), "point_id": str(machine.point_id)})
    assert answer.status_code == 303
    job_id = int(answer.headers["Location"].rpartition("/")[2])
    waits = admin.get(f"/jobs/{job_id}").text
    assert problems_of(waits) == []
    with world.app.app_context():
        run(jobs.get(restores.safety_job_of(jobs.get(job_id)) or 0))
        ended = run(jobs.get(job_id))
        assert ended.status == "completed", ended.summary
    page = admin.get(f"/jobs/{job_id}").text
    assert problems_of(page) == []
    assert "in its place" in page
    assert (machine.folder / "app.conf").read_text() == "port = 80\n"
    assert "2 of 3 files differ" in admin.get(url).text
    (machine.folder / "app.conf").write_text("port = 81\n")  # as the other tests want it


def test_a_point_of_files_is_compared_but_not_put_back(world: World, as_: As) -> None:
    page = as_("admin").get(f"/compare/{world.point_id}").text
    assert problems_of(page) == []
    assert "Put ticked files back" not in page
    assert as_("admin").get(f"/restores/new?point_id={world.point_id}").status_code == 200
