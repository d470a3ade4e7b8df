"""A copy counts only while it is there: looks in between, places that forget, snapshots that come back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core import copy_job, jobs, points
from core.models import Config, Job
from tests.core.making import back_up, run
from tests.core.test_copying import copy_jobs, two

pytestmark = pytest.mark.usefixtures("context")

__all__ = ("two",)  # a fixture


def fill_but_before_it_is_verified(monkeypatch: pytest.MonkeyPatch, spoil: Callable[[], None]) -> Job:
    """Run the copy that waits; `spoil` is called when it has stored all and looks at it once more."""
    real = copy_job._verify

    def verify(*given: Any) -> None:
        spoil()
        real(*given)

    monkeypatch.setattr(copy_job, "_verify", verify)
    return run(copy_jobs()[0])


def test_a_copy_that_the_storage_does_not_list_counts_no_longer(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    folder = tmp_path / "second" / "repository" / "snapshots"
    job = fill_but_before_it_is_verified(monkeypatch, lambda: shutil.rmtree(folder))
    assert (job.status, "does not count as copied" in job.summary) == ("failed", True)
    assert len(points.list_for(two.id)[0].copies) == 1


def test_a_copy_that_cannot_be_read_once_more_counts_no_longer(
    two: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back_up(two.id)
    folder = tmp_path / "second" / "repository" / "data"
    job = fill_but_before_it_is_verified(monkeypatch, lambda: shutil.rmtree(folder))
    assert job.status == "failed"
    assert len(points.list_for(two.id)[0].copies) == 1
    run(jobs.create_retention("manual"))
    assert len(points.list_for(two.id)[0].copies) == 1  # nor is it adopted after
