"""The catalog filled by a job: asked for, or by itself where points lack that no backup will add."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import update

from core.configs import configs
from core.db import db, utc_now, write
from core.jobs import attempts, jobs
from core.models import Copy, Job
from core.points import catalog, catalog_file, catalog_job, file_search, points
from core.storages import storages
from repository.errors import Cancelled
from tests.core.backups.test_copying import add_disk
from tests.core.making import back_up, make_config, make_storage, make_tree, run


@pytest.fixture
def tree(context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a tree with two points that search knows nothing of."""
    monkeypatch.setattr(catalog_job, "_looked_at", None)
    monkeypatch.setattr(catalog_job.os, "nice", lambda step: 0)  # this process is no job's own
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    config = make_config(tree)
    for _ in range(2):
        back_up(config.id)
    catalog_file.delete()
    return tree


def ticked(*, hours: float) -> list[int]:
    """Return what the tick makes so many hours from now."""
    catalog_job._looked_at = None
    return catalog_job.tick(utc_now() + timedelta(hours=hours))


def test_what_lacks_for_an_hour_is_added_by_itself(tree: Path) -> None:
    assert ticked(hours=0.5) == []  # a backup may be about to add it
    (job_id,) = ticked(hours=2)
    assert ticked(hours=2) == []  # there is one
    job = run(jobs.get(job_id))
    assert (job.status, catalog.coverage().lacking) == ("completed", 0)
    assert job.summary == "2 points added: search knows 2 of 2 points."
    assert ticked(hours=4) == []  # nothing lacks
    assert len(file_search.search("1.txt").found) == 1


def test_by_itself_it_ends_soon_and_goes_on_later(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog_job, "BY_ITSELF_FOR_S", -1.0)
    job = run(jobs.get(ticked(hours=2)[0]))
    assert (job.status, catalog.coverage().lacking) == ("completed", 2)
    assert "The rest follows by itself." in job.summary
    assert ticked(hours=0.9) == []
    assert len(ticked(hours=2)) == 1


def test_it_looks_only_now_and_then(tree: Path) -> None:
    at = utc_now() + timedelta(hours=0.5)
    assert catalog_job.tick(at) == []
    with write() as session:
        session.execute(update(Copy).values(created_at=utc_now() - timedelta(days=1)))
    assert catalog_job.tick(at + timedelta(minutes=5)) == []
    assert len(catalog_job.tick(at + timedelta(minutes=10))) == 1


def test_a_person_begins_it_anew(tree: Path) -> None:
    run(catalog_job.create("manual"))
    with catalog_file.opened() as connection:
        connection.execute("DELETE FROM entries")  # what search knows is wrong
    assert file_search.search("1.txt").found == []
    first, second = catalog_job.create("manual", rebuild=True), catalog_job.create("manual", rebuild=True)
    assert first.id == second.id
    assert run(first).status == "completed"
    assert len(file_search.search("1.txt").found) == 1


def test_a_point_that_cannot_be_read_is_told(tree: Path, tmp_path: Path) -> None:
    (tree / "new").mkdir()
    (tree / "new" / "file").write_text("x")
    before = set((tmp_path / "backups" / "repository" / "data").rglob("*"))
    back_up(points.list_page().items[0].config_id or "")
    catalog_file.delete()
    for pack in set((tmp_path / "backups" / "repository" / "data").rglob("*")) - before:
        if pack.is_file():
            pack.chmod(0o600)
            pack.write_bytes(b"\0" * pack.stat().st_size)
    job = run(catalog_job.create("manual"))
    assert (job.status, job.problems, catalog.coverage().lacking) == ("warning", 1, 1)
    assert "1 point cannot be read" in job.summary
    assert [line.level for line in jobs.log_lines(job.id, problems_only=True).items] == ["warning"]
    assert ticked(hours=3) == []  # not each hour in vain
    assert len(ticked(hours=25)) == 1


def test_a_damaged_repository_keeps_none_of_the_others_from_search(tree: Path, tmp_path: Path) -> None:
    disk = add_disk(tmp_path, "second")
    other = make_tree(tmp_path / "other")
    (other / "only-here.txt").write_text("x")
    source, places = {"paths": [str(other)]}, [{"repository_id": disk}]
    config = configs.create(configs.parse({"name": "Other", "source": source, "destinations": places}))
    back_up(config.id)
    assert storages.list_repositories()[0].id != disk  # the damaged one comes first
    (tmp_path / "backups" / "repository" / "index" / ("0" * 64)).write_bytes(b"no index")
    job = run(catalog_job.create("manual", rebuild=True))
    assert (job.status, job.problems) == ("warning", 2), job.summary
    assert job.summary.startswith("1 point added: search knows 1 of 3 points.")
    assert len(file_search.search("only-here").found) == 1
    assert catalog.coverage().trouble.startswith("Point ")
    (tmp_path / "backups" / "repository" / "index" / ("0" * 64)).unlink()
    assert run(catalog_job.create("manual")).status == "completed"
    assert (catalog.coverage().lacking, catalog.coverage().trouble) == (0, "")


def test_who_cancels_it_keeps_what_was_read(tree: Path) -> None:
    attempt = attempts.claim(catalog_job.create("manual").id)
    assert attempt is not None
    attempt.cancelled.set()
    with pytest.raises(Cancelled):
        catalog_job.perform_fill(attempt)
    assert db.session.get_one(Job, attempt.job_id).status == "running"  # who performs it ends it
