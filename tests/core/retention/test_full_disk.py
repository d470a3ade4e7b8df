"""A destination that is full gets room again by retention and prune, which need hardly any themselves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.alerting import alerts
from core.db import utc_now, write
from core.jobs import jobs
from core.models import Copy
from core.retention import pruning, retention
from core.storages import storages
from repository import locks
from tests.core.making import back_up, make_config, make_storage, make_tree, restic, run

pytestmark = [
    pytest.mark.usefixtures("context"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]
MB = 1_000_000


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Mount a small disk where the first storage goes."""
    monkeypatch.setattr(locks, "SETTLE_S", 0)
    place = tmp_path / "backups"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(place)], check=True)
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave nearly nothing free; return the file that takes the room."""
    room, filler = os.statvfs(disk), disk / "filler"
    filler.write_bytes(bytes(room.f_bavail * room.f_bsize - (96 << 10)))
    return filler


def packs_size(repository: Path) -> int:
    return sum(path.stat().st_size for path in (repository / "data").rglob("*") if path.is_file())


def test_a_full_disk_gets_room_by_what_needs_none(disk: Path, tmp_path: Path) -> None:
    repository = make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    config = make_config(tree, retention={"days": None, "max_backups": 1})
    assert back_up(config.id).status == "completed"  # what stays lies in packs of its own
    (tree / "gone").write_bytes(os.urandom(MB))
    assert back_up(config.id).status == "completed"
    (tree / "gone").unlink()
    for name in ("gone", "stays"):
        (tree / name).write_bytes(os.urandom(2 * MB))
    assert back_up(config.id).status == "completed"
    (tree / "gone").unlink()
    assert back_up(config.id).status == "completed"
    filler = fill(disk)

    (tree / "new").write_bytes(os.urandom(MB))
    job = back_up(config.id)
    assert (job.status, "is full" in job.summary) == ("failed", True)
    assert "failure" in {alert.kind for alert in alerts.list_open()}

    run(jobs.create_retention("manual", config.id, confirmed=True))
    with write() as session:
        for copy in session.query(Copy).where(Copy.trashed_at.is_not(None)):
            copy.trashed_at = utc_now() - retention.TRASH_FOR
    cleaned = run(jobs.create_retention("manual", config.id, confirmed=True))
    assert (cleaned.status, cleaned.counts["removed"]) == ("completed", 3)
    (record,) = storages.list_repositories()
    before = packs_size(repository)
    job = run(pruning.create(record.id, "manual"))
    assert job.status == "completed"
    assert job.counts["bytes_freed"] == before - packs_size(repository)
    assert job.counts["bytes_before"] == before
    assert MB < job.counts["bytes_freed"] < 2 * MB
    assert job.counts["bytes_left"] > MB
    assert any("No room for copies" in line.message for line in jobs.log_lines(job.id).items)
    assert pruning.NO_ROOM in job.counts
    assert pruning.follow(utc_now() + 2 * pruning.ONCE_IN) == [], "each would fill the disk again"
    assert back_up(config.id).status == "completed"

    filler.unlink()
    job = run(pruning.create(record.id, "manual"))
    assert job.counts["bytes_freed"] > MB
    assert "no errors" in restic(repository, "check", "--read-data")
