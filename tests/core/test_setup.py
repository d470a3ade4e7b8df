"""First start, by browser and by environment, killed at any step, and refused where it would do harm."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core import app_state, instance, setup
from core.access import users
from core.configs import configs
from core.db import db
from core.errors import Conflict, Invalid, Refused
from core.models import RepositoryRecord, Storage
from core.settings import load
from core.storages import recovery, storage_setup, storages
from repository.repository import Repository
from storage_adapters.errors import StorageFull
from storage_adapters.local import LocalAdapter

PASSWORD = "correct horse battery"
GIVEN = "my own long password"


def admin() -> None:
    """Make the first admin."""
    setup.create_admin(setup.setup_token() or "", "root", PASSWORD)


def with_environment(environ: dict[str, str], **more: str) -> None:
    """Prepare the process for a changed environment on the same data folder."""
    app_state.prepare(load(environ | more))


def restic_ids(restic: str, path: Path, password: str) -> str:
    """Return what the real restic says is the repository's id at `path`/repository."""
    command = [restic, "--no-cache", "-r", str(path / "repository"), "cat", "config"]
    done = subprocess.run(
        command, env={"RESTIC_PASSWORD": password}, capture_output=True, text=True, check=True, timeout=240
    )
    return str(json.loads(done.stdout)["id"])


def test_the_steps_follow_each_other(context: Flask, tmp_path: Path) -> None:
    assert setup.stage() == "admin"
    admin()
    assert setup.stage() == "storage"
    setup.create_first_storage(str(tmp_path / "disk"))
    assert setup.stage() == "recovery"
    groups = setup.recovery_key().split("-")
    setup.confirm_recovery_key([groups[position - 1] for position in setup.recovery_challenge()])
    assert setup.stage() == "config"
    configs.create(configs.parse({"name": "Wiki", "source": {"paths": ["/etc"]}}))
    assert setup.stage() == "done"


def test_the_link_works_once(context: Flask) -> None:
    token = setup.setup_token() or ""
    assert setup.token_matches(token)
    assert setup.setup_token() == token
    setup.create_admin(token, "root", PASSWORD)
    assert setup.setup_token() is None
    assert not setup.token_matches(token)
    with pytest.raises(Refused):
        setup.create_admin(token, "second", PASSWORD)
    assert [user.name for user in users.list_all()] == ["root"]
    assert users.list_all()[0].last_login_at is not None


@pytest.mark.parametrize("token", ["", "wrong", "\udcff"])
def test_a_wrong_link_makes_no_admin(context: Flask, token: str) -> None:
    setup.setup_token()
    with pytest.raises(Refused):
        setup.create_admin(token, "root", PASSWORD)
    assert not users.any_admin()


def test_a_weak_password_leaves_the_link_valid(context: Flask) -> None:
    token = setup.setup_token() or ""
    with pytest.raises(Invalid) as caught:
        setup.create_admin(token, "root", "short")
    assert "password" in caught.value.fields
    assert setup.token_matches(token)


def test_restic_opens_the_repository_with_the_recovery_key(
    context: Flask, tmp_path: Path, restic: str
) -> None:
    storage = setup.create_first_storage(str(tmp_path / "disk"))
    record = storage.repositories[0]
    assert restic_ids(restic, tmp_path / "disk", setup.recovery_key()) == record.repository_id
    assert storages.open_repository(record).id == record.repository_id


def test_the_recovery_key_stands_nowhere_in_plain(context: Flask, tmp_path: Path) -> None:
    setup.create_first_storage(str(tmp_path / "disk"))
    key = setup.recovery_key()
    assert len(key) == 47
    db.session.remove()
    for folder, _, names in os.walk(tmp_path):
        for name in names:
            content = Path(folder, name).read_bytes()
            assert key.encode() not in content
            assert key.split("-")[3].encode() + b"-" not in content


