"""A file that came to the target after the restore had looked there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import select

from core.db import db
from core.models import Job, JobLog
from core.points import points
from core.restores import restores
from repository.entries import Entry
from sources.local_target import LocalTarget
from tests.core.making import back_up, make_config, make_storage, make_tree, run

pytestmark = pytest.mark.usefixtures("context")


def restore(point_id: int, target: Path, conflict: str) -> Job:
    values = {"point_id": point_id, "target_path": str(target), "conflict": conflict}
    return run(restores.create(restores.validate(values)))


def test_a_file_that_the_plan_did_not_see_is_kept_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    config = make_config(tree)
    back_up(config.id)
    point = points.latest(config.id)
    assert point is not None
    out = tmp_path / "out"
    out.mkdir()
    assert restore(point.id, out, "keep").status == "completed"
    late = Path(str(out) + str(tree)) / "sub" / "1.txt"
    late.write_text("somebody's")
    real = LocalTarget.existing

    def existing(self: LocalTarget, path: bytes) -> Entry | None:
        return None if path.endswith(b"/1.txt") else real(self, path)

    monkeypatch.setattr(LocalTarget, "existing", existing)
    job = restore(point.id, out, "keep")
    assert (job.status != "completed", late.read_text()) == (True, "somebody's"), job.summary
    said = db.session.scalars(select(JobLog.message).where(JobLog.job_id == job.id)).all()
    assert any("came to stand there" in line for line in said)
    assert sorted(os.listdir(late.parent)) == ["0.txt", "1.txt", "2.txt"]
