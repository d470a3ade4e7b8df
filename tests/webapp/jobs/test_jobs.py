"""Jobs: live, ended, filtered, cancelled."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import time_machine

from core.db import utc_now, write
from core.jobs import jobs, nodes
from core.models import Job, JobLog
from tests.core.making import run
from tests.webapp.conftest import As
from tests.webapp.html import problems_of
from tests.webapp.world import World
from webapp import formats


def change(world: World, job_id: int, **values: object) -> None:
    """Write to a job's row as a job process would."""
    with world.app.app_context(), write() as session:
        job = session.get_one(Job, job_id)
        for name, value in values.items():
            setattr(job, name, value)


def test_the_list_is_filtered_by_its_address(world: World, as_: As) -> None:
    browser = as_("viewer")
    page = browser.get("/jobs?kind=restore").text
    assert re.findall(r'href="/jobs/(\d+)"', page) == [str(world.restore_job_id)]
    assert '<option value="restore" selected>' in page
    assert "No job fits these filters" in browser.get("/jobs?status=interrupted").text
    assert browser.get("/jobs?status=nonsense&page=-5&config=nope").status_code == 200


def test_the_list_is_filtered_by_days_of_the_zone_of_the_page(world: World, as_: As) -> None:
    with world.app.app_context(), write() as session:
        # In Berlin it is the 7th already.
        job = Job(kind="retention", status="completed", trigger="schedule",
                  created_at=datetime(2020, 3, 6, 23, 30, tzinfo=UTC))  # fmt: skip
        session.add(job)
        session.flush()
        job_id = str(job.id)
    browser = as_("viewer")
    shown = [
        re.findall(r'href="/jobs/(\d+)"', browser.get(f"/jobs?{days}").text)
        for days in ("to=2020-03-06", "from=2020-03-07&to=2020-03-07", "to=2020-03-07", "from=2020-03-08")
    ]
    assert shown[:3] == [[], [job_id], [job_id]]
    assert job_id not in shown[3]
    page = browser.get("/jobs?from=2020-03-07&to=nonsense").text
    assert 'name="from" type="date" value="2020-03-07"' in page
    assert 'name="to" type="date" value=""' in page


def test_pages_of_the_list_keep_the_filters(world: World, as_: As) -> None:
    with world.app.app_context(), write() as session:
        session.add_all(
            Job(kind="retention", status="completed", trigger="schedule", created_at=utc_now())
            for _ in range(60)
        )
    browser = as_("viewer")
    page = browser.get("/jobs?kind=retention").text
    (older,) = re.findall(r'rel="next" href="([^"]+)"', page)
    assert older == "/jobs?kind=retention&amp;page=2"
    second = browser.get(older.replace("&amp;", "&")).text
    assert "Page 2 of 2" in second
    assert not set(re.findall(r'href="/jobs/(\d+)"', page)) & set(re.findall(r'href="/jobs/(\d+)"', second))


def test_progress_polls_only_while_the_job_is_active(world: World, as_: As) -> None:
    browser, job_id = as_("viewer"), world.queued_job_id
    queued = browser.fragment(f"/jobs/{job_id}/progress")
    assert 'hx-trigger="every 1s"' in queued.text
    assert "HX-Trigger" not in queued.headers
    now = utc_now()
    change(world, job_id, status="running", phase="reading", started_at=now - timedelta(seconds=10),
           files_done=30, files_total=60, bytes_done=50 * 2**20, bytes_total=100 * 2**20,
           current_path="/srv/" + "deep/" * 40 + "end.txt")  # fmt: skip
    with time_machine.travel(now, tick=False):
        running = browser.fragment(f"/jobs/{job_id}/progress").text
    assert 'value="50"' in running
    assert "30 of 60" in running
    assert "50.0 MiB of 100.0 MiB" in running
    assert "5.0 MiB/s" in running
    assert re.search(r"<dd>\s*10 s\s*</dd>", running)  # the time left
    assert "…" in running
    assert problems_of(running) == []
    change(world, job_id, status="queued", phase="", started_at=None)
    with world.app.app_context():
        ended = run(jobs.get(job_id))
    last = browser.fragment(f"/jobs/{job_id}/progress")
    assert "hx-trigger" not in last.text
    assert ended.summary in last.text
    assert json.loads(last.headers["HX-Trigger"])["job-ended"] == {"value": job_id}