def test_parts_are_read_as_people_write_them(context: Flask, tmp_path: Path) -> None:
    setup.create_first_storage(str(tmp_path / "disk"))
    groups = setup.recovery_key().split("-")
    typed = [
        f" {groups[at - 1].lower().replace('0', 'o').replace('1', 'l')} " for at in setup.recovery_challenge()
    ]
    setup.confirm_recovery_key(typed)
    assert recovery.confirmed()
    assert instance.recovery_key_confirmed()
    with pytest.raises(Refused):
        setup.recovery_key()


@pytest.mark.parametrize("parts", [[], ["", "", ""], ["AAAAA", "AAAAA", "AAAAA"], ["Ü", "-", " "]])
def test_wrong_parts_are_named(context: Flask, tmp_path: Path, parts: list[str]) -> None:
    setup.create_first_storage(str(tmp_path / "disk"))
    with pytest.raises(Invalid) as caught:
        setup.confirm_recovery_key(parts)
    assert set(caught.value.fields) == {f"part_{at}" for at in setup.recovery_challenge()}
    assert not recovery.confirmed()


def test_the_question_stays_the_same_until_it_is_answered(context: Flask, tmp_path: Path) -> None:
    setup.create_first_storage(str(tmp_path / "disk"))
    asked = setup.recovery_challenge()
    assert len(asked) == 3
    assert all(setup.recovery_challenge() == asked for _ in range(5))


def test_a_second_first_storage_is_a_conflict(context: Flask, tmp_path: Path) -> None:
    setup.create_first_storage(str(tmp_path / "disk"))
    key = setup.recovery_key()
    with pytest.raises(Conflict):
        setup.create_first_storage(str(tmp_path / "other"))
    assert setup.recovery_key() == key
    assert not (tmp_path / "other").exists()


class Killed(BaseException):
    """Stands for the end of the process: nothing in the product catches it."""


@pytest.mark.parametrize("write", range(5))
def test_killed_after_any_write_the_next_try_goes_on(
    context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restic: str, write: int
) -> None:
    """Writes: 0 marker, 1 key file, 2 config; 3: before the rows; 4: after the recovery key."""
    count = 0
    put = LocalAdapter.put

    def dying_put(self: LocalAdapter, key: str, data: bytes) -> None:
        nonlocal count
        put(self, key, data)
        count += 1
        if count == write + 1:
            raise Killed

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as faults:
        faults.setattr(LocalAdapter, "put", dying_put)
        if write == 3:
            faults.setattr(storage_setup, "_add_rows", die)
        if write == 4:
            faults.setattr(storage_setup, "create_local", die)
        with pytest.raises(Killed):
            setup.create_first_storage(str(tmp_path / "disk"))
    key = recovery.stored()
    assert key is not None
    assert db.session.scalar(select(Storage.id)) is None

    storage = setup.create_first_storage(str(tmp_path / "disk"))
    assert recovery.stored() == key
    assert restic_ids(restic, tmp_path / "disk", key) == storage.repositories[0].repository_id
    assert len(os.listdir(tmp_path / "disk" / "repository" / "keys")) == 1
    assert len(db.session.scalars(select(RepositoryRecord)).all()) == 1


def test_a_full_disk_is_said_and_the_next_try_goes_on(
    context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: LocalAdapter, key: str, data: bytes) -> None:
        raise StorageFull("no space left")

    with monkeypatch.context() as faults:
        faults.setattr(LocalAdapter, "put", full)
        with pytest.raises(Refused, match="no space left"):
            setup.create_first_storage(str(tmp_path / "disk"))
    assert setup.create_first_storage(str(tmp_path / "disk")).initialised_at is not None


def test_a_folder_that_holds_something_else_is_refused_untouched(context: Flask, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"meow")
    with pytest.raises(Refused, match=r"cat\.jpg"):
        setup.create_first_storage(str(tmp_path / "photos"))
    assert os.listdir(tmp_path / "photos") == ["cat.jpg"]


def test_what_every_file_system_has_is_no_hindrance(context: Flask, tmp_path: Path) -> None:
    (tmp_path / "disk" / "lost+found").mkdir(parents=True)
    (tmp_path / "disk" / ".Trash-1000").mkdir()
    assert setup.create_first_storage(str(tmp_path / "disk"))


