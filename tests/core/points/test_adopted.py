"""A point taken over from a killed job does not claim to be complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete

from core.configs import states
from core.db import write
from core.jobs import jobs
from core.models import Config, Copy, Job, JobLog, Point
from core.points import points
from tests.core.making import back_up, make_config, make_storage, make_tree, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.mark.parametrize(("logged", "warnings"), [(0, 1), (2, 2)])
def test_what_the_killed_job_could_not_read_is_not_taken_for_nothing(
    tmp_path: Path, logged: int, warnings: int
) -> None:
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree"))
    config_id, killed = config.id, back_up(config.id).id
    with write() as session:  # killed after the snapshot was stored, before the rows were
        session.execute(delete(Copy))
        session.execute(delete(Point))
        session.get_one(Job, killed).status = "interrupted"
        for number in range(logged):
            session.add(JobLog(job_id=killed, level="warning", message="Cannot be read.", path=f"/{number}"))
    run(jobs.create_retention("manual", config_id))
    point = points.latest(config_id)
    assert point is not None
    assert (point.job_id, point.warnings) == (killed, warnings)
    with write() as session:  # its end shows first; without that, the point speaks
        session.get_one(Job, killed).status = "cancelled"
        found = states.state(session.get_one(Config, config_id))
    assert (found.word, "not known" in found.reason) == ("Protected", True)
