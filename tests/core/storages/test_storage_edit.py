"""A storage is changed only for itself, deleted only when nothing depends on it, replaced only when lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from core.backups import copying
from core.configs import configs
from core.db import write
from core.errors import Conflict, Invalid, NotFound, Refused
from core.jobs import attempts, jobs
from core.jobs.outcomes import Outcome
from core.models import Config, Job, Storage
from core.points import points
from core.restores import restores
from core.storages import providers, recovery, storage_edit, storage_setup, storage_uses, storages
from core.storages.storage_inputs import StorageInput
from tests.core.backups.test_copying import add_disk, copy_jobs, first, make_config
from tests.core.making import back_up, make_storage, restic, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def two(tmp_path: Path) -> Config:
    """Return a config with two disks and a point on both."""
    make_storage(tmp_path)
    config = make_config(tmp_path, [first(), {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"}])
    back_up(config.id)
    run(copy_jobs()[0])
    return configs.get(config.id)


def by_name(name: str) -> Storage:
    """Return a storage by its name."""
    return next(storage for storage in storages.list_all() if storage.name == name)


def changed(storage: Storage, **fields: object) -> StorageInput:
    """Return a storage's form with some fields changed."""
    return providers.parse({**providers.to_form(storage), **fields}, storage)


def test_facts_are_changed_without_looking_at_the_place(two: Config, tmp_path: Path) -> None:
    storage = by_name("second")
    (tmp_path / "second").rename(tmp_path / "away")
    given = changed(
        storage, name="Cellar", quota="100GB", site="cellar", offsite="yes", media="offline",
        price_per_gb_month="0.02", currency="eur", upload_limit="10MB",
    )  # fmt: skip
    storage_edit.update(storage.id, given)
    storage = by_name("Cellar")
    assert (storage.quota_bytes, storage.site, storage.offsite) == (100 * 10**9, "cellar", True)
    assert (storage.media, storage.currency, storage.upload_limit) == ("offline", "EUR", 10**7)
    form = providers.to_form(storage)
    assert (form["quota"], form["upload_limit"], form["price_per_gb_month"]) == ("100GB", "10MB", "0.02")


def test_it_may_move_with_all_that_is_in_it_and_no_other_takes_its_place(two: Config, tmp_path: Path) -> None:
    storage = by_name("second")
    shutil.copytree(tmp_path / "second", tmp_path / "moved")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Refused, match="is not the storage second"):
        storage_edit.update(storage.id, changed(storage, path=str(tmp_path / "empty")))
    with pytest.raises(Invalid, match="overlaps the storage"):
        storage_edit.update(storage.id, changed(storage, path=str(tmp_path / "backups")))
    shutil.rmtree(tmp_path / "second")
    storages.check_all()
    storage_edit.update(storage.id, changed(by_name("second"), path=str(tmp_path / "moved")))
    assert by_name("second").unreachable_since is None
    restic(tmp_path / "moved" / "repository", "check")
    with pytest.raises(Conflict):
        storage_edit.update(storage.id, changed(by_name("second"), name="Local disk"))


def test_another_repository_behind_the_same_marker_is_refused(two: Config, tmp_path: Path) -> None:
    storage = by_name("second")
    shutil.copytree(tmp_path / "second", tmp_path / "moved")
    shutil.rmtree(tmp_path / "moved" / "repository")
    shutil.copytree(tmp_path / "backups" / "repository", tmp_path / "moved" / "repository")
    with pytest.raises(Refused, match="another one"):
        storage_edit.update(storage.id, changed(storage, path=str(tmp_path / "moved")))


def test_it_is_not_deleted_while_it_is_used_or_holds_an_only_copy(two: Config, tmp_path: Path) -> None:
    first_one, second = by_name("Local disk"), by_name("second")
    with pytest.raises(Refused, match="It is a destination of Files"):
        storage_edit.delete(second.id)
    data = configs.to_input(two)
    alone = data.model_copy(update={"destinations": data.destinations[:1]})
    configs.update(two.id, alone)
    assert storage_uses.why_not_delete(second.id) == []
    with pytest.raises(Refused) as caught:
        storage_edit.delete(first_one.id)
    assert "destination of Files" in str(caught.value)
    back_up(two.id)
    _, only = storage_uses.why_not_delete(first_one.id)
    assert only.startswith("It holds the only copy of 1 point; the newest is Files, ")
    before = sorted(path.name for path in (tmp_path / "second").rglob("*"))
    storage_edit.delete(second.id)
    assert sorted(path.name for path in (tmp_path / "second").rglob("*")) == before
    with pytest.raises(NotFound):
        storages.get(second.id)
    assert [len(point.copies) for point in points.list_for(two.id)] == [1, 1]