def test_the_storage_of_another_install_is_refused(context: Flask, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / ".holdfast-storage").write_text('{"storage": "of somebody else"}')
    with pytest.raises(Refused, match="another Holdfast"):
        setup.create_first_storage(str(tmp_path / "disk"))
    assert os.listdir(tmp_path / "disk") == [".holdfast-storage"]


@pytest.mark.parametrize("path", ["", "relative/path", "/", "/etc", "//", "/usr/", "/a\nb"])
def test_impossible_paths_are_named(context: Flask, path: str) -> None:
    with pytest.raises(Invalid) as caught:
        setup.create_first_storage(path)
    assert "path" in caught.value.fields
    assert recovery.stored() is None


@pytest.mark.parametrize("relation", ["same", "inside", "around", "link"])
def test_the_data_folder_is_no_storage(context: Flask, tmp_path: Path, relation: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "data")
    path = {"same": "data", "inside": "data/x", "around": "", "link": "link/disk"}[relation]
    with pytest.raises(Invalid, match="data folder"):
        setup.create_first_storage(str(tmp_path / path))


def make_repository(path: Path, password: str) -> str:
    """Make a repository as an earlier install has left it, without its marker; return its id."""
    (path / "repository").mkdir(parents=True)
    repository = Repository.init(LocalAdapter(str(path / "repository")), password, kdf=storages.KDF)
    repository.close()
    return repository.id


def test_a_repository_is_adopted_with_its_key(context: Flask, tmp_path: Path) -> None:
    known = make_repository(tmp_path / "disk", GIVEN)
    (tmp_path / "disk" / ".holdfast-storage").write_text('{"storage": "earlier"}')
    storage = setup.create_first_storage(str(tmp_path / "disk"), existing_key=GIVEN)
    assert storage.repositories[0].repository_id == known
    assert storage.marker_id == "earlier"
    assert storages.open_repository(storage.repositories[0]).id == known
    assert setup.recovery_challenge() == [1]
    with pytest.raises(Refused):
        setup.recovery_key()
    setup.confirm_recovery_key([GIVEN])
    assert recovery.confirmed()


@pytest.mark.parametrize("key", ["", "another password"])
def test_a_repository_that_the_key_does_not_open_is_refused(context: Flask, tmp_path: Path, key: str) -> None:
    make_repository(tmp_path / "disk", GIVEN)
    before = sorted(os.walk(tmp_path / "disk"))
    with pytest.raises(Refused, match="does not open it"):
        setup.create_first_storage(str(tmp_path / "disk"), existing_key=key)
    assert sorted(os.walk(tmp_path / "disk")) == before
    assert recovery.stored() is None


def test_a_key_without_a_repository_is_said(context: Flask, tmp_path: Path) -> None:
    with pytest.raises(Invalid) as caught:
        setup.create_first_storage(str(tmp_path / "disk"), existing_key=GIVEN)
    assert "existing_key" in caught.value.fields
    assert not (tmp_path / "disk").exists()


def test_a_path_that_itself_is_a_repository_is_adopted_as_it_is(context: Flask, tmp_path: Path) -> None:
    make_repository(tmp_path, GIVEN)
    before = set(os.listdir(tmp_path / "repository"))
    storage = setup.create_first_storage(str(tmp_path / "repository"), existing_key=GIVEN)
    (record,) = storage.repositories
    assert (record.prefix, record.adopted) == ("", True)
    assert set(os.listdir(tmp_path / "repository")) == before | {".holdfast-storage"}
    storages.open_repository(record).close()


def test_the_environment_alone_sets_up(
    context: Flask, environ: dict[str, str], tmp_path: Path, restic: str
) -> None:
    with_environment(
        environ,
        BACKUP_ENCRYPTION_KEY=GIVEN,
        BACKUP_PATHS="/etc:/usr/share/doc",
        BACKUP_RETENTION_DAYS="9",
        BACKUP_COMPRESSION="max",
    )
    assert setup.apply_environment(app_state.settings()) == []
    (config,) = configs.list_all()
    assert (config.name, config.enabled, config.cron) == ("Daily Files", True, "0 3 * * *")
    assert config.source["paths"] == ["/etc", "/usr/share/doc"]
    assert config.retention == {"days": 9, "max_backups": None}
    assert (config.compression, config.timezone) == ("max", "Europe/Berlin")
    assert restic_ids(restic, tmp_path / "backups", GIVEN) == config.destinations[0].repository.repository_id


