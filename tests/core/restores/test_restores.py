"""A restore says completed only if everything asked for was written, and never writes where it does harm."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import select

from core.alerting import alerts
from core.db import db, write
from core.errors import Invalid, NotFound
from core.jobs import attempts, job_kinds, jobs
from core.models import Copy, Job, Point
from core.points import points
from core.points.tokens import token_from_path
from core.restores import restores
from tests.core.making import back_up, make_config, make_storage, make_tree, restic, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def point(tmp_path: Path) -> Point:
    """Return the point of a small tree at tmp_path/tree."""
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    return found


def restore(point: Point, target: Path | str, **more: object) -> Job:
    """Ask for a restore and run it."""
    given = {"point_id": point.id, "target_path": str(target), **more}
    return run(restores.create(restores.validate(given)))


def test_a_damaged_folder_makes_the_restore_failed_too(point: Point, tmp_path: Path) -> None:
    spoil_pack(tmp_path / "backups" / "repository", data=False)
    job = restore(point, tmp_path / "out")
    assert job.status == "failed"
    assert "pack" in jobs.log_lines(job.id, problems_only=True).items[0].message + job.summary


def test_a_whole_point_is_restored_equal(point: Point, tmp_path: Path) -> None:
    job = restore(point, tmp_path / "out")
    assert job.status == "completed", job.summary
    assert "3 files" in job.summary
    restored = tmp_path / "out" / str(tmp_path / "tree").lstrip("/")
    difference = subprocess.run(
        ["rsync", "-aHn", "--delete", "--itemize-changes", f"{tmp_path}/tree/", f"{restored}/"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert difference.stdout == ""


def test_the_row_tells_what_was_restored_from_where(point: Point, tmp_path: Path) -> None:
    row = restores.of_job(restore(point, tmp_path / "out").id)
    assert (row.files, row.bytes, row.kept, row.renamed) == (3, 3000, 0, 0)
    assert row.copy is not None
    assert row.copy.point_id == point.id


def test_only_what_was_chosen_is_restored(point: Point, tmp_path: Path) -> None:
    chosen = os.fsencode(tmp_path / "tree" / "sub" / "1.txt")
    job = restore(point, tmp_path / "out", include=[token_from_path(chosen)])
    assert (job.status, job.counts["files"]) == ("completed", 1)
    assert [path.name for path in (tmp_path / "out").rglob("*.txt")] == ["1.txt"]


def test_a_choice_that_fits_nothing_is_failed(point: Point, tmp_path: Path) -> None:
    job = restore(point, tmp_path / "out", include=[token_from_path(b"/no/such/path")])
    assert job.status == "failed"
    assert "nothing was restored" in job.summary
    assert "paths" in job.advice


def test_a_choice_that_fits_only_in_part_is_failed_and_names_the_rest(point: Point, tmp_path: Path) -> None:
    chosen = os.fsencode(tmp_path / "tree" / "sub" / "1.txt")
    include = [token_from_path(chosen), token_from_path(b"/no/such/path")]
    job = restore(point, tmp_path / "out", include=include)
    assert (job.status, job.problems, job.counts["files"]) == ("failed", 1, 1)
    assert "1 thing could not be restored" in job.summary


def test_kept_files_are_counted_and_not_called_restored(point: Point, tmp_path: Path) -> None:
    restore(point, tmp_path / "out")
    again = restore(point, tmp_path / "out", conflict="keep")
    assert again.status == "warning"
    assert again.counts["kept"] == 3
    assert (
        again.summary == f"Nothing was written to {tmp_path}/out: 3 files that stood there already were kept."
    )


def test_only_older_files_are_replaced_and_it_says_so(point: Point, tmp_path: Path) -> None:
    restore(point, tmp_path / "out")
    kept = restore(point, tmp_path / "out", conflict="replace-if-older")
    assert kept.summary.startswith(f"Nothing was written to {tmp_path}/out: 3 files that stood there already")
    assert kept.summary.endswith(" and are not older were kept.")
    (older,) = (tmp_path / "out").rglob("1.txt")
    older.write_text("old")
    os.utime(older, (1, 1))
    job = restore(point, tmp_path / "out", conflict="replace-if-older")
    assert (job.status, job.counts["files"], job.counts["kept"]) == ("completed", 1, 2)
    assert job.meaning.startswith("What was missing or older was written")


def test_what_stands_in_the_way_is_not_called_damaged(point: Point, tmp_path: Path) -> None:
    blocked = tmp_path / "out" / str(tmp_path / "tree" / "sub" / "1.txt").lstrip("/")
    (blocked / "something").mkdir(parents=True)
    job = restore(point, tmp_path / "out", conflict="replace")
    assert job.status == "failed", job.summary
    assert "in the way" in job.advice
    assert "amaged" not in job.advice


def test_each_restore_has_an_alert_of_its_own_and_a_good_one_resolves_its_folder(
    point: Point, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        blocked = tmp_path / name / str(tmp_path / "tree" / "sub" / "1.txt").lstrip("/")
        (blocked / "something").mkdir(parents=True)
        restore(point, tmp_path / name, conflict="replace")
    assert len(alerts.list_open()) == 2
    subprocess.run(["rm", "-r", str(tmp_path / "one")], check=True)
    assert restore(point, tmp_path / "one").status == "completed"
    (left,) = alerts.list_open()
    assert restores.of_job(left.job_id or 0).target_path == str(tmp_path / "two")


def test_replace_brings_the_old_content_back(point: Point, tmp_path: Path) -> None:
    restore(point, tmp_path / "out")
    (changed,) = (tmp_path / "out").rglob("1.txt")
    before = changed.read_text()
    changed.write_text("spoilt")
    job = restore(point, tmp_path / "out", conflict="replace")
    assert job.status == "completed"
    assert changed.read_text() == before


def test_a_damaged_file_makes_the_restore_failed_and_is_named(point: Point, tmp_path: Path) -> None:
    spoil_pack(tmp_path / "backups" / "repository", data=True)
    job = restore(point, tmp_path / "out")
    assert job.status == "failed"
    assert "could not be restored" in job.summary
    assert "Damaged data" in job.advice
    lines = jobs.log_lines(job.id, problems_only=True).items
    assert any("pack" in line.message and line.path.endswith(".txt") for line in lines)


@pytest.mark.parametrize("target", ["/", "relative", "", "//", "/tmp/../"])
def test_these_targets_are_refused(point: Point, target: str) -> None:
    with pytest.raises(Invalid) as refused:
        restores.create(restores.validate({"point_id": point.id, "target_path": target}))
    assert list(refused.value.fields) == ["target_path"]
    assert not jobs.list_jobs(kind="restore").items


def test_own_folders_are_refused_as_target(point: Point, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "backups")
    for target in ("data", "data/x", "backups/x", "link/x"):
        with pytest.raises(Invalid, match="lies in"):
            restores.create(restores.validate({"point_id": point.id, "target_path": str(tmp_path / target)}))


def test_a_target_whose_tree_would_fall_on_the_storage_is_refused(tmp_path: Path) -> None:
    make_storage(tmp_path)
    # The tree's absolute path, put below the target, is exactly where the storage lies.
    config = make_config(make_tree(Path("/tmp") / "holdfast-test-overlap"))
    try:
        back_up(config.id)
        point = points.latest(config.id)
        assert point is not None
        with write() as session:
            found = session.get_one(Point, point.id)
            found.paths = {"paths": ["/backups/repository"]}
        with pytest.raises(Invalid, match="write over"):
            restores.create(restores.validate({"point_id": point.id, "target_path": str(tmp_path)}))
    finally:
        subprocess.run(["rm", "-r", "/tmp/holdfast-test-overlap"], check=True)


def test_a_target_that_came_to_lie_on_the_backups_since_it_was_chosen_is_refused(
    point: Point, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "target").symlink_to("out")
    given = {"point_id": point.id, "target_path": str(tmp_path / "target")}
    job = restores.create(restores.validate(given))
    (tmp_path / "target").unlink()
    (tmp_path / "target").symlink_to("backups")
    before = sorted((tmp_path / "backups").rglob("*"))
    ended = run(job)
    assert ended.status == "failed"
    assert "a storage that keeps backups" in ended.summary
    assert sorted((tmp_path / "backups").rglob("*")) == before


def test_a_file_as_target_is_refused(point: Point, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Invalid, match="is not a folder"):
        restores.create(restores.validate({"point_id": point.id, "target_path": f"{tmp_path}/file/below"}))


def test_a_forgotten_point_cannot_be_restored(point: Point, tmp_path: Path) -> None:
    with write() as session:
        for copy in session.scalars(select(Copy)):
            copy.lost_at = copy.created_at
    db.session.expire_all()
    with pytest.raises(NotFound, match="removed by another program"):
        restores.create(restores.validate({"point_id": point.id, "target_path": str(tmp_path / "out")}))


def spoil_pack(repository: Path, *, data: bool) -> None:
    """Flip a byte in the first blob of the pack with file contents, or of the one with trees."""
    index = json.loads(restic(repository, "cat", "index", next((repository / "index").iterdir()).name))
    wanted = "data" if data else "tree"
    packs = [each["id"] for each in index["packs"] if each["blobs"][0]["type"] == wanted]
    for name in packs:
        pack = repository / "data" / name[:2] / name
        pack.chmod(0o600)
        content = bytearray(pack.read_bytes())
        content[40] ^= 0xFF
        pack.write_bytes(content)


def test_a_restore_that_is_stopped_says_what_that_means(point: Point, tmp_path: Path) -> None:
    given = {"point_id": point.id, "target_path": str(tmp_path / "out")}
    attempt = attempts.claim(restores.create(restores.validate(given)).id)
    assert attempt is not None
    attempt.cancelled.set()
    job_kinds.perform(attempt)
    job = jobs.get(attempt.job_id)
    assert (job.status, "at the target" in job.meaning) == ("cancelled", True)