def test_what_was_deleted_can_be_adopted_again_with_its_points(two: Config, tmp_path: Path) -> None:
    data = configs.to_input(two)
    configs.update(two.id, data.model_copy(update={"destinations": data.destinations[:1]}))
    storage_edit.delete(by_name("second").id)
    add_disk(tmp_path, "second")
    assert by_name("second").repositories[0].adopted
    assert [len(point.copies) for point in points.list_for(two.id)] == [2]


def test_a_lost_storage_is_replaced_and_filled_from_the_other(two: Config, tmp_path: Path) -> None:
    lost = by_name("Local disk")
    given = changed(lost, path=str(tmp_path / "new"))
    with pytest.raises(Refused, match="is there and answers"):
        storage_edit.replace_lost(lost.id, given)
    shutil.rmtree(tmp_path / "backups")
    with pytest.raises(Invalid, match="overlaps"):
        storage_edit.replace_lost(lost.id, changed(lost, path=str(tmp_path / "second")))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a-file").write_text("x")
    with pytest.raises(Refused, match="an empty place"):
        storage_edit.replace_lost(lost.id, changed(lost, path=str(tmp_path / "full")))
    (job,) = storage_edit.replace_lost(lost.id, given)
    assert run(job).status == "completed"
    assert all(not gap.missing for gap in copying.gaps(configs.get(two.id)))
    restic(tmp_path / "new" / "repository", "check", "--read-data")
    change = back_up(two.id)
    assert (change.status, change.counts["data_blobs"]) == ("completed", 0)


