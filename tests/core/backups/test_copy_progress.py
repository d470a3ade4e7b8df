"""What a running copy says of itself: nothing that it does not know, and in the end all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from core.db import db
from core.jobs.attempts import Attempt
from core.models import Copy
from repository.progress import Progress
from tests.core.backups.test_copying import add_disk, change, copy_jobs, first, make_config
from tests.core.making import back_up, make_storage, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def moments(monkeypatch: pytest.MonkeyPatch) -> list[Progress]:
    """Return what jobs report from now on."""
    found: list[Progress] = []

    def note(attempt: Attempt, progress: Progress) -> None:
        found.append(progress)
        attempt.progress = progress

    monkeypatch.setattr(Attempt, "report", note)
    return found


def test_it_tells_bytes_points_and_which_point_once_it_knows_them(
    tmp_path: Path, moments: list[Progress]
) -> None:
    make_storage(tmp_path)
    second = add_disk(tmp_path, "second")
    config = make_config(tmp_path, [first(), {"repository_id": second, "tier": "hot"}])
    for number in range(2):
        change(tmp_path, str(number))
        back_up(config.id)
    moments.clear()
    job = run(copy_jobs()[0])
    assert job.status == "completed", job.summary
    comparing = [each for each in moments if each.phase == "comparing"]
    copying = [each for each in moments if each.phase == "copying"]
    assert [each.phase for each in moments] == ["opening"] + ["comparing"] * len(comparing) + [
        "copying"
    ] * len(copying)
    assert {(each.bytes_total, each.bytes_done) for each in comparing} == {(None, 0)}
    assert b"looked at on Local disk" in comparing[-1].current
    assert {each.files_total for each in comparing + copying} == {2}
    (total,) = {each.bytes_total for each in copying}
    done = [each.bytes_done for each in copying]
    assert (done == sorted(done), done[-1]) == (True, total)
    assert {each.files_done for each in copying} == {0, 1}
    currents = {each.current for each in copying}
    assert all(b"The point of" in each and b"from Local disk" in each for each in currents)
    query = select(func.sum(Copy.bytes_added)).where(Copy.repository_id == second)
    assert job.bytes_added == db.session.scalar(query) == total
    assert (job.files_done, job.bytes_done, job.bytes_total) == (2, total, total)
