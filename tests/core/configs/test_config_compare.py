"""Files of a point held against this machine's, and chosen ones put back after a safety backup."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core import app_state, text_diff
from core.configs import config_compare, configs
from core.errors import Conflict, Invalid, NotFound, Refused
from core.jobs import jobs
from core.models import Config, Job, Point
from core.points import points
from core.points.tokens import token_from_path
from core.restores import config_restores, restores
from tests.core.making import back_up, make_config, make_storage, run

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return a folder of configuration files."""
    make_storage(tmp_path)
    folder = tmp_path / "etc"
    (folder / "conf.d").mkdir(parents=True)
    (folder / "app.conf").write_text("port = 80\nname = shop\n")
    (folder / "conf.d" / "one.conf").write_text("one\n")
    (folder / ".env").write_text("TOKEN=first\n")
    (folder / "binary").write_bytes(b"\0\1\2")
    os.symlink("app.conf", folder / "current")
    return folder


@pytest.fixture
def config(etc: Path) -> Config:
    """Return a config of type config that reads the folder."""
    source = {"paths": [str(etc)], "packages": False, "services": False}
    return configs.create(configs.parse({"name": "Machine", "type": "config", "source": source}))


@pytest.fixture
def point(config: Config) -> Point:
    """Return a point of it."""
    assert back_up(config.id).status == "completed"
    found = points.latest(config.id)
    assert found is not None
    return found


def path(etc: Path, name: str) -> bytes:
    return os.fsencode(etc / name)


def put_back(point: Point, *paths: bytes) -> Job:
    """Ask for files to be put back."""
    tokens = [token_from_path(each) for each in paths]
    return config_restores.create(config_restores.validate({"point_id": point.id, "include": tokens}))


def carry_out(job: Job) -> Job:
    """Run the safety backup of a restore, then the restore."""
    run(jobs.get(restores.safety_job_of(job) or 0))
    return run(jobs.get(job.id))


def test_without_changes_nothing_differs(point: Point) -> None:
    found = config_compare.compare(point)
    assert (found.differences, found.same, found.complete) == ([], 5, True)


def test_each_way_to_differ_is_named(point: Point, etc: Path) -> None:
    (etc / "app.conf").write_text("port = 81\nname = shop\n")  # of the same length
    (etc / "conf.d" / "one.conf").unlink()
    (etc / "binary").chmod(0o600)
    (etc / "current").unlink()
    os.symlink("other", etc / "current")
    (etc / ".env").unlink()
    (etc / ".env").mkdir()
    found = config_compare.compare(point)
    told = {Path(each.name).name: (each.verdict, each.note) for each in found.differences}
    assert told == {
        "app.conf": ("changed", ""),
        "one.conf": ("gone", ""),
        "binary": ("attributes", "mode 0600 now, 0644 then"),
        "current": ("changed", "a link to other now"),
        ".env": ("other", "a folder stands there now"),
    }
    assert found.same == 0


def test_one_folder_can_be_compared_alone(point: Point, etc: Path) -> None:
    (etc / "app.conf").write_text("other\n")
    found = config_compare.compare(point, path(etc, "conf.d"))
    assert (found.differences, found.same) == ([], 1)


def test_the_lines_lead_from_now_to_the_point_and_hide_secrets(point: Point, etc: Path) -> None:
    (etc / "app.conf").write_text("port = 81\nname = shop\n")
    (etc / ".env").write_text("TOKEN=second\n")
    lines = config_compare.diff(point, path(etc, "app.conf")).lines
    assert [(line.sign, line.text) for line in lines[1:]] == [
        ("-", "port = 81"), ("+", "port = 80"), (" ", "name = shop"),
    ]  # fmt: skip
    masked = config_compare.diff(point, path(etc, ".env"))
    assert (masked.hidden, "first" in repr(masked), "second" in repr(masked)) == (True, False, False)
    assert "TOKEN=first" in repr(config_compare.diff(point, path(etc, ".env"), reveal=True).lines)


def test_what_differs_only_beyond_the_lines_that_are_compared_is_not_called_the_same(
    point: Point, etc: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_diff, "MOST_LINES", 1)
    assert config_compare.diff(point, path(etc, "app.conf")).note == "The content is the same."
    (etc / "app.conf").write_text("port = 80\nname = other\n")
    found = config_compare.diff(point, path(etc, "app.conf"))
    assert (found.note, found.lines) == (text_diff.BEYOND, [])


def test_what_is_no_text_is_not_shown_as_such(point: Point, etc: Path) -> None:
    (etc / "binary").write_bytes(b"\0")
    assert "no text" in config_compare.diff(point, path(etc, "binary")).note
    (etc / "app.conf").unlink()
    assert [line.sign for line in config_compare.diff(point, path(etc, "app.conf")).lines] == ["@", "+", "+"]
    with pytest.raises(NotFound):
        config_compare.diff(point, path(etc, "gone"))


def test_a_large_file_is_not_opened_for_its_lines_and_no_lock_is_left(
    point: Point, etc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_compare, "LARGEST_TEXT", 10)
    assert "too large" in config_compare.diff(point, path(etc, "app.conf")).note
    assert list((tmp_path / "backups" / "repository" / "locks").iterdir()) == []