def test_killed_in_the_middle_a_replacement_goes_on(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = by_name("Local disk")
    shutil.rmtree(tmp_path / "backups")
    given = changed(lost, path=str(tmp_path / "new"))

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as fault:
        fault.setattr(storage_edit, "_save", die)
        with pytest.raises(Killed):
            storage_edit.replace_lost(lost.id, given)
    (job,) = storage_edit.replace_lost(lost.id, given)
    assert run(job).status == "completed"


def test_a_restic_repository_is_adopted_browsed_and_gone_on_with(two: Config, tmp_path: Path) -> None:
    import os
    import subprocess

    from core.db import db
    from core.models import Point
    from core.points import browse

    environment = {**os.environ, "RESTIC_PASSWORD": "password of theirs"}

    def theirs(*arguments: str) -> None:
        command = ["restic", "--no-cache", "-q", "-r", str(tmp_path / "theirs"), *arguments]
        subprocess.run(command, check=True, env=environment)

    theirs("init")
    theirs("backup", str(tmp_path / "tree"))
    data = providers.parse({"provider": "local", "name": "Theirs", "path": str(tmp_path / "theirs")})
    found = storage_setup.look(data)
    assert (found.kind, found.opens, found.ok) == ("repository", False, False)
    with pytest.raises(Refused):
        storage_setup.create(data)
    assert storage_setup.look(data, "password of theirs").snapshots == 1
    record = storage_setup.create(data, "password of theirs").repositories[0]
    (point,) = [each for each in db.session.query(Point) if each.config_id is None]
    names = {row.name for row in browse.list_dir(point, os.fsencode(tmp_path / "tree" / "sub"))}
    assert names == {"0.txt", "1.txt", "2.txt"}
    config = make_config(tmp_path, [{"repository_id": record.id}], "Goes on")
    job = back_up(config.id)
    assert (job.status, job.counts["data_blobs"]) == ("completed", 0)
    theirs("check", "--read-data")
    assert storage_uses.uses(record.storage_id).only_copies == len(points.list_for(config.id))


def test_a_password_for_an_empty_place_is_a_mistake(two: Config, tmp_path: Path) -> None:
    data = providers.parse({"provider": "local", "name": "Third", "path": str(tmp_path / "third")})
    assert storage_setup.look(data).kind == "missing"
    with pytest.raises(Invalid) as caught:
        storage_setup.create(data, "some password")
    assert list(caught.value.fields) == ["password_there"]
    storage = storage_setup.create(data)
    assert storages.password_of(storage.repositories[0]) == recovery.stored()
    again = providers.parse({"provider": "local", "name": "Fourth", "path": str(tmp_path / "fourth")})
    (tmp_path / "fourth").mkdir()
    assert storage_setup.look(again).kind == "empty"
    (tmp_path / "fourth" / "cat picture.jpg").write_text("x")
    assert (storage_setup.look(again).kind, storage_setup.look(again).ok) == ("foreign", False)


def claimed(job: Job) -> attempts.Attempt:
    """Return a job that runs."""
    attempt = attempts.claim(job.id)
    assert attempt is not None
    return attempt


def ended(attempt: attempts.Attempt) -> None:
    """End a job."""
    attempts.finish(attempt, Outcome("cancelled", "Ended."))


def test_a_storage_is_not_moved_while_a_job_writes_to_it(two: Config, tmp_path: Path) -> None:
    """What it writes to the old place after that was copied would be missing at the new one."""
    storage = by_name("Local disk")
    shutil.copytree(tmp_path / "backups", tmp_path / "moved")
    given = changed(storage, path=str(tmp_path / "moved"))
    for job in (jobs.create_backup(two.id, "manual"), jobs.create_retention("schedule")):
        attempt = claimed(job)
        with pytest.raises(Conflict, match=f"Job {job.id} is writing to Local disk"):
            storage_edit.update(storage.id, given)
        assert by_name("Local disk").settings["path"] == str(tmp_path / "backups")
        storage_edit.update(storage.id, changed(storage, name="Local disk", quota="5TB"))
        ended(attempt)
    storage_edit.update(storage.id, given)
    assert back_up(two.id).status == "completed"


def test_a_backup_to_one_storage_does_not_keep_another_from_moving(two: Config, tmp_path: Path) -> None:
    attempt = claimed(jobs.create_backup(two.id, "manual"))
    attempts.note_repository(attempt, two.destinations[0].repository_id)
    (tmp_path / "second").rename(tmp_path / "moved")
    second = by_name("second")
    storage_edit.update(second.id, changed(second, path=str(tmp_path / "moved")))
    assert by_name("second").settings["path"] == str(tmp_path / "moved")


def test_a_storage_is_not_replaced_while_a_job_still_tries_to_write_to_it(
    two: Config, tmp_path: Path
) -> None:
    """It may come back at any moment, and the job end well: at the old place."""
    attempt = claimed(jobs.create_backup(two.id, "manual"))
    (tmp_path / "backups").rename(tmp_path / "away")
    storage = by_name("Local disk")
    given = changed(storage, path=str(tmp_path / "fresh"))
    with pytest.raises(Conflict, match=r"is writing to Local disk"):
        storage_edit.replace_lost(storage.id, given)
    assert not (tmp_path / "fresh").exists()
    ended(attempt)
    assert len(storage_edit.replace_lost(storage.id, given)) == 1


def test_a_storage_is_not_deleted_while_a_restore_or_a_copy_reads_from_it(
    two: Config, tmp_path: Path
) -> None:
    point = points.latest(two.id)
    assert point is not None
    there = next(copy for copy in point.copies if copy.repository.storage.name == "second")
    given = configs.to_input(configs.get(two.id))
    configs.update(two.id, given.model_copy(update={"destinations": given.destinations[:1]}))
    wanted = restores.RestoreInput(
        point_id=point.id, target_path=str(tmp_path / "out"), copy_id=there.id, include=[]
    )
    attempt = claimed(restores.create(wanted))
    second = by_name("second").id
    with pytest.raises(Refused, match=f"Job {attempt.job_id} is using it"):
        storage_edit.delete(second)
    ended(attempt)
    with write() as session:
        job = jobs.add_job(
            session, kind="copy", trigger="manual", config_id=two.id,
            repository_id=given.destinations[0].repository_id,
        )  # fmt: skip
    attempt = claimed(job)
    with pytest.raises(Refused, match=f"Job {job.id} is using it"):
        storage_edit.delete(second)
    ended(attempt)
    storage_edit.delete(second)
    assert [storage.name for storage in storages.list_all()] == ["Local disk"]