def test_a_second_start_changes_nothing(context: Flask, environ: dict[str, str]) -> None:
    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN, BACKUP_PATHS="/etc")
    setup.apply_environment(app_state.settings())
    configs.delete(configs.list_all()[0].id)
    setup.apply_environment(app_state.settings())
    assert configs.list_all() == []
    assert len(storages.list_all()) == 1


def test_an_end_before_the_config_was_made_is_mended(
    context: Flask, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN, BACKUP_PATHS="/etc")
    with monkeypatch.context() as faults:
        faults.setattr(configs, "insert", die)
        with pytest.raises(Killed):
            setup.apply_environment(app_state.settings())
    assert configs.list_all() == []
    setup.apply_environment(app_state.settings())
    assert [config.name for config in configs.list_all()] == ["Daily Files"]


def test_without_a_key_the_environment_waits_for_a_person(context: Flask, environ: dict[str, str]) -> None:
    with_environment(environ, BACKUP_PATHS="/etc")
    setup.apply_environment(app_state.settings())
    assert setup.stage() == "admin"
    assert not setup.has_repository()


def test_the_browser_finds_what_the_environment_offers(
    context: Flask, environ: dict[str, str], tmp_path: Path
) -> None:
    with_environment(environ, BACKUP_PATHS="/etc")
    setup.create_first_storage(str(tmp_path / "disk"))
    assert [config.name for config in configs.list_all()] == ["Daily Files"]


def test_a_changed_key_is_refused(context: Flask, environ: dict[str, str]) -> None:
    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN)
    setup.apply_environment(app_state.settings())
    with_environment(environ, BACKUP_ENCRYPTION_KEY="another password")
    with pytest.raises(Refused, match="BACKUP_ENCRYPTION_KEY") as caught:
        setup.apply_environment(app_state.settings())
    assert "another password" not in str(caught.value)
    assert recovery.stored() == GIVEN
    with_environment(environ)
    setup.apply_environment(app_state.settings())


def test_encryption_off_is_refused(context: Flask, environ: dict[str, str]) -> None:
    with_environment(environ, BACKUP_ENCRYPTION="false", BACKUP_ENCRYPTION_KEY=GIVEN)
    with pytest.raises(Refused, match="BACKUP_ENCRYPTION"):
        setup.apply_environment(app_state.settings())
    assert not setup.has_repository()


def test_what_is_not_used_yet_is_said(context: Flask, environ: dict[str, str]) -> None:
    with_environment(environ, HUEY_URL="redis://:hush-hush@h/0")
    (note,) = setup.apply_environment(app_state.settings())
    assert "HUEY_URL" in note
    assert "hush-hush" not in note
    assert setup.notes() == [note]
    with_environment(environ)
    assert setup.apply_environment(app_state.settings()) == []


def test_a_command_on_a_terminal_makes_a_key_once(context: Flask, environ: dict[str, str]) -> None:
    with_environment(environ, BACKUP_PATHS="/etc")
    key = setup.ensure_for_command(interactive=True)
    assert key == recovery.stored()
    assert key is not None
    assert setup.ensure_for_command(interactive=True) is None
    assert [config.name for config in configs.list_all()] == ["Daily Files"]


def test_a_command_without_a_terminal_names_both_ways(context: Flask) -> None:
    with pytest.raises(Refused) as caught:
        setup.ensure_for_command(interactive=False)
    assert "BACKUP_ENCRYPTION_KEY" in str(caught.value)
    assert "terminal" in str(caught.value)
    assert recovery.stored() is None


def test_a_command_without_a_terminal_uses_the_environment(context: Flask, environ: dict[str, str]) -> None:
    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN)
    assert setup.ensure_for_command(interactive=False) is None
    assert setup.has_repository()


