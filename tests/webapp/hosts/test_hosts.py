"""Hosts in the browser: added, confirmed, tested, chosen for configs and restores; secrets stay sealed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.configs import configs
from core.hosts import hosts
from core.hosts.host_login import authorized_line
from core.points import points
from core.points.tokens import token_from_path
from core.restores import restores
from tests.core.hosting import host_form
from tests.core.making import back_up, run
from tests.servers.sshd import Sshd
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import Browser, World

SECRET = "a-secret/that+must=never-show"


@pytest.fixture
def admin(as_: As) -> Browser:
    """Return the browser of an admin."""
    return as_("admin")


def add(browser: Browser, sshd: Sshd, name: str, **more: object) -> str:
    """Add a host; return its address."""
    answer = browser.post("/hosts", host_form(sshd, name, **more))
    assert answer.status_code == 303, re.findall(r"<p[^>]*>([^<]+)</p>", answer.text)
    return answer.headers["Location"]


def confirmed(browser: Browser, sshd: Sshd, name: str) -> str:
    """Add a host and confirm the first key that it shows."""
    url = add(browser, sshd, name)
    asked = browser.post(f"{url}/keys", htmx=True).text
    line = re.findall(r'name="host_keys" value="([^"]+)"', asked)[0]
    assert browser.post(f"{url}/confirm", {"host_keys": line}).status_code == 303
    return url


def test_the_forms_are_sound_and_what_was_typed_stays(admin: Browser, sshd: Sshd) -> None:
    assert problems_of(admin.get("/hosts").text) == []
    assert problems_of(admin.get("/hosts/new").text) == []
    wrong = admin.post("/hosts", host_form(sshd, "Typed", port="70000", private_key=SECRET))
    assert wrong.status_code == 422
    assert problems_of(wrong.text) == []
    assert 'value="Typed"' in wrong.text
    assert SECRET not in wrong.text


def test_a_host_is_added_confirmed_and_tested(world: World, admin: Browser, sshd: Sshd) -> None:
    url = add(admin, sshd, "web1")
    page = admin.get(url).text
    assert problems_of(page) == []
    assert "key is not confirmed" in page
    with world.app.app_context():
        line = authorized_line(hosts.find("web1"))
    assert line in page.replace("&#39;", "'")
    refused = admin.post(f"{url}/test")
    assert refused.status_code == 409
    asked = admin.post(f"{url}/keys", htmx=True).text
    assert problems_of(asked) == []
    assert "SHA256:" in asked
    assert "ssh-keygen -lf" in asked
    assert "checked" not in asked
    unticked = admin.post(f"{url}/confirm", htmx=True)
    assert unticked.status_code == 422
    assert "Tick the key" in unticked.text
    key = re.findall(r'name="host_keys" value="([^"]+)"', asked)[0]
    assert admin.post(f"{url}/confirm", {"host_keys": key}).status_code == 303
    page = admin.get(url).text
    assert problems_of(page) == []
    assert "web1 is ready" in page
    assert "by anna" in page
    assert "Log in" in page
    again = admin.post(f"{url}/test", htmx=True).text
    assert problems_of(again) == []
    assert "web1 is ready" in again
    assert sshd.key.read_text().splitlines()[1] not in page + admin.get(f"{url}/edit").text


def test_a_changed_key_is_shown_beside_the_confirmed_one(admin: Browser, sshd: Sshd) -> None:
    url = add(admin, sshd, "changed")
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    assert admin.post(f"{url}/confirm", {"host_keys": other}).status_code == 303
    page = admin.get(url).text
    assert "cannot be used" in page
    assert "another host key" in page
    asked = admin.post(f"{url}/keys").text
    assert problems_of(asked) == []
    assert "is not shown any more" in asked
    listed = admin.get("/hosts").text
    assert problems_of(listed) == []
    assert "Cannot be used" in listed


def test_an_operator_tests_from_the_list_and_sees_no_address(as_: As, admin: Browser, sshd: Sshd) -> None:
    url = confirmed(admin, sshd, "tested")
    operator = as_("operator")
    card = operator.post(f"{url}/test", {"from_list": "yes"})
    assert card.headers["Location"] == "/hosts"
    page = operator.get("/hosts").text
    assert "tested" in page
    assert f"@{sshd.server().host}" not in page
    assert operator.get(url).status_code == 403


def test_a_host_is_changed_and_deleted(admin: Browser, sshd: Sshd) -> None:
    url = confirmed(admin, sshd, "short-lived")
    kept = {**host_form(sshd, "renamed"), "login": "keep", "private_key": ""}
    assert problems_of(admin.get(f"{url}/edit").text) == []
    assert admin.post(url, kept).status_code == 303
    assert "renamed is ready" in admin.get(url).text
    question = admin.get(f"{url}/delete").text
    assert problems_of(question) == []
    assert admin.post(f"{url}/delete").headers["Location"] == "/hosts"
    assert admin.get(url).status_code == 404


def test_a_config_of_a_host_is_made_previewed_and_restored_to_it(
    world: World, admin: Browser, sshd: Sshd, tmp_path: Path
) -> None:
    url = confirmed(admin, sshd, "server")
    host_id = url.rpartition("/")[2]
    (tmp_path / "tree" / "docs").mkdir(parents=True)
    (tmp_path / "tree" / "docs" / "a.txt").write_text("a\n")
    form = admin.get(f"/configs/new?host_id={host_id}").text
    assert problems_of(form) == []
    assert re.search(rf'<option value="{host_id}" selected>', form)
    folders = admin.fragment(f"/configs/folders?host_id={host_id}&path={tmp_path}/tree").text
    assert problems_of(folders) == []
    assert "docs" in folders
    data = {
        "type": "files", "name": "Server files", "host_id": host_id, "paths": str(tmp_path / "tree"),
        "schedule": "manual", "time": "03:00", "timezone": "UTC", "then": "save",
    }  # fmt: skip
    preview = admin.post("/configs/preview", data, htmx=True).text
    assert problems_of(preview) == []
    assert "1 file, 2 B on server" in preview
    summary = admin.post("/configs/summary", data, htmx=True).text
    assert f"server:{tmp_path}/tree" in summary
    answer = admin.post("/configs", data)
    assert answer.status_code == 303, answer.text
    config = admin.get(answer.headers["Location"]).text
    assert problems_of(config) == []
    assert f'href="{url}"' in config
    refused = admin.post(f"{url}/delete")
    assert refused.status_code == 409
    assert "Server files" in refused.text


def test_a_point_is_restored_to_a_host(world: World, admin: Browser, sshd: Sshd, tmp_path: Path) -> None:
    url = confirmed(admin, sshd, "target")
    host_id = url.rpartition("/")[2]
    page = admin.get(f"/restores/new?point_id={world.point_id}").text
    assert problems_of(page) == []
    assert f'<option value="{host_id}"' in page
    data = {
        "point_id": world.point_id, "all": "yes", "host_id": host_id, "conflict": "keep",
        "target_path": str(tmp_path / "there"),
    }  # fmt: skip
    looked = admin.post("/restores/check", data)
    assert looked.status_code == 200
    assert problems_of(looked.text) == []
    assert "It can go there" in looked.text
    assert not (tmp_path / "there").exists()
    wrong = admin.post("/restores", {**data, "target_path": f"{tmp_path}/not/there"})
    assert wrong.status_code == 422
    assert "there is no folder" in wrong.text
    answer = admin.post("/restores", data)
    assert answer.status_code == 303, answer.text
    job_id = int(answer.headers["Location"].rpartition("/")[2])
    with world.app.app_context():
        job = run(restores.of_job(job_id).job)
        assert job.status == "completed", job.summary
    assert (Path(f"{tmp_path}/there{world.tree}") / "letters" / "old" / "first.txt").exists()
    page = admin.get(f"/jobs/{job_id}").text
    assert f"target:{tmp_path}/there" in page
    assert problems_of(admin.get("/restores").text) == []


def test_a_file_is_put_back_where_it_was(world: World, admin: Browser, sshd: Sshd, tmp_path: Path) -> None:
    host_id = confirmed(admin, sshd, "origin").rpartition("/")[2]
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.txt").write_text("a\n")
    with world.app.app_context():
        source = {"paths": [str(tmp_path / "tree")], "host_id": host_id}
        config_id = configs.create(configs.ConfigInput(name="Origin", source=source)).id
        back_up(config_id)
        found = points.latest(config_id)
        assert found is not None
        point_id = found.id
        token = token_from_path(str(tmp_path / "tree" / "a.txt").encode())
    chosen = {"point_id": point_id, "path": token}
    page = admin.post("/restores/new", chosen).text
    assert problems_of(page) == []
    assert "Back where they were on origin" in page
    data = {**chosen, "host_id": host_id, "conflict": "replace", "put_back": "yes", "target_path": ""}
    answer = admin.post("/restores", data)
    assert answer.status_code == 303, answer.text
    again = admin.post("/restores", data)
    assert again.status_code == 422
    assert problems_of(again.text) == []
    assert "is being backed up already" in again.text.replace("&#39;", "'")


def test_two_admins_cannot_confirm_different_keys_unseen(admin: Browser, sshd: Sshd) -> None:
    url = confirmed(admin, sshd, "raced")
    asked = admin.post(f"{url}/keys", htmx=True).text
    lines = re.findall(r'name="host_keys" value="([^"]+)"', asked)
    then = re.findall(r'name="pinned_then" value="([^"]+)"', asked)[0]
    assert len(lines) > 1
    first = admin.post(f"{url}/confirm", {"host_keys": lines[1], "pinned_then": then})
    assert first.status_code == 303
    late = admin.post(f"{url}/confirm", {"host_keys": lines[0], "pinned_then": then})
    assert late.status_code == 422
    assert problems_of(late.text) == []
    assert "has confirmed another key" in late.text
    again = re.findall(r'name="pinned_then" value="([^"]+)"', late.text)[0]
    assert admin.post(f"{url}/confirm", {"host_keys": lines[0], "pinned_then": again}).status_code == 303