def test_a_file_comes_back_and_what_stood_there_is_in_the_safety_point(point: Point, etc: Path) -> None:
    (etc / "app.conf").write_text("broken\n")
    (etc / "conf.d" / "one.conf").unlink()
    (etc / "conf.d").rmdir()
    job = put_back(point, path(etc, "app.conf"), path(etc, "conf.d/one.conf"))
    assert run(job).phase == "waiting"
    assert (etc / "app.conf").read_text() == "broken\n", "nothing is touched before the safety backup"
    jobs.hasten(job.id)
    ended = carry_out(job)
    assert (ended.status, ended.problems) == ("completed", 0), ended.summary
    assert "2 files" in ended.summary
    assert "their places" in ended.summary
    assert (etc / "app.conf").read_text() == "port = 80\nname = shop\n"
    assert (etc / "conf.d" / "one.conf").read_text() == "one\n"
    safety = points.latest(str(point.config_id))
    assert safety is not None
    assert safety.id != point.id
    assert "broken" in repr(config_compare.diff(safety, path(etc, "app.conf")).lines)


def test_the_end_of_the_safety_backup_lets_the_restore_go_on_at_once(point: Point, etc: Path) -> None:
    from core.jobs import attempts, job_kinds

    (etc / "app.conf").write_text("broken\n")
    job = put_back(point, path(etc, "app.conf"))
    assert run(job).not_before is not None
    attempt = attempts.claim(restores.safety_job_of(job) or 0)
    assert attempt is not None
    assert job.id in job_kinds.perform(attempt)
    assert jobs.get(job.id).not_before is None
    assert "waiting_since" not in jobs.get(job.id).parameters, "it waits for its own job without a limit"


def test_without_a_safety_backup_nothing_is_touched(point: Point, etc: Path) -> None:
    (etc / "app.conf").write_text("broken\n")
    job = put_back(point, path(etc, "app.conf"))
    jobs.request_cancel(restores.safety_job_of(job) or 0)
    ended = run(jobs.get(job.id))
    assert (ended.status, "safety backup was not made" in ended.summary) == ("failed", True)
    assert (etc / "app.conf").read_text() == "broken\n"


def test_a_file_that_the_safety_backup_leaves_out_is_not_replaced(
    point: Point, config: Config, etc: Path
) -> None:
    data = configs.to_input(config)
    source = data.source.model_copy(update={"exclude": ["app.conf"]})
    configs.update(config.id, data.model_copy(update={"source": source}))
    ended = carry_out(put_back(point, path(etc, "app.conf")))
    assert (ended.status, "does not hold" in ended.summary) == ("failed", True), ended.summary


@pytest.mark.parametrize("name", ["app.conf", "current"])
def test_what_changed_since_the_safety_backup_read_it_is_not_replaced(
    point: Point, etc: Path, name: str
) -> None:
    (etc / "app.conf").write_text("broken\n")
    job = put_back(point, path(etc, name))
    run(jobs.get(restores.safety_job_of(job) or 0))
    (etc / name).unlink()
    (etc / name).write_text("edited meanwhile\n")
    ended = run(jobs.get(job.id))
    assert (ended.status, "has changed since the safety backup" in ended.summary) == ("failed", True)
    assert (etc / name).read_text() == "edited meanwhile\n"


def test_what_a_cut_off_try_has_put_back_already_is_no_change(point: Point, etc: Path) -> None:
    file = etc / "app.conf"
    text, found = file.read_text(), file.stat()
    file.write_text("broken\n")
    job = put_back(point, path(etc, "app.conf"))
    run(jobs.get(restores.safety_job_of(job) or 0))
    file.write_text(text)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert run(jobs.get(job.id)).status == "completed"


@pytest.mark.parametrize("name", ["conf.d", "gone"])
def test_only_files_of_the_point_are_put_back(point: Point, etc: Path, name: str) -> None:
    with pytest.raises((Invalid, NotFound)):
        put_back(point, path(etc, name))


def test_what_holdfast_wrote_and_what_is_its_own_is_refused(point: Point) -> None:
    with pytest.raises(Invalid, match="Holdfast wrote it"):
        put_back(point, b"/holdfast/environment.json")
    with pytest.raises(Invalid, match="at least one"):
        put_back(point)
    own = os.fsencode(app_state.settings().data_dir) + b"/master.key"
    from core.restores.restore_targets import refuse_in_place

    with pytest.raises(Invalid, match="own data folder"):
        refuse_in_place([own])


def test_while_a_backup_runs_and_for_other_types_it_is_refused(
    point: Point, config: Config, etc: Path, tmp_path: Path
) -> None:
    running = jobs.create_backup(config.id, "manual")
    with pytest.raises(Conflict):
        put_back(point, path(etc, "app.conf"))
    run(running)
    files = make_config(etc)
    back_up(files.id)
    other = points.latest(files.id)
    assert other is not None
    assert not config_restores.is_offered(other)
    with pytest.raises(Refused, match="Only files of a configuration"):
        put_back(other, path(etc, "app.conf"))
    assert config_compare.compare(other).same == 5, "comparing works for them, too"


def test_comparing_ends_in_time_and_says_what_was_left(point: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config_compare, "LONGEST_S", -1.0)
    found = config_compare.compare(point)
    assert (found.same, found.complete) == (0, False)
