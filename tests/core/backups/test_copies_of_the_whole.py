"""A copy holds what its point holds: what another program cut down is never passed on as the point."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from core.alerting import alerts
from core.backups import copying
from core.configs import configs
from core.db import db, write
from core.jobs import jobs
from core.models import Config, Copy, Point
from core.points import points
from core.storages import storages
from repository.lookup import load_tree
from repository.repository import Repository
from repository.snapshot import Snapshot
from tests.core.backups.test_copying import add_disk, copy_jobs, first, make_config
from tests.core.making import back_up, make_storage, restic, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def two(tmp_path: Path) -> Config:
    """Return a config with two disks, of which the second gets a copy of each point, and one point."""
    make_storage(tmp_path)
    made = make_config(tmp_path, [first(), {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"}])
    back_up(made.id)
    return made


def cut_down(repo: Repository, snapshot: Snapshot, old: bytes) -> bytes:
    """Store a snapshot as `restic rewrite --exclude` does, with less in it, and forget the old one."""
    repo.load_index()
    tree = load_tree(repo, snapshot.tree)[0].subtree
    assert tree is not None
    new = repo.save_snapshot(replace(snapshot, tree=tree, original=old))
    repo.remove_snapshot(old)
    return new


def rewrite(config: Config) -> str:
    """Cut the newest point's snapshot down on the first disk; return the new id."""
    point = points.latest(config.id)
    assert point is not None
    old = bytes.fromhex(point.copies[0].snapshot_id)
    with closing(storages.open_repository(storages.list_repositories()[0])) as repo:
        return cut_down(repo, repo.load_snapshot(old), old).hex()


def snapshots_on(tmp_path: Path, name: str) -> list[str]:
    return [path.name for path in (tmp_path / name / "repository").glob("snapshots/*")]


def test_what_was_rewritten_since_is_not_copied_as_the_point(two: Config, tmp_path: Path) -> None:
    rewrite(two)
    job = run(copy_jobs()[0])
    assert (job.status, job.counts.get("copied", 0)) == ("failed", 0), job.summary
    assert snapshots_on(tmp_path, "second") == []


def test_a_row_that_an_older_version_moved_is_not_copied_on_and_it_says_why(
    two: Config, tmp_path: Path
) -> None:
    new_id = rewrite(two)
    with write() as session:
        session.scalars(select(Copy)).one().snapshot_id = new_id
    job = run(copy_jobs()[0])
    assert job.status == "failed", job.summary
    assert "another program changed which files it holds" in job.detail + job.summary
    (line,) = [each for each in jobs.log_lines(job.id).items if each.level == "error"]
    assert new_id[:8] in line.message
    assert snapshots_on(tmp_path, "second") == []


def test_such_a_row_is_told_lost_and_what_stands_there_is_a_point_of_its_own(two: Config) -> None:
    old = db.session.scalars(select(Copy.snapshot_id)).one()
    new_id = rewrite(two)
    with write() as session:
        session.scalars(select(Copy)).one().snapshot_id = new_id
    run(jobs.create_retention("manual", two.id))
    lost, adopted = db.session.scalars(select(Copy).order_by(Copy.id)).all()
    assert (lost.snapshot_id, lost.lost_at is not None) == (old, True)
    assert (adopted.snapshot_id, adopted.lost_at, adopted.point_id != lost.point_id) == (new_id, None, True)
    assert [alert.subject for alert in alerts.list_open()] == [f"lost:{two.id}"]
    assert points.is_good(adopted.point)
    assert not points.is_good(lost.point)


def test_one_good_copy_elsewhere_is_copied_in_place_of_the_one_that_was_cut_down(
    two: Config, tmp_path: Path
) -> None:
    run(copy_jobs()[0])
    whole = points.latest(two.id)
    assert whole is not None
    third = add_disk(tmp_path, "third")
    config = configs.get(two.id)
    places = [{"repository_id": row.repository_id, "tier": "hot"} for row in config.destinations] + [
        {"repository_id": third, "tier": "hot"}
    ]
    configs.update(
        two.id,
        configs.to_input(config).model_copy(
            update={
                "destinations": configs.parse(
                    {**configs.to_input(config).model_dump(), "destinations": places}
                ).destinations,
            }
        ),
    )
    new_id = rewrite(two)
    with write() as session:
        row = session.scalars(select(Copy).where(Copy.point_id == whole.id).order_by(Copy.id)).first()
        assert row is not None
        row.snapshot_id = new_id
    job = run(copying.sync(configs.get(two.id).destinations[2].id))
    assert (job.status, job.counts["copied"]) == ("completed", 1), job.summary
    assert "from second" in job.summary
    restic(tmp_path / "third" / "repository", "check", "--read-data")
    restic(tmp_path / "third" / "repository", "restore", "latest", "--target", str(tmp_path / "out"))
    restored = tmp_path / "out" / str(tmp_path / "tree").lstrip("/") / "sub" / "0.txt"
    assert restored.read_bytes() == (tmp_path / "tree" / "sub" / "0.txt").read_bytes()


def test_a_point_that_restic_tagged_is_copied_and_stays_one(two: Config, tmp_path: Path) -> None:
    """Real restic stores it under a new id that names the old one: the same files, so the same point."""
    restic(tmp_path / "backups" / "repository", "tag", "--add", "audited", "latest")
    run(jobs.create_retention("manual", two.id))
    job = run(copy_jobs()[0])
    assert (job.status, job.counts["copied"]) == ("completed", 1), job.summary
    (point,) = db.session.scalars(select(Point))
    assert [points.is_live(copy) for copy in point.copies] == [True, True]
