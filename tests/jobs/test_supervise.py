"""One command starts all of Holdfast, says where it is, and ends all of it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask

from core.jobs import interrupted, jobs, processes
from jobs import only_one, ports
from jobs.tasks import enqueue
from tests.children import children_of, is_alive
from tests.core.making import make_config
from tests.jobs.conftest import Start
from tests.jobs.waiting import is_reading, make_slow_tree, until
from tests.ports import free_port


@pytest.fixture
def port() -> str:
    """Return a port that is free now."""
    return str(free_port())


def lines_of(process: subprocess.Popen[str], count: int) -> list[str]:
    """Return the next lines that a process prints."""
    assert process.stdout is not None
    return [process.stdout.readline().rstrip("\n") for _ in range(count)]


def descendants_of(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that they have."""
    found = {each for each in children_of(pid) if is_alive(each)}
    return found.union(*map(descendants_of, found))


@pytest.fixture
def running(start: Start, port: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Return a supervisor that has said where it is, and its URL."""
    supervisor = start("jobs.supervise", PORT=port)
    line = lines_of(supervisor, 1)[0]
    assert line == f"Holdfast is running at http://127.0.0.1:{port}", line
    yield supervisor, f"http://127.0.0.1:{port}"
    supervisor.terminate()
    supervisor.wait(120)


def start_slow_job(tmp_path: Path) -> int:
    """Return a backup that a worker of the supervisor has in the middle."""
    job_id = jobs.create_backup(make_config(make_slow_tree(tmp_path / "tree")).id, "manual").id
    enqueue([job_id])
    until(lambda: is_reading(job_id))
    return job_id


def test_it_says_where_it_is_and_how_to_set_it_up(running: tuple[subprocess.Popen[str], str]) -> None:
    supervisor, url = running
    (setup_line,) = lines_of(supervisor, 1)
    assert setup_line.startswith(f"{url}/setup?token=")
    with urllib.request.urlopen(setup_line) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_everything_with_its_jobs(
    running: tuple[subprocess.Popen[str], str], tmp_path: Path, number: signal.Signals
) -> None:
    supervisor, _ = running
    job_id = start_slow_job(tmp_path)
    children = descendants_of(supervisor.pid)
    assert len(children) >= 4, "web server and its worker, worker, tick"
    supervisor.send_signal(number)
    assert supervisor.wait(30) == 0, "ten seconds for its children, and more where much else runs"
    assert not [pid for pid in children if is_alive(pid)]
    job = until(lambda: jobs.get(job_id))
    assert job.status == "interrupted"
    assert not processes.is_alive(job)
    assert not list((tmp_path / "backups" / "repository" / "locks").iterdir())


@pytest.mark.slow
def test_a_burst_of_signals_ends_it_like_one(running: tuple[subprocess.Popen[str], str]) -> None:
    supervisor, _ = running
    children = descendants_of(supervisor.pid)
    for number in (signal.SIGTERM, signal.SIGINT) * 200:
        supervisor.send_signal(number)
    assert supervisor.wait(120) == 0
    assert not [pid for pid in children if is_alive(pid)]


def test_killed_it_takes_its_children_along_but_not_the_jobs(
    running: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    supervisor, _ = running
    job_id = start_slow_job(tmp_path)
    job_pid = jobs.get(job_id).pid or 0
    children = descendants_of(supervisor.pid) - {job_pid}
    supervisor.kill()
    supervisor.wait()
    until(lambda: not [pid for pid in children if is_alive(pid)])
    assert is_alive(job_pid)
    assert interrupted.mark_interrupted() == []
    jobs.request_cancel(job_id)
    until(lambda: jobs.get(job_id).status == "cancelled")


def test_a_worker_that_dies_is_started_anew(running: tuple[subprocess.Popen[str], str]) -> None:
    supervisor, _ = running
    (worker,) = [pid for pid in descendants_of(supervisor.pid) if b"jobs.worker\0main" in command_of(pid)]
    os.kill(worker, signal.SIGKILL)
    until(lambda: [
        pid for pid in descendants_of(supervisor.pid)
        if pid != worker and b"jobs.worker\0main" in command_of(pid)
    ])  # fmt: skip


def command_of(pid: int) -> bytes:
    """Return the command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_port_in_use_is_named_with_who_has_it(start: Start, port: str, install: Flask) -> None:
    with socket.create_server(("127.0.0.1", int(port))):
        supervisor = start("jobs.supervise", PORT=port)
        output, errors = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 1
    assert output == ""
    assert f"Port {port} is in use by" in errors
    assert f"process {os.getpid()}" in errors
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_a_second_one_on_the_same_data_folder_names_the_first(
    running: tuple[subprocess.Popen[str], str], start: Start
) -> None:
    first, url = running
    second = start("jobs.supervise", PORT="1")
    output, errors = second.communicate(timeout=240)
    assert (second.returncode, output, errors.count("\n")) == (1, "", 1)
    assert f"already: process {first.pid}, {url}." in errors
    first.kill()
    first.wait()
    only_one.hold(os.environ["HOLDFAST_DATA_DIR"], url)  # the kernel has freed it


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_all_addresses_are_told_as_one_to_go_to(host: str) -> None:
    url = urlsplit(ports.url_of(host, 8000))
    assert (url.scheme, url.port) == ("http", 8000)
    assert url.hostname not in ("0.0.0.0", "::", "", None)
    assert ports.url_of("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert socket.getaddrinfo(url.hostname, 8000)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("PORT", "eighty", "PORT is 'eighty'"),
        ("HOST", "no.such.host.invalid", "HOST is 'no.such.host.invalid'"),
        ("HOLDFAST_DATA_DIR", "/proc/nothing", "The data folder /proc/nothing cannot be made"),
        ("BACKUP_DIR", "/proc/nothing", "/proc/nothing"),
        ("BACKUP_ENCRYPTION", "false", "BACKUP_ENCRYPTION is false"),
        ("DATABASE_URL", "mysql://x", "DATABASE_URL starts with 'mysql'"),
    ],
)
def test_a_bad_value_is_one_sentence(start: Start, port: str, variable: str, value: str, told: str) -> None:
    supervisor = start("jobs.supervise", **{"PORT": port, variable: value})
    output, errors = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 1
    assert output == ""
    assert told in errors
    assert "Traceback" not in errors
    assert errors.count("\n") == 1


@pytest.mark.slow
def test_what_cannot_be_kept_running_ends_all_with_its_words(start: Start, port: str, install: Flask) -> None:
    supervisor = start("jobs.supervise", PORT=port, GUNICORN_CMD_ARGS="--no-such-option")
    output, errors = supervisor.communicate(timeout=240)
    assert supervisor.returncode == 1
    assert output == ""
    assert "The web server cannot be kept running" in errors
    assert errors.rindex("--no-such-option") > errors.index("cannot be kept running")
