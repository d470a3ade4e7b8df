"""How a job ended is told in the order in which jobs ended, however late that is."""

from __future__ import annotations

from pathlib import Path

import pytest
from flask import Flask

from core.alerting import alerts, job_alerts
from core.db import utc_now, write
from core.models import Config, Job
from tests.core.making import make_config, make_storage, make_tree


@pytest.fixture
def config(context: Flask, tmp_path: Path) -> Config:
    """Return a config."""
    make_storage(tmp_path)
    return make_config(make_tree(tmp_path / "tree"))


def end(config_id: str, status: str) -> int:
    """Add a backup that ended, of which nobody was told."""
    with write() as session:
        job = Job(
            kind="backup",
            trigger="manual",
            config_id=config_id,
            status=status,
            ended_at=utc_now(),
            summary=".",
        )
        session.add(job)
        session.flush()
        return job.id


def test_an_old_good_end_told_late_resolves_no_newer_failure(config: Config) -> None:
    config_id = config.id
    end(config_id, "completed")
    failed = end(config_id, "failed")
    job_alerts.tell(failed)
    job_alerts.tell_untold()
    assert [alert.job_id for alert in alerts.list_open()] == [failed]


def test_a_newer_good_end_told_late_resolves_the_failure(config: Config) -> None:
    config_id = config.id
    job_alerts.tell(end(config_id, "failed"))
    end(config_id, "completed")
    job_alerts.tell_untold()
    assert alerts.list_open() == []