def test_a_new_install_adopts_by_environment_what_an_earlier_one_has_left(
    context: Flask, environ: dict[str, str], tmp_path: Path
) -> None:
    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN)
    setup.apply_environment(app_state.settings())
    (first,) = storages.list_all()
    known = (first.marker_id, first.repositories[0].repository_id)
    db.session.remove()

    again = environ | {"HOLDFAST_DATA_DIR": str(tmp_path / "data2"), "BACKUP_ENCRYPTION_KEY": GIVEN}
    app_state.prepare(load(again))
    fresh = Flask("fresh")
    fresh.config["SQLALCHEMY_DATABASE_URI"] = app_state.settings().database_url
    db.init_app(fresh)
    with fresh.app_context():
        setup.apply_environment(app_state.settings())
        (second,) = storages.list_all()
        assert (second.marker_id, second.repositories[0].repository_id) == known
        db.session.remove()
        db.engine.dispose()


def test_an_environment_whose_key_does_not_open_what_is_there_is_refused(
    context: Flask, environ: dict[str, str], tmp_path: Path
) -> None:
    make_repository(tmp_path / "backups", "the password of somebody else")
    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN)
    for _ in range(2):
        with pytest.raises(Refused, match="does not open it"):
            setup.apply_environment(app_state.settings())
    assert recovery.stored() is None
    assert storages.list_all() == []


def test_two_clicks_at_once_make_one_key_and_one_storage(context: Flask, tmp_path: Path, restic: str) -> None:
    outcomes: list[str] = []

    def click() -> None:
        with context.app_context():
            try:
                setup.create_first_storage(str(tmp_path / "disk"))
                outcomes.append("made")
            except Conflict:
                outcomes.append("conflict")

    clicks = [threading.Thread(target=click) for _ in range(3)]
    for each in clicks:
        each.start()
    for each in clicks:
        each.join(120)
    assert sorted(outcomes) == ["conflict", "conflict", "made"]
    (storage,) = storages.list_all()
    known = restic_ids(restic, tmp_path / "disk", setup.recovery_key())
    assert known == storage.repositories[0].repository_id


def test_two_who_open_the_link_at_once_make_one_admin(context: Flask) -> None:
    token = setup.setup_token() or ""
    outcomes: list[str] = []

    def open_link(name: str) -> None:
        with context.app_context():
            try:
                setup.create_admin(token, name, PASSWORD)
                outcomes.append("made")
            except (Conflict, Refused):
                outcomes.append("refused")

    people = [threading.Thread(target=open_link, args=(name,)) for name in ("anna", "bert", "carl")]
    for person in people:
        person.start()
    for person in people:
        person.join(120)
    assert sorted(outcomes) == ["made", "refused", "refused"]
    db.session.rollback()  # what this thread has read is from before
    assert len(users.list_all()) == 1


def test_a_folder_that_cannot_be_used_is_named_by_its_variable(
    context: Flask, environ: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "cat.jpg").touch()
    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN)
    with pytest.raises(Refused, match=r"BACKUP_DIR .*cat\.jpg"):
        setup.apply_environment(app_state.settings())


@pytest.mark.parametrize("key", ["x", "eleven char"])
def test_a_short_key_is_refused_for_a_new_repository_and_adopts_an_old_one(
    context: Flask, environ: dict[str, str], tmp_path: Path, key: str
) -> None:
    with_environment(environ, BACKUP_ENCRYPTION_KEY=key)
    with pytest.raises(Refused, match=f"has {len(key)} characters?: .* at least 12"):
        setup.apply_environment(app_state.settings())
    assert recovery.stored() is None
    assert not (tmp_path / "backups").exists()
    make_repository(tmp_path / "backups", key)
    setup.apply_environment(app_state.settings())
    assert recovery.stored() == key


def test_a_file_is_no_folder_for_a_storage(context: Flask, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "backups").touch()
    with_environment(environ, BACKUP_ENCRYPTION_KEY=GIVEN)
    with pytest.raises(Refused, match=r"backups is a file, not a folder\. ") as caught:
        setup.apply_environment(app_state.settings())
    assert "?." not in caught.value.message
    assert recovery.stored() is None
