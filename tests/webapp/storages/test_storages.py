"""Storages in the browser: added, looked at, tested, changed, replaced, deleted; secrets never come back."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from core.storages import storage_probe, storages
from storage_adapters.s3 import S3Settings
from tests.servers.sshd import Sshd
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import Browser, World
from webapp.storages.storage_pages import shares

SECRET = "a-secret/that+must=never-show"


def test_shares_add_up_to_what_is_used() -> None:
    names = {"1": "Wiki", "2": "Mail"}
    rest = "Indexes, trash, and the like"
    assert shares({"1": 30, "2": 20, "": 10}, names, 100) == {
        "Wiki": 30,
        "Mail": 20,
        "No config": 10,
        rest: 40,
    }
    freed = shares({"1": 300, "2": 100}, names, 200)
    assert freed == {"Wiki": 150, "Mail": 50, rest: 0}
    assert shares({}, names, 0) == {rest: 0}


@pytest.fixture
def admin(as_: As) -> Browser:
    """Return the browser of an admin."""
    return as_("admin")


def local(path: Path, name: str = "Disk", **more: object) -> dict[str, object]:
    return {"provider": "local", "name": name, "path": str(path), **more}


def s3(settings: S3Settings, name: str = "Bucket", **more: object) -> dict[str, object]:
    return {
        "provider": "s3",
        "name": name,
        "endpoint": settings.endpoint,
        "bucket": settings.bucket,
        "prefix": settings.prefix,
        "region": settings.region,
        "path_style": "auto",
        "access_key": settings.access_key,
        "secret_key": settings.secret_key,
        **more,
    }


def sftp(server: Sshd, path: Path, name: str = "Server", **more: object) -> dict[str, object]:
    login = server.server()
    return {
        "provider": "sftp",
        "name": name,
        "host": login.host,
        "port": str(login.port),
        "user": login.user,
        "path": str(path),
        "private_key": login.private_key,
        **more,
    }


def add(browser: Browser, data: dict[str, object]) -> str:
    """Add a storage; return its address."""
    answer = browser.post("/storages", data)
    assert answer.status_code == 303, re.findall(r"<p[^>]*>([^<]+)</p>", answer.text)
    return answer.headers["Location"]


def look(browser: Browser, data: dict[str, object]) -> str:
    """Press “Test this place”; return the fragment."""
    answer = browser.post("/storages/look", data, htmx=True)
    assert problems_of(answer.text) == []
    return answer.text


@pytest.mark.parametrize("provider", ["", "local", "s3", "sftp", "nonsense"])
def test_the_form_of_each_provider_is_sound(admin: Browser, provider: str) -> None:
    page = admin.get(f"/storages/new?provider={provider}").text
    assert problems_of(page) == []
    assert ('id="storage-form"' in page) == (provider in ("local", "s3", "sftp"))


def test_a_viewer_sees_names_and_states_but_no_places(world: World, as_: As) -> None:
    page = as_("viewer").get("/storages").text
    assert "Reachable" in page
    assert str(world.folder / "backups") not in page
    assert ">Where<" not in page
    assert "/storages/new" not in page
    full = as_("admin").get("/storages").text
    assert ">Where<" in full, "with the path, which is shortened where it is long"


def test_a_disk_is_looked_at_added_changed_and_deleted(admin: Browser, tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    found = look(admin, local(place))
    assert "tone-good" in found
    assert list(place.iterdir()) == [], "a look leaves nothing"
    url = add(admin, local(place, quota="100GB", price_per_gb_month="0.02", currency="EUR"))
    page = admin.get(url).text
    assert problems_of(page) == []
    assert "100GB" in admin.get(f"{url}/edit").text
    assert admin.post(url, local(place, "Renamed disk", quota="")).status_code == 303
    assert "Renamed disk" in admin.get(url).text
    question = admin.get(f"{url}/delete").text
    assert problems_of(question) == []
    assert "keep what is on it" in question
    assert admin.post(f"{url}/delete").headers["Location"] == "/storages"
    assert admin.get(url).status_code == 404
    assert (place / "repository" / "config").is_file(), "what is on it stays"


def test_a_storage_in_use_is_not_deleted_and_says_why(world: World, admin: Browser) -> None:
    page = admin.get(f"/storages/{world.storage_id}/delete").text
    assert "cannot be deleted yet" in page
    assert "Letters &amp; &lt;more&gt;" in page
    answer = admin.post(f"/storages/{world.storage_id}/delete")
    assert answer.status_code == 409
    assert "cannot be deleted yet" in answer.text
    assert admin.get(f"/storages/{world.storage_id}").status_code == 200


def test_a_new_path_must_lead_to_the_same_storage(admin: Browser, tmp_path: Path) -> None:
    url = add(admin, local(tmp_path / "first", "Moved disk"))
    answer = admin.post(url, local(tmp_path / "elsewhere", "Moved disk"))
    assert answer.status_code == 422
    assert problems_of(answer.text) == []
    shutil.move(tmp_path / "first", tmp_path / "elsewhere")
    assert admin.post(url, local(tmp_path / "elsewhere", "Moved disk")).status_code == 303
    assert str(tmp_path / "elsewhere") in admin.get(url).text


def test_what_belongs_to_somebody_else_is_refused(admin: Browser, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"not ours")
    assert "tone-bad" in look(admin, local(tmp_path, "Foreign"))
    answer = admin.post("/storages", local(tmp_path, "Foreign"))
    assert answer.status_code == 422
    assert problems_of(answer.text) == []
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_restic_repository_is_adopted_with_its_password(
    admin: Browser, tmp_path: Path, restic: str
) -> None:
    place, password = tmp_path / "old" / "repository", "its own password"
    (tmp_path / "kept.txt").write_text("kept\n")
    for words in (["init"], ["backup", str(tmp_path / "kept.txt")]):
        command = [restic, "--no-cache", "-r", str(place), *words]
        subprocess.run(command, env={"RESTIC_PASSWORD": password}, check=True, capture_output=True)
    data = local(tmp_path / "old", "Adopted")
    assert "tone-bad" in look(admin, data)
    refused = admin.post("/storages", {**data, "password_there": SECRET})
    assert refused.status_code == 422
    assert SECRET not in refused.text
    assert "tone-good" in look(admin, {**data, "password_there": password})
    page = admin.get(add(admin, {**data, "password_there": password})).text
    assert "taken over" in page


def test_a_repository_that_lies_at_the_root_is_adopted_where_it_is(
    admin: Browser, tmp_path: Path, restic: str
) -> None:
    place, password = tmp_path / "plain", "its own password"
    command = [restic, "--no-cache", "-r", str(place), "init"]
    subprocess.run(command, env={"RESTIC_PASSWORD": password}, check=True, capture_output=True)
    page = admin.get(add(admin, {**local(place, "Plain"), "password_there": password})).text
    assert problems_of(page) == []
    assert "at its root" in page
    assert f"restic -r {place} snapshots" in page


def test_a_bucket_is_tried_before_it_is_added_and_keeps_its_secret(
    world: World, admin: Browser, s3_settings: S3Settings
) -> None:
    wrong = look(admin, s3(s3_settings, secret_key=SECRET))
    assert "tone-bad" in wrong
    assert SECRET not in wrong
    refused = admin.post("/storages", s3(s3_settings, secret_key=SECRET))
    assert refused.status_code == 422
    assert SECRET not in refused.text
    assert "Type passwords and secret keys again" in refused.text
    url = add(admin, s3(s3_settings))
    page, form = admin.get(url).text, admin.get(f"{url}/edit").text
    assert problems_of(page) + problems_of(form) == []
    assert s3_settings.secret_key not in page + form
    kept = s3(s3_settings, "Bucket anew", access_key="", secret_key="")
    assert admin.post(url, kept).status_code == 303
    with world.app.app_context():
        (storage,) = (one for one in storages.list_all() if one.name == "Bucket anew")
        assert "Wrote" in storage_probe.test(storage)
    assert admin.post(f"{url}/test").headers["Location"] == "/storages"
    assert admin.post(f"{url}/delete").status_code == 303


def test_a_server_is_known_by_a_key_that_a_person_ticks(
    world: World, admin: Browser, sshd: Sshd, tmp_path: Path
) -> None:
    data = sftp(sshd, tmp_path / "there")
    asked = look(admin, data)
    assert "SHA256:" in asked
    assert "checked" not in asked
    unconfirmed = admin.post("/storages", data)
    assert unconfirmed.status_code == 422
    assert "SHA256:" in unconfirmed.text
    assert problems_of(unconfirmed.text) == []
    assert not (tmp_path / "there").exists()
    ticked = {**data, "host_keys": re.findall(r'name="host_keys" value="([^"]+)"', asked)[0]}
    assert "tone-good" in look(admin, ticked)
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    refused = look(admin, {**data, "host_keys": other})
    assert "tone-bad" in refused
    assert refused.count("SHA256:") > asked.count("SHA256:"), "both keys are shown"
    assert "Wrote" not in refused
    url = add(admin, ticked)
    form = admin.get(f"{url}/edit").text
    assert problems_of(form) == []
    assert str(data["private_key"]).splitlines()[1] not in form
    assert re.search(r'name="host_keys" value="[^"]+" checked', form)
    kept = {**ticked, "private_key": "", "name": "Server anew"}
    assert admin.post(url, kept).status_code == 303
    with world.app.app_context():
        (storage,) = (one for one in storages.list_all() if one.name == "Server anew")
        assert "Wrote" in storage_probe.test(storage)


def test_a_lost_storage_begins_anew_elsewhere(admin: Browser, tmp_path: Path) -> None:
    url = add(admin, local(tmp_path / "dying", "Dying disk"))
    there = admin.post(f"{url}/replace", local(tmp_path / "new", "Dying disk"))
    assert there.status_code == 422, "it is not lost while it answers"
    shutil.rmtree(tmp_path / "dying")
    assert "Replace the lost storage" in admin.get(url).text
    question = admin.get(f"{url}/replace").text
    assert problems_of(question) == []
    assert admin.post(f"{url}/replace", local(tmp_path / "new", "Dying disk")).status_code == 303
    page = admin.get(url).text
    assert "Reachable" in page
    assert str(tmp_path / "new") in page


def test_without_javascript_a_look_keeps_what_was_typed(admin: Browser, tmp_path: Path) -> None:
    answer = admin.post("/storages/look", local(tmp_path / "new", "Typed", quota="5 TB"))
    assert answer.status_code == 200
    assert problems_of(answer.text) == []
    assert 'value="Typed"' in answer.text
    assert 'value="5 TB"' in answer.text


def test_changing_a_storage_does_not_tick_what_was_not_ticked(world: World, as_: As) -> None:
    browser = as_("admin")
    page = browser.get(f"/storages/{world.storage_id}/edit").text
    assert re.search(r'name="offsite" value="yes"(?! checked)', page)
    assert 'name="offsite" value="yes" checked' not in page
