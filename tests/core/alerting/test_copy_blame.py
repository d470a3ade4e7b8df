"""A copy that meets damage says on which of its two storages that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.alerting import alerts
from core.jobs import jobs
from core.models import Config, Job
from storage_adapters.local import LocalAdapter
from tests.core.backups.test_copying import change, copy_jobs, two
from tests.core.making import back_up, run
from tests.core.restores.test_restores import spoil_pack

pytestmark = pytest.mark.usefixtures("context")

__all__ = ("two",)  # a fixture


def said(job: Job) -> str:
    """Return all that a person reads about a job."""
    lines = (line.message for line in jobs.log_lines(job.id).items)
    return " ".join((job.summary, job.detail, *lines, *(alert.what for alert in alerts.list_open())))


@pytest.mark.parametrize("data", [True, False])
def test_damage_of_the_source_is_said_of_the_source(two: Config, tmp_path: Path, data: bool) -> None:
    back_up(two.id)
    spoil_pack(tmp_path / "backups" / "repository", data=data)
    job = run(copy_jobs()[0])
    assert job.status == "failed"
    assert "on Local disk, from where it was to be copied" in job.summary
    assert "where it was copied to" not in said(job)


def test_a_damaged_index_of_the_destination_is_said_of_the_destination(two: Config, tmp_path: Path) -> None:
    back_up(two.id)
    run(copy_jobs()[0])
    change(tmp_path)
    back_up(two.id)
    for index in (tmp_path / "second" / "repository" / "index").iterdir():
        index.chmod(0o600)
        index.write_bytes(b"no index" * 20)
    job = run(copy_jobs()[0])
    assert (job.status, "on second, where it was copied to" in job.summary) == ("failed", True), job.summary
    assert "cannot be copied from Local disk" not in said(job)


def test_what_does_not_read_back_at_the_destination_is_said_of_it(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    true_put = LocalAdapter.put

    def put(self: LocalAdapter, key: str, data: bytes | bytearray | memoryview) -> None:
        if self.root.endswith("second") and "/data/" in key:
            data = bytes(data[:50]) + b"?" + bytes(data[51:])  # a disk that stores other bytes
        true_put(self, key, data)

    monkeypatch.setattr(LocalAdapter, "put", put)
    job = run(copy_jobs()[0])
    assert (job.status, "on second, where it was copied to" in job.summary) == ("failed", True), job.summary
    assert "cannot be copied from Local disk" not in said(job)