def test_a_copy_promises_nothing_before_it_knows_and_then_goes_by_the_rate_of_now(
    world: World, as_: As
) -> None:
    browser = as_("viewer")
    with world.app.app_context():
        now, job_id = utc_now(), jobs.create_backup(world.spare_config_id, "manual").id
    change(world, job_id, status="running", kind="copy", started_at=now - timedelta(minutes=10),
           phase="comparing", files_total=3, current_path="1,204 folders looked at")  # fmt: skip
    with time_machine.travel(now, tick=False):
        looking = browser.fragment(f"/jobs/{job_id}/progress").text
    assert "Looking for what is missing there" in looking
    assert "1,204 folders looked at" in looking
    assert re.search(r"<progress[^>]*>", looking)[0].count("value=") == 0  # type: ignore[index]
    assert looking.count("<dd>–</dd>") == 2  # rate and time left
    change(world, job_id, phase="copying", bytes_done=10 * 2**20, bytes_total=40 * 2**20, bytes_rate=2**20)
    with time_machine.travel(now, tick=False):
        copying = browser.fragment(f"/jobs/{job_id}/progress").text
    assert 'value="25"' in copying
    assert "10.0 MiB of 40.0 MiB" in copying
    assert "1.0 MiB/s" in copying  # not the mean of the ten minutes in which it mostly looked
    assert re.search(r"<dd>\s*30 s\s*</dd>", copying)
    change(world, job_id, bytes_rate=0)
    stuck = browser.fragment(f"/jobs/{job_id}/progress").text
    assert "0 B/s" in stuck
    assert problems_of(stuck) == []
    change(world, job_id, kind="backup", status="cancelled", ended_at=now)


def test_a_queue_without_a_worker_says_so(world: World, as_: As) -> None:
    browser, job_id = as_("viewer"), world.queued_job_id
    change(world, job_id, status="queued", ended_at=None)
    words = ("No worker is running, so it does not start", "No worker is running, so nothing is backed up")
    assert words[0] in browser.get(f"/jobs/{job_id}").text
    assert words[1] in browser.get("/").text
    with world.app.app_context():
        nodes.beat("worker")
    assert "as soon as a worker is free" in browser.get(f"/jobs/{job_id}").text
    assert words[1] not in browser.get("/").text
    with world.app.app_context():
        jobs.request_cancel(job_id)


def test_a_waiting_job_says_for_what(world: World, as_: As) -> None:
    with world.app.app_context():
        job_id = jobs.create_backup(world.spare_config_id, "manual").id
    change(world, job_id, phase="waiting", waiting_reason="Another program holds the repository.")
    page = as_("viewer").get(f"/jobs/{job_id}").text
    assert "Waiting" in page
    assert "Another program holds the repository." in page
    assert "Cancel" not in page  # not for viewers
    assert f'id="job-{job_id}-cancel"' in as_("operator").get(f"/jobs/{job_id}").text


def test_cancelling_works_without_javascript_and_in_place(world: World, as_: As) -> None:
    with world.app.app_context():
        job_id = jobs.list_jobs(status="queued", config_id=world.spare_config_id, kind="backup").items[0].id
    browser = as_("operator")
    fragment = browser.post(f"/jobs/{job_id}/cancel", htmx=True)
    assert "Cancelled" in fragment.text
    again = browser.post(f"/jobs/{job_id}/cancel")
    assert again.status_code == 409
    assert "has ended already" in again.text


