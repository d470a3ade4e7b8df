"""`flask backup …` and `flask user …`: they work with all else stopped, and their exit codes are true."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from core import setup
from core.access import users
from core.configs import configs
from core.db import db, write
from core.jobs import jobs, nodes
from core.models import Config
from core.points import points
from core.settings import PROJECT_DIR
from core.storages import storages
from repository.locks import lock_repository
from tests.core.making import back_up, make_config, make_storage, make_tree
from tests.jobs.conftest import Start
from tests.jobs.waiting import until
from webapp import create_app

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def flask_process(install: Flask) -> Run:
    """Run `flask …` in a process of its own, as a person does, and return how it ended."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "flask", *arguments],
            cwd=PROJECT_DIR, env={**os.environ, **more}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, check=False, timeout=240,
        )  # fmt: skip
        db.session.rollback()
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


@pytest.fixture
def flask(install: Flask) -> Run:
    """Run `flask …` in this process, which is faster; jobs still run in processes of their own."""

    def run(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        done = create_app().test_cli_runner().invoke(args=arguments, input=typed)
        db.session.rollback()
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def config(install: Flask, tmp_path: Path) -> Config:
    """Return a config of a small tree."""
    make_storage(tmp_path)
    return make_config(make_tree(tmp_path / "tree"), "Wiki")


def test_without_a_worker_waiting_does_the_backup_itself(flask_process: Run, config: Config) -> None:
    done = flask_process("backup", "files", "--wait")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Wiki: completed. Stored 3 files")
    assert points.latest(config.id) is not None
    assert [job.status for job in jobs.list_jobs(kind="retention").items] == ["completed"]


def test_without_a_worker_not_waiting_says_so(flask: Run, config: Config) -> None:
    done = flask("backup", "all")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("No worker is running, so nothing was queued.")
    assert "--wait" in done.stderr
    assert "make run" in done.stderr
    assert jobs.list_jobs().total == 0


def test_what_was_queued_before_is_done_by_the_next_command_that_waits(flask: Run, config: Config) -> None:
    job_id = jobs.create_backup(config.id, "manual").id
    assert flask("backup", "all", "--wait").returncode == 0
    assert jobs.get(job_id).status == "completed"


@pytest.mark.slow
def test_with_a_worker_it_is_the_one_that_works(flask: Run, config: Config, start: Start) -> None:
    worker = start("jobs.worker", "main")
    until(nodes.worker_lives)
    done = flask("backup", "files", "--wait", "--json")
    assert done.returncode == 0, done.stderr
    (job,) = json.loads(done.stdout)["jobs"]
    assert (job["status"], job["config"], job["counts"]["files_new"]) == ("completed", "Wiki", 3)
    assert done.stderr == ""
    assert worker.poll() is None


@pytest.mark.slow
def test_the_worst_of_several_configs_is_the_exit_code(flask: Run, config: Config, tmp_path: Path) -> None:
    missing = make_config(make_tree(tmp_path / "gone"), "Gone")
    subprocess.run(["rm", "-r", str(tmp_path / "gone")], check=True)
    done = flask("backup", "all", "--wait")
    assert done.returncode == 1
    assert "Wiki: completed." in done.stdout
    assert "Gone: failed." in done.stdout
    assert "does not exist" in done.stdout
    assert points.latest(missing.id) is None


@pytest.mark.slow
def test_a_source_that_is_meant_to_be_empty_can_be_allowed(
    flask: Run, config: Config, tmp_path: Path
) -> None:
    back_up(config.id)
    subprocess.run(["rm", "-r", str(tmp_path / "tree" / "sub")], check=True)
    done = flask("backup", "files", "--wait", "--config", "Wiki")
    assert done.returncode == 1
    assert "--allow-empty" in done.stdout
    done = flask("backup", "files", "--wait", "--config", "Wiki", "--allow-empty")
    assert (done.returncode, "Stored 0 files" in done.stdout) == (0, True), done.stdout


def test_no_enabled_config_is_a_sentence(flask: Run, config: Config) -> None:
    configs.set_enabled(config.id, False)
    done = flask("backup", "files", "--wait")
    assert (done.returncode, done.stderr) == (
        1,
        "There is no enabled config of type files. Make one, or enable it.\n",
    )


@pytest.mark.slow
def test_somebody_elses_lock_is_waited_for_and_not_for_ever(flask: Run, config: Config) -> None:
    repo = storages.open_repository(storages.list_repositories()[0])
    with lock_repository(repo, exclusive=True):
        done = flask("backup", "files", "--wait", "--max-wait", "1")
    assert done.returncode == 1
    assert "Gave up after waiting for 1 second: the repository is locked by exclusively" in done.stdout

    lock = lock_repository(repo, exclusive=True)
    timer = threading.Timer(3, lock.release)
    timer.start()
    done = flask("backup", "files", "--wait", "--max-wait", "120")
    timer.join()
    assert done.returncode == 0, done.stdout + done.stderr
    repo.close()


@pytest.mark.slow
def test_restore_gives_the_files_back(flask: Run, config: Config, tmp_path: Path) -> None:
    back_up(config.id)
    done = flask("backup", "restore", "latest", "--to", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    restored = f"{tmp_path}/out{tmp_path}/tree"
    subprocess.run(["diff", "-r", f"{tmp_path}/tree", restored], check=True)

    only = f"{tmp_path}/tree/sub/1.txt"
    done = flask("backup", "restore", "1", "--to", str(tmp_path / "one"), "--include", only)
    assert "Restored 1 file" in done.stdout
    done = flask("backup", "restore", "1", "--to", str(tmp_path / "none"), "--include", "/no/such")
    assert done.returncode == 1
    assert "nothing was restored" in done.stdout


@pytest.mark.slow
def test_latest_is_ambiguous_with_several_configs(flask: Run, config: Config, tmp_path: Path) -> None:
    back_up(config.id)
    back_up(make_config(make_tree(tmp_path / "tree2"), "Mail").id)
    done = flask("backup", "restore", "latest", "--to", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "Mail, Wiki" in done.stderr
    assert (
        flask("backup", "restore", "latest", "--to", str(tmp_path / "out"), "--config", "Mail").returncode
        == 0
    )


def test_points_and_status_tell_people_and_scripts(flask: Run, config: Config) -> None:
    assert "There are no points yet" in flask("backup", "points").stdout
    back_up(config.id)
    assert "Wiki" in flask("backup", "points").stdout
    (point,) = json.loads(flask("backup", "points", "--json").stdout)["points"]
    assert (point["files"], point["state"]) == (3, "good")
    status = json.loads(flask("backup", "status", "--json").stdout)
    assert status["configs"][0]["name"] == "Wiki"
    assert flask("backup", "restore", "9999", "--to", "/tmp/x").stderr == "There is no point 9999.\n"


def test_status_promises_no_run_while_no_worker_runs(flask: Run, config: Config) -> None:
    data = configs.to_input(config)
    configs.update(config.id, data.model_copy(update={"cron": "0 3 * * *"}))
    back_up(config.id)
    job_id = jobs.create_backup(config.id, "manual").id
    told = flask("backup", "status").stdout
    assert "nothing is scheduled to run until `make run`" in told
    assert f"Job {job_id} (Wiki) is queued" in told
    assert ", 03:00 (" not in told
    nodes.beat("worker")
    told = flask("backup", "status").stdout
    assert "No worker" not in told
    assert ", 03:00 (" in told


@pytest.mark.slow
def test_cleanup_applies_the_rule(flask: Run, config: Config) -> None:
    for _ in range(3):
        back_up(config.id)
    with write() as session:
        session.get_one(Config, config.id).retention = {"max_backups": 1}
    braked = flask("backup", "cleanup", "--config", "Wiki")
    assert braked.returncode == 3
    assert "--confirm" in braked.stdout
    done = flask("backup", "cleanup", "--config", "Wiki", "--confirm")
    assert done.returncode == 0, done.stderr
    assert "2 points went to the trash" in done.stdout
    assert len(points.good_points(config.id)) == 1


def test_an_unknown_config_is_a_usage_error_that_names_the_others(flask: Run, config: Config) -> None:
    done = flask("backup", "points", "--config", "nope")
    assert done.returncode == 2
    assert "There are: Wiki." in done.stderr


def test_a_bad_setting_is_one_sentence(flask_process: Run) -> None:
    done = flask_process("backup", "status", PORT="eighty")
    assert done.returncode == 1
    assert done.stderr.startswith("PORT is 'eighty'")
    assert done.stderr.count("\n") == 1


def test_first_start_by_environment_alone(flask_process: Run, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    done = flask_process("backup", "all", "--wait", BACKUP_PATHS=str(tmp_path / "tree"))
    assert done.returncode == 0, done.stderr
    assert "Daily Files: completed." in done.stdout


def test_first_start_without_key_and_terminal_is_refused(flask_process: Run) -> None:
    done = flask_process("backup", "all", "--wait", BACKUP_ENCRYPTION_KEY="")
    assert done.returncode == 1
    assert "BACKUP_ENCRYPTION_KEY" in done.stderr
    assert not setup.has_repository()


@pytest.mark.slow
def test_first_start_on_a_terminal_shows_the_recovery_key_once(install: Flask, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    first = on_terminal(
        "backup", "all", "--wait", BACKUP_ENCRYPTION_KEY="", BACKUP_PATHS=str(tmp_path / "tree")
    )
    assert "This is your recovery key" in first
    assert "completed" in first
    again = on_terminal("backup", "all", "--wait", BACKUP_ENCRYPTION_KEY="")
    assert "recovery key" not in again
    assert "completed" in again


def on_terminal(*arguments: str, **more: str) -> str:
    """Run `flask …` on a terminal of its own and return all that it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", *arguments],
        cwd=PROJECT_DIR, env={**os.environ, **more}, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:
        pass  # the last one closed it
    os.close(ours)
    assert process.wait(120) == 0, shown
    return shown.decode()


def test_users_are_added_changed_and_disabled(flask: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a long enough password\n")
    assert flask("user", "add", "anna", "--role", "admin", "--password-file", str(secret)).returncode == 0
    assert flask("user", "add", "bert", typed="another long password\n").returncode == 0
    assert users.authenticate("anna", "a long enough password", "127.0.0.1").role == "admin"
    assert flask("user", "passwd", "bert", typed="a third long password\n").returncode == 0
    assert users.authenticate("bert", "a third long password", "127.0.0.1").role == "viewer"
    assert flask("user", "disable", "bert").returncode == 0
    listed = flask("user", "list").stdout
    assert "anna  admin" in listed
    assert "disabled" in listed


@pytest.mark.parametrize(
    ("arguments", "typed", "code", "told"),
    [
        (("user", "add", "anna"), "short\n", 1, "password"),
        (("user", "add", "anna"), "", 2, "--password-file"),
        (("user", "disable", "nobody"), "", 1, "nobody"),
    ],
)
def test_users_are_refused_with_a_sentence(
    flask: Run, arguments: tuple[str, ...], typed: str, code: int, told: str
) -> None:
    done = flask(*arguments, typed=typed)
    assert done.returncode == code
    assert told in done.stderr
