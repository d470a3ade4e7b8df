"""When a storage is down, backups go to the next one and restores read from another; each says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.alerting import alerts
from core.backups import copying, failover
from core.configs import configs, states
from core.db import db, write
from core.errors import Unreachable
from core.jobs import jobs
from core.models import Config, RepositoryRecord
from core.points import browse, points
from core.restores import restores
from core.storages import storages
from storage_adapters.errors import TransientStorageError
from storage_adapters.local import LocalAdapter
from tests.core.backups.test_copying import add_disk, change, copy_jobs, first, make_config
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


def pull(tmp_path: Path, name: str) -> None:
    """Take a disk away."""
    (tmp_path / name).rename(tmp_path / f"{name}-away")


def put_back(tmp_path: Path, name: str) -> None:
    """Bring it back, and let the watch see it."""
    (tmp_path / f"{name}-away").rename(tmp_path / name)
    assert storages.check_all() == []


def test_a_backup_goes_to_the_next_one_and_the_gap_is_filled_later(two: Config, tmp_path: Path) -> None:
    config_id = two.id
    pull(tmp_path, "backups")
    change(tmp_path)
    job = back_up(config_id)
    assert job.status == "warning", job.summary
    assert "It went to second instead. The storage Local disk is unreachable" in job.summary
    assert job.repository_id == two.destinations[1].repository_id
    point = points.latest(config_id)
    assert point is not None
    assert [copy.repository.storage.name for copy in point.copies] == ["second"]
    state = states.state(configs.get(config_id))
    assert (state.word, "Local disk is unreachable" in state.reason) == ("Degraded", True)
    assert len(copying.gaps(configs.get(config_id))[0].missing) == 1
    put_back(tmp_path, "backups")
    assert run(copying.sync(configs.get(config_id).destinations[0].id)).status == "completed"
    restic(tmp_path / "backups" / "repository", "check", "--read-data")
    assert len(points.latest(config_id).copies) == 2  # type: ignore[union-attr]
    assert back_up(config_id).status == "completed"
    assert states.state(configs.get(config_id)).word == "Protected"


def test_the_other_direction_a_second_disk_that_was_away_is_filled(two: Config, tmp_path: Path) -> None:
    pull(tmp_path, "second")
    change(tmp_path)
    assert back_up(two.id).status == "completed"
    failed = [run(job) for job in copy_jobs()]
    assert [job.status for job in failed] == ["failed"]
    put_back(tmp_path, "second")
    assert run(copying.sync(two.destinations[1].id)).status == "completed"
    assert all(not gap.missing for gap in copying.gaps(configs.get(two.id)))


def test_when_all_are_down_the_first_is_named_and_it_fails(two: Config, tmp_path: Path) -> None:
    pull(tmp_path, "backups")
    pull(tmp_path, "second")
    job = back_up(two.id)
    assert (job.status, "The storage Local disk" in job.summary) == ("failed", True)
    assert states.state(configs.get(two.id)).word == "Failing"
    assert {alert.kind for alert in alerts.list_open()} == {"failure", "unreachable"}


def test_a_destination_that_is_encrypted_worse_does_not_take_its_place(two: Config) -> None:
    with write() as session:
        session.get_one(RepositoryRecord, two.destinations[1].repository_id).encrypted = False
    assert failover.candidates(two.id) == [two.destinations[0].repository_id]


def test_a_restore_reads_from_what_answers_and_says_so(two: Config, tmp_path: Path) -> None:
    point = points.latest(two.id)
    assert point is not None
    pull(tmp_path, "backups")
    target = tmp_path / "out"
    given = restores.validate({"point_id": point.id, "target_path": str(target), "copy_id": ""})
    job = run(restores.create(given))
    assert job.status == "completed"
    assert "Read from second; Local disk is unreachable." in job.summary
    restored = target / str(tmp_path / "tree").lstrip("/") / "sub" / "0.txt"
    assert restored.read_bytes() == (tmp_path / "tree" / "sub" / "0.txt").read_bytes()
    copy = restores.of_job(job.id).copy
    assert copy is not None
    assert copy.repository.storage.name == "second"


def test_a_short_fault_of_the_best_copy_does_not_end_a_restore(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [TransientStorageError("the connection broke")] * 3
    true_get = LocalAdapter.get

    def get(self: LocalAdapter, key: str, offset: int = 0, length: int | None = None) -> bytes:
        if "/data/" in key and faults:
            raise faults.pop()
        return true_get(self, key, offset, length)

    monkeypatch.setattr(LocalAdapter, "get", get)
    point = points.latest(two.id)
    assert point is not None
    given = restores.validate({"point_id": point.id, "target_path": str(tmp_path / "out"), "copy_id": ""})
    assert run(restores.create(given)).status == "completed"
    assert faults == []


def test_a_copy_that_was_chosen_is_the_one_read(two: Config, tmp_path: Path) -> None:
    point = points.latest(two.id)
    assert point is not None
    best, other = points.choices(point)
    assert (best.storage.name, best.best, other.storage.name) == ("Local disk", True, "second")
    given = restores.validate(
        {"point_id": point.id, "target_path": str(tmp_path / "out"), "copy_id": str(other.copy.id)}
    )
    assert "Read from second." in run(restores.create(given)).summary
    pull(tmp_path, "second")
    job = run(restores.create(given.model_copy(update={"target_path": str(tmp_path / "out2")})))
    assert (job.status, "second" in job.summary) == ("failed", True)


def test_browsing_goes_on_with_another_copy(two: Config, tmp_path: Path) -> None:
    point = points.latest(two.id)
    assert point is not None
    assert browse.copy_in_use(point).repository.storage.name == "Local disk"
    pull(tmp_path, "backups")
    from core.points import opened

    opened.forget_all()
    path = os.fsencode(tmp_path / "tree" / "sub")
    assert {row.name for row in browse.list_dir(point, path)} == {"0.txt", "1.txt", "2.txt"}
    db.session.rollback()
    point = points.get(point.id)
    assert browse.copy_in_use(point).repository.storage.name == "second"
    choices = points.choices(point)
    assert [(choice.storage.name, choice.reachable) for choice in choices] == [
        ("second", True),
        ("Local disk", False),
    ]
    with pytest.raises(Unreachable):
        browse.list_dir(point, path, choices[1].copy.id)


def test_what_was_opened_before_its_storage_went_away_gives_way_to_another_copy(
    two: Config, tmp_path: Path
) -> None:
    point = points.latest(two.id)
    assert point is not None
    path = os.fsencode(tmp_path / "tree" / "sub")
    assert browse.copy_in_use(point).repository.storage.name == "Local disk"
    storages.mark_unreachable(point.copies[0].repository.storage_id, "it was looked at meanwhile")
    pull(tmp_path, "backups")
    assert {row.name for row in browse.list_dir(points.get(point.id), path)} == {"0.txt", "1.txt", "2.txt"}
    (tmp_path / "backups-away").rename(tmp_path / "backups")
    first = next(copy.id for copy in points.get(point.id).copies if copy.repository.storage.name != "second")
    assert browse.list_dir(points.get(point.id), path, first)
    assert storages.list_all()[0].unreachable_since is None


def test_a_warning_of_failover_does_not_say_that_things_were_left_out(two: Config, tmp_path: Path) -> None:
    pull(tmp_path, "backups")
    job = back_up(two.id)
    assert job.problems == 0
    assert jobs.log_lines(job.id, problems_only=True).items[0].level == "warning"


def test_damage_on_one_storage_is_not_explained_by_another_that_is_away(two: Config, tmp_path: Path) -> None:
    point = points.latest(two.id)
    assert point is not None
    pull(tmp_path, "second")
    for index in (tmp_path / "backups" / "repository" / "index").iterdir():
        index.write_bytes(b"no index" * 20)
    again = back_up(two.id)
    assert (again.status, "damaged" in again.summary) == ("failed", True), again.summary
    given = restores.RestoreInput(point_id=point.id, target_path=str(tmp_path / "out"), include=[])
    restored = run(restores.create(given))
    assert (restored.status, "damaged" in restored.summary) == ("failed", True), restored.summary
