"""Dead-man pings and the heartbeat, against a real server: one for each start and end, none that lies."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import delete, select

from core.db import db, utc_now, write
from core.errors import Invalid
from core.jobs import attempts, interrupted, jobs, nodes
from core.messaging import heartbeat, pings
from core.models import Alert, Config, Job, Ping, PingTarget
from core.reports import housekeeping
from tests.core.making import back_up, make_config, make_storage, make_tree
from tests.core.receivers import Receiver, http_receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with http_receiver() as server:
        yield server


@pytest.fixture
def config(context: Flask, tmp_path: Path, receiver: Receiver) -> Config:
    """Return a config whose backups are pinged."""
    make_storage(tmp_path)
    made = make_config(make_tree(tmp_path / "tree"))
    config_id, base = made.id, f"http://127.0.0.1:{receiver.server_port}/s3cr3t"
    pings.set_urls(config_id, {"success": base, "start": f"{base}/start", "fail": f"{base}/fail"})
    return db.session.get_one(Config, config_id)


def paths(receiver: Receiver) -> list[str]:
    """Return what was pinged."""
    return [path for path, _ in receiver.got]


def test_a_backup_is_pinged_at_its_start_and_its_end_once(config: Config, receiver: Receiver) -> None:
    back_up(config.id)
    assert [pings.run(), pings.run()] == [2, 0]
    assert paths(receiver) == ["/s3cr3t/start", "/s3cr3t"]
    target = pings.places_of(config.id)
    assert target is not None
    assert target.last_sent_at is not None


def test_a_failure_and_a_killed_job_are_pinged_as_failed(
    config: Config, receiver: Receiver, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "tree")
    assert back_up(config.id).status == "failed"
    job_id = jobs.create_backup(config.id, "manual").id
    attempt = attempts.claim(job_id)
    assert attempt is not None
    pings.run()
    interrupted.interrupt(job_id, attempt.number, "its process was killed")
    pings.run()
    assert paths(receiver) == ["/s3cr3t/start", "/s3cr3t/fail", "/s3cr3t/start", "/s3cr3t/fail"]


def test_what_was_cancelled_or_was_before_is_not_pinged(config: Config, receiver: Receiver) -> None:
    jobs.request_cancel(jobs.create_backup(config.id, "manual").id)
    back_up(config.id)
    with write() as session:
        session.get_one(PingTarget, config.id).since = utc_now() + timedelta(seconds=1)
    assert pings.run() == 0


def test_a_start_that_comes_late_is_not_pinged(config: Config, receiver: Receiver) -> None:
    job_id = back_up(config.id).id
    with write() as session:
        session.get_one(Job, job_id).started_at = utc_now() - timedelta(hours=2)
    assert pings.run() == 1
    assert paths(receiver) == ["/s3cr3t"]


def test_a_watcher_that_is_away_is_tried_again_and_shown(config: Config, receiver: Receiver) -> None:
    receiver.status = 500
    back_up(config.id)
    now = utc_now()
    assert pings.run(now) == 0
    target = db.session.get_one(PingTarget, config.id)
    assert "500" in target.last_error
    assert "s3cr3t" not in target.last_error + target.places
    assert pings.run(now + timedelta(seconds=30)) == 0
    receiver.status = 200
    assert pings.run(now + timedelta(minutes=2)) == 2
    assert db.session.get_one(PingTarget, config.id).failing_since is None


def test_a_ping_that_is_too_late_is_given_up(config: Config, receiver: Receiver) -> None:
    receiver.status = 500
    back_up(config.id)
    now = utc_now()
    pings.run(now)
    receiver.status = 200
    assert pings.run(now + timedelta(hours=1)) == 1
    assert paths(receiver)[-1] == "/s3cr3t"
    start = db.session.scalars(select(Ping).where(Ping.event == "start")).one()
    assert start.given_up_at is not None


def test_a_success_that_comes_after_a_newer_failure_is_given_up(
    config: Config, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.status = 500
    back_up(config.id)
    now = utc_now()
    pings.run(now)
    shutil.rmtree(tmp_path / "tree")
    back_up(config.id)
    receiver.status = 200
    assert pings.run(now + timedelta(seconds=30)) == 2, "those of the first wait still"
    assert pings.run(now + timedelta(minutes=5)) == 0
    assert paths(receiver)[-1] == "/s3cr3t/fail"
    success = db.session.scalars(select(Ping).where(Ping.event == "success")).one()
    assert success.given_up_at is not None


def test_pings_of_an_old_job_go_with_it(config: Config, tmp_path: Path) -> None:
    """Two that failed: the newest of each end stays."""
    shutil.rmtree(tmp_path / "tree")
    first = back_up(config.id).id
    back_up(config.id)
    pings.run()
    with write() as session:
        session.execute(delete(Alert))
    housekeeping.sweep(utc_now() + timedelta(days=10_000))
    left = set(db.session.scalars(select(Ping.job_id)))
    assert left
    assert first not in left


def test_addresses_stay_and_are_forgotten_one_by_one(config: Config) -> None:
    pings.set_urls(config.id, {"success": "", "fail": "https://hc.example.org/x"}, forget=["start"])
    urls = pings.urls_of(config.id)
    assert set(urls) == {"success", "fail"}
    assert urls["fail"] == "https://hc.example.org/x"
    with pytest.raises(Invalid) as caught:
        pings.set_urls(config.id, {"start": "http://169.254.169.254/", "fail": "x"})
    assert set(caught.value.fields) == {"start", "fail"}
    pings.set_urls(config.id, {}, forget=["success", "fail"])
    assert pings.places_of(config.id) is None


def test_the_heartbeat_says_that_all_is_alive_or_nothing(context: Flask, receiver: Receiver) -> None:
    heartbeat.set_url(f"http://127.0.0.1:{receiver.server_port}/beat")
    now = utc_now()
    nodes.beat("worker")
    assert not heartbeat.run(now), "no tick has run"
    heartbeat.note_tick(now)
    assert heartbeat.run(now)
    assert not heartbeat.run(now + timedelta(seconds=20)), "it is not time yet"
    assert heartbeat.run(now + timedelta(seconds=60))
    assert not heartbeat.run(now + timedelta(minutes=5)), "the tick is dead"
    heartbeat.note_tick(now + timedelta(minutes=5))
    nodes.gone("worker")
    assert not heartbeat.run(now + timedelta(minutes=5)), "the worker is dead"
    assert paths(receiver) == ["/beat", "/beat"]


def test_a_heartbeat_that_is_not_taken_is_shown(context: Flask, receiver: Receiver) -> None:
    heartbeat.set_url(f"http://127.0.0.1:{receiver.server_port}/s3cr3t")
    receiver.status = 404
    nodes.beat("worker")
    heartbeat.note_tick()
    assert not heartbeat.run()
    assert heartbeat.state() == (None, "The receiver did not take the message: it answered 404.")
    heartbeat.set_url("")
    assert heartbeat.place() == ""
    assert not heartbeat.run()
