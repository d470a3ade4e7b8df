"""Rows of jobs: made, listed, cancelled, handed on; and held against the processes that run them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from core import app_state
from core.db import db, utc_now, write
from core.errors import Conflict, NotFound
from core.jobs import attempts, interrupted, jobs, processes
from core.jobs.attempts import Attempt
from core.jobs.joblog import LogBook, storable
from core.jobs.outcomes import Outcome, explain, sentence
from core.jobs.processes import ProcessName
from core.models import Job, JobLog
from repository.errors import WrongPassword
from repository.progress import Progress
from tests.core.making import make_config, make_storage, make_tree


@pytest.fixture
def config_id(context: Flask, tmp_path: Path) -> str:
    """Return the id of a config."""
    make_storage(tmp_path)
    return make_config(make_tree(tmp_path / "tree")).id


@pytest.fixture
def attempt(config_id: str) -> Attempt:
    """Return a claimed backup."""
    found = attempts.claim(jobs.create_backup(config_id, "manual").id)
    assert found is not None
    return found


def test_a_config_that_does_not_exist_is_not_found(config_id: str) -> None:
    with pytest.raises(NotFound):
        jobs.create_backup("0123456789abcdef", "manual")
    with pytest.raises(NotFound):
        jobs.get(4711)


def test_jobs_are_listed_newest_first_by_filter_and_page(config_id: str) -> None:
    for _ in range(5):
        job_id = jobs.create_backup(config_id, "manual").id
        jobs.request_cancel(job_id)
    pending = jobs.create_backup(config_id, "manual").id
    page = jobs.list_jobs(per_page=4)
    assert ([job.id for job in page.items], page.total, page.pages) == ([6, 5, 4, 3], 6, 2)
    assert [job.id for job in jobs.list_jobs(per_page=4, page=99).items] == [2, 1]
    assert [job.id for job in jobs.list_jobs(status="pending").items] == [pending]
    assert len(jobs.list_jobs(status="ended").items) == 5
    assert jobs.list_jobs(kind="restore").items == []
    assert jobs.list_jobs(config_id="other").total == 0
    assert jobs.list_jobs(since=utc_now() + timedelta(hours=1)).total == 0
    assert jobs.list_jobs(until=utc_now() + timedelta(hours=1)).total == 6


def test_a_queued_job_is_cancelled_at_once_and_only_once(config_id: str) -> None:
    job_id = jobs.create_backup(config_id, "manual").id
    assert jobs.request_cancel(job_id).status == "cancelled"
    assert attempts.claim(job_id) is None
    with pytest.raises(Conflict, match="has ended already"):
        jobs.request_cancel(job_id)


def test_a_waiting_job_is_not_claimed_before_its_time(attempt: Attempt) -> None:
    assert attempts.wait_for(attempt, "somebody holds a lock")
    assert attempts.claim(attempt.job_id) is None
    jobs.hasten(attempt.job_id)
    second = attempts.claim(attempt.job_id)
    assert second is not None
    assert second.number == 2
    assert jobs.get(attempt.job_id).waiting_reason == ""


def test_retention_is_not_queued_twice_for_the_same_config(config_id: str) -> None:
    first = jobs.create_retention("backup", config_id)
    assert jobs.create_retention("backup", config_id).id == first.id
    assert jobs.create_retention("schedule").id != first.id


def test_progress_is_written_by_the_pulse(attempt: Attempt) -> None:
    attempt.report(Progress("reading", 3, 10, 300, 1000, 30, b"/srv/\xff"))
    attempts.pulse(attempt)
    job = jobs.get(attempt.job_id)
    assert (job.phase, job.files_done, job.files_total, job.bytes_added) == ("reading", 3, 10, 30)
    assert job.current_path == "/srv/\ufffd"


def test_the_log_is_written_once_in_order_and_has_an_end(attempt: Attempt) -> None:
    attempt.log = LogBook(max_lines=3)
    for number in range(2):
        attempt.log.add("warning", f"line {number}", b"/a")
    attempts.pulse(attempt)
    for number in range(2, 7):
        attempt.log.add("info", f"line {number}")
    attempts.finish(attempt, Outcome("warning", "Done."))
    lines = [line.message for line in jobs.log_lines(attempt.job_id).items]
    assert lines == ["line 0", "line 1", "line 2", "… and 4 more lines."]
    problems = [line.message for line in jobs.log_lines(attempt.job_id, problems_only=True).items]
    assert problems == ["line 0", "line 1", "… and 4 more lines."]


def test_a_log_line_survives_a_failed_write(attempt: Attempt) -> None:
    attempt.log.add("info", "kept")

    def fail(session: object) -> None:
        raise RuntimeError("the disk broke")

    with pytest.raises(RuntimeError):
        attempts.finish(attempt, Outcome("completed", "Done."), fail)
    attempts.pulse(attempt)
    assert [line.message for line in db.session.query(JobLog)] == ["kept"]


def test_what_is_true_together_is_written_together(attempt: Attempt) -> None:
    def fail(session: object) -> None:
        raise RuntimeError("the point cannot be written")

    with pytest.raises(RuntimeError):
        attempts.finish(attempt, Outcome("completed", "A lie."), fail)
    assert jobs.get(attempt.job_id).status == "running"


def test_a_living_process_is_left_alone_however_late_its_heartbeat(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_heartbeat(attempt.job_id, timedelta(minutes=20))
    assert interrupted.mark_interrupted() == []
    set_heartbeat(attempt.job_id, timedelta(minutes=31))
    for _ in range(2):
        assert interrupted.mark_interrupted() == []  # the machine may have slept
    monkeypatch.setattr(interrupted, "LOOKS_APART_S", 0.0)
    assert interrupted.mark_interrupted() == [attempt.job_id]


def test_a_process_that_is_heard_of_again_after_a_sleep_goes_on(
    attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_heartbeat(attempt.job_id, timedelta(hours=8))
    assert interrupted.mark_interrupted() == []
    monkeypatch.setattr(interrupted, "LOOKS_APART_S", 0.05)
    attempts.pulse(attempt)
    time.sleep(0.06)
    assert interrupted.mark_interrupted() == []
    set_heartbeat(attempt.job_id, timedelta(hours=9))  # asleep once more: that is a first look again
    assert interrupted.mark_interrupted() == []
    time.sleep(0.06)
    assert interrupted.mark_interrupted() == [attempt.job_id]


def test_a_process_elsewhere_is_gone_by_its_heartbeat(attempt: Attempt) -> None:
    with write() as session:
        session.get_one(Job, attempt.job_id).node = "another machine"
    assert interrupted.mark_interrupted() == []
    set_heartbeat(attempt.job_id, timedelta(minutes=3))
    assert interrupted.mark_interrupted() == [attempt.job_id]
    assert "not been heard of" in jobs.get(attempt.job_id).summary


def test_a_job_that_does_not_run_any_more_has_no_rate(attempt: Attempt) -> None:
    def set_rate() -> None:
        with write() as session:
            session.get_one(Job, attempt.job_id).bytes_rate = 7

    set_rate()
    assert attempts.wait_for(attempt, "somebody holds a lock")
    assert jobs.get(attempt.job_id).bytes_rate is None
    jobs.hasten(attempt.job_id)
    second = attempts.claim(attempt.job_id)
    assert second is not None
    set_rate()
    assert interrupted.interrupt(attempt.job_id, second.number, "it is gone")
    assert jobs.get(attempt.job_id).bytes_rate is None


def test_a_job_from_before_a_restart_of_the_machine_is_interrupted_at_once(attempt: Attempt) -> None:
    with write() as session:
        session.get_one(Job, attempt.job_id).boot_id = "an earlier boot"
    assert interrupted.mark_interrupted() == [attempt.job_id]


def test_processes_are_told_apart(context: Flask) -> None:
    me = processes.this_process()
    assert (processes.is_alive(me), processes.is_dead(me)) == (True, False)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = ProcessName(me.node, me.boot_id, child.pid, processes._started(child.pid) or "")
    assert processes.is_alive(theirs)
    reused = replace(theirs, pid_started=f"1@{theirs.pid_started.partition('@')[2]}")
    assert (processes.is_alive(reused), processes.is_dead(reused)) == (False, True)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # only its remains are left
    assert (processes.is_alive(theirs), processes.is_dead(theirs)) == (False, True)
    child.communicate()
    assert processes.is_dead(theirs)
    in_a_container = replace(theirs, pid_started="1@pid:[4026539999]")
    assert not processes.is_dead(in_a_container), "nothing is proven about another namespace"
    assert not processes.is_dead(replace(theirs, node="another"))
    assert app_state.boot_id() == me.boot_id


def test_an_error_becomes_three_sentences_and_a_detail() -> None:
    try:
        try:
            raise OSError("the cause")
        except OSError as cause:
            raise WrongPassword("no key opens with it") from cause
    except WrongPassword as error:
        outcome = explain(error, "Nothing is lost.")
    assert outcome.summary == "The repository's password is wrong: no key opens with it."
    assert outcome.meaning == "Nothing is lost."
    assert outcome.advice.endswith("Put the right one back.")
    assert outcome.detail.splitlines()[-1] == "builtins.OSError: the cause"


def test_an_unexpected_error_is_called_a_fault_of_ours() -> None:
    outcome = explain(ZeroDivisionError("division by zero"), "")
    assert outcome.summary == "Holdfast itself failed (ZeroDivisionError): division by zero."


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("it broke", "It broke."), ("It broke.", "It broke."), ("why?", "Why?"), ("a\n b", "A b.")],
)
def test_messages_are_sentences(text: str, wanted: str) -> None:
    assert sentence(text) == wanted


def test_any_bytes_can_be_stored() -> None:
    assert storable(b"a\xff\0b") == "a\ufffd\ufffdb"
    assert storable(os.fsdecode(b"a\xffb")) == "a\ufffdb"


def set_heartbeat(job_id: int, ago: timedelta) -> None:
    """Let the last heartbeat of a job be so long ago."""
    with write() as session:
        session.get_one(Job, job_id).heartbeat_at = utc_now() - ago
