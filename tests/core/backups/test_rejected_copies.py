"""A copy that did not read back: it is mended, or it is said that it is not; the others are copied."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from core.backups import copy_job, copying, readback
from core.backups.readback import Limits
from core.configs import configs
from core.db import db, write
from core.jobs import jobs
from core.models import Config, Copy, Job
from core.points import points
from core.storages import storages
from repository.locks import lock_repository
from repository.repair_packs import repair_packs
from tests.core.backups.test_copying import copy_jobs, two
from tests.core.making import back_up, run

pytestmark = pytest.mark.usefixtures("context")

__all__ = ("two",)  # a fixture


def packs(tmp_path: Path) -> list[Path]:
    """Return the packs on the second disk."""
    return [path for path in (tmp_path / "second" / "repository" / "data").rglob("*") if path.is_file()]


def lose(tmp_path: Path) -> None:
    for path in packs(tmp_path):
        path.unlink()


def spoil(tmp_path: Path) -> None:
    """Change a byte in the middle of each pack."""
    for path in packs(tmp_path):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.chmod(0o600)
        path.write_bytes(data)


def copy_and(monkeypatch: pytest.MonkeyPatch, fault: Callable[[], None]) -> Job:
    """Run the copy that waits; what it stored meets with a fault before it is read back."""
    real = copy_job.read_back

    def read_back(*given: Any) -> Any:
        fault()
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(copy_job, "read_back", read_back)
        return run(copy_jobs()[0])


def second(config: Config) -> str:
    """Return the repository that gets the copies."""
    return configs.get(config.id).destinations[1].repository_id


def sync(config: Config) -> Job:
    return run(copying.sync(configs.get(config.id).destinations[1].id))


def change_all(tmp_path: Path, text: str) -> None:
    for number in range(3):
        (tmp_path / "tree" / "sub" / f"{number}.txt").write_text(f"{text} {number}" * 500)


def test_what_was_lost_before_it_was_read_back_is_sent_again(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    assert copy_and(monkeypatch, lambda: lose(tmp_path)).status == "failed"
    assert len(readback.rejected(second(two))) == 1
    job = sync(two)
    assert (job.status, job.counts["copied"], job.counts["bytes_added"] > 0) == ("completed", 1, True)
    assert readback.rejected(second(two)) == set()
    (copy,) = db.session.scalars(select(Copy).where(Copy.repository_id == second(two)))
    with closing(storages.open_repository(storages.get_repository(second(two)))) as repo:
        repo.load_index()
        assert readback.read_back(repo, bytes.fromhex(copy.snapshot_id))[1].all
        assert len(repo.list_snapshots()) == 1


def test_what_is_bad_there_is_never_taken_for_a_copy_and_the_others_are_copied(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    change_all(tmp_path, "other")
    back_up(two.id)
    newest, oldest = (point.id for point in points.good_points(two.id))
    assert copy_and(monkeypatch, lambda: spoil(tmp_path)).status == "failed"
    bad = [path.name for path in packs(tmp_path)]
    for ended in ("warning", "failed"):  # the second time nothing else is left to copy
        job = sync(two)
        assert job.status == ended, job.summary
        (line,) = [each.message for each in jobs.log_lines(job.id).items if each.level == "error"]
        assert "does not read back" in line
        copied = db.session.scalars(select(Copy.point_id).where(Copy.repository_id == second(two))).all()
        assert copied == [oldest]
        assert len(readback.rejected(second(two))) == 1
    repo = storages.open_repository(storages.get_repository(second(two)))
    with closing(repo), lock_repository(repo, exclusive=True) as lock:
        repair_packs(repo, [bytes.fromhex(name) for name in bad], lock)
    job = sync(two)
    assert (job.status, job.counts["copied"]) == ("completed", 1), job.summary
    assert readback.rejected(second(two)) == set()
    assert points.live_copy_on(points.get(newest), second(two)) is not None


@pytest.mark.parametrize("small", [True, False])
def test_one_that_is_whole_after_all_counts_only_if_all_of_it_was_read(
    two: Config, monkeypatch: pytest.MonkeyPatch, small: bool
) -> None:
    back_up(two.id)
    run(copy_jobs()[0])
    with write() as session:
        (name,) = session.scalars(select(Copy.snapshot_id).where(Copy.repository_id == second(two)))
        session.execute(delete(Copy).where(Copy.snapshot_id == name))
    readback.reject(second(two), bytes.fromhex(name))
    if not small:
        monkeypatch.setattr(copy_job, "_ALL", Limits(trees=1, blobs=0))
    job = sync(two)
    assert job.status == ("completed" if small else "failed"), job.summary
    copies = db.session.scalars(select(Copy.snapshot_id).where(Copy.repository_id == second(two))).all()
    assert copies == ([name] if small else [])
    assert ("too large to read all of it now" in job.detail + job.summary) == (not small)