def test_a_running_job_shows_that_it_is_stopping(world: World, as_: As) -> None:
    with world.app.app_context():
        job_id = jobs.create_backup(world.spare_config_id, "manual").id
    change(world, job_id, status="running", started_at=utc_now(), heartbeat_at=utc_now())
    browser = as_("operator")
    assert browser.post(f"/jobs/{job_id}/cancel").headers["Location"] == f"/jobs/{job_id}"
    page = browser.get(f"/jobs/{job_id}").text
    assert "Stopping" in page
    assert f'id="job-{job_id}-cancel"' not in page
    change(world, job_id, status="cancelled", ended_at=utc_now())


def test_a_failed_job_says_what_it_means_and_what_to_do(world: World, as_: As) -> None:
    page = as_("viewer").get(f"/jobs/{world.failed_job_id}").text
    with world.app.app_context():
        job = jobs.get(world.failed_job_id)
        for words in (job.summary, job.meaning, job.advice):
            assert words
            assert words.split(":")[0].split("'")[0] in page
    assert "Technical detail" in page


def test_problems_are_listed_apart_and_paged(world: World, as_: As) -> None:
    with world.app.app_context(), write() as session:
        session.add(JobLog(job_id=world.job_id, level="info", message="all is well"))
        session.add_all(
            JobLog(job_id=world.job_id, level="warning", message="could not be read", path=f"/srv/<{number}>")
            for number in range(250)
        )
    browser = as_("viewer")
    assert "all is well" in browser.get(f"/jobs/{world.job_id}").text
    page = browser.get(f"/jobs/{world.job_id}?lines=problems").text
    assert "all is well" not in page
    assert "/srv/&lt;0&gt;" in page
    (older,) = re.findall(r'rel="next" href="([^"]+)"', page)
    assert "lines=problems" in older
    assert older.endswith("#log")
    assert "/srv/&lt;249&gt;" in browser.get(older.replace("&amp;", "&")).text


def test_a_restore_shows_where_it_went(world: World, as_: As) -> None:
    page = as_("viewer").get(f"/jobs/{world.restore_job_id}").text
    assert str(world.folder / "restored") in page
    assert "keep what is there" in page


def test_a_backup_shows_one_figure_for_what_it_added(world: World, as_: As) -> None:
    with world.app.app_context():
        job = jobs.get(world.job_id)
        packed, counts = job.counts["bytes_added_packed"], job.counts
        assert f"adding {formats.size(packed)} to the storage" in job.summary
    change(world, world.job_id, counts={**counts, "bytes_added": 10 * packed})  # as if it had shrunk well
    browser = as_("viewer")
    (row,) = re.findall(
        rf'href="/jobs/{world.job_id}".*?</tr>', browser.get("/jobs?kind=backup").text, re.DOTALL
    )
    assert f'data-label="added">{formats.size(packed)}<' in row
    page = browser.get(f"/jobs/{world.job_id}").text
    assert f"<dt>Added to the storage</dt><dd>{formats.size(packed)}</dd>" in page
    assert "packed" not in page


def test_a_job_that_broke_off_shows_no_progress_as_its_result(world: World, as_: As) -> None:
    with world.app.app_context():
        job_id = jobs.create_backup(world.spare_config_id, "manual").id
    change(world, job_id, status="interrupted", started_at=utc_now(), ended_at=utc_now(), files_done=4711)
    (row,) = re.findall(
        rf'href="/jobs/{job_id}".*?</tr>', as_("viewer").get("/jobs?kind=backup").text, re.DOTALL
    )
    assert 'data-label="files">–<' in row
    assert "4,711" not in row


def test_a_restore_in_part_shows_what_it_restored(world: World, as_: As) -> None:
    browser, counts = as_("viewer"), {"files": 3, "bytes": 4096, "failed": 2}
    change(world, world.restore_job_id, status="failed", counts=counts, files_done=4711)
    for url in ("/jobs?kind=restore", "/restores"):
        (row,) = re.findall(rf'href="/jobs/{world.restore_job_id}".*?</tr>', browser.get(url).text, re.DOTALL)
        assert 'data-label="files">3<' in row
    assert 'data-label="size">4.0 KiB<' in row
    page = browser.get(f"/jobs/{world.restore_job_id}").text
    assert "<dt>Could not be restored</dt><dd>2</dd>" in page
    assert "everything was" not in page
