"""A folder for parallel dumps may be one where others write, too: only what a killed run left is removed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sources.postgres.leftovers import started, sweep
from sources.postgres.work_folder import WorkFolder
from tests.sources.postgres.making import leave_behind

NAME = "holdfast-dump-abcd1234"
MARK = ".holdfast-work-folder"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of ours that is no dump."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    left = leave_behind(tmp_path)
    (left / "dump").mkdir()
    (left / "dump" / "toc.dat").write_text("x")
    assert sweep(str(tmp_path)) == [str(left)]
    assert os.listdir(tmp_path) == []


def test_a_folder_of_the_same_name_stays(tmp_path: Path) -> None:
    mine = tmp_path / NAME
    mine.mkdir(0o700)
    (mine / "thesis").write_text("years of work")
    WorkFolder(str(tmp_path)).close()
    assert sweep(str(tmp_path)) == []
    assert (mine / "thesis").read_text() == "years of work"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "second name"])
def test_a_mark_that_no_run_made_is_none(tmp_path: Path, kind: str) -> None:
    mine, other = tmp_path / NAME, tmp_path / "other"
    mine.mkdir(0o700)
    other.touch()
    make = {"link": lambda: (mine / MARK).symlink_to(other), "fifo": lambda: os.mkfifo(mine / MARK),
            "folder": (mine / MARK).mkdir, "second name": lambda: os.link(other, mine / MARK)}  # fmt: skip
    make[kind]()
    assert sweep(str(tmp_path)) == []
    assert (mine / MARK).exists()


def test_a_folder_that_others_may_enter_stays(tmp_path: Path) -> None:
    left = leave_behind(tmp_path)
    left.chmod(0o755)
    assert sweep(str(tmp_path)) == []
    assert left.is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
@pytest.mark.parametrize("what", ["folder", "mark"])
def test_what_belongs_to_somebody_else_stays(tmp_path: Path, what: str) -> None:
    left = leave_behind(tmp_path)
    os.chown(left if what == "folder" else left / MARK, 65534, 65534)
    WorkFolder(str(tmp_path)).close()
    assert (left / MARK).exists()


def test_a_file_and_a_link_of_such_a_name_hold_nothing_up(tmp_path: Path) -> None:
    work, elsewhere = tmp_path / "work", tmp_path / "elsewhere"
    work.mkdir()
    elsewhere.mkdir()
    left = leave_behind(elsewhere)
    (work / NAME).write_text("a file")
    (work / "holdfast-dump-link0000").symlink_to(left)
    os.mkfifo(work / "holdfast-dump-fifo0000")
    WorkFolder(str(work)).close()
    assert sweep(str(work)) == []
    assert len(os.listdir(work)) == 3
    assert left.is_dir()


def test_a_name_that_no_run_gives_stays(tmp_path: Path) -> None:
    kept = tmp_path / "holdfast-dump-kept for the audit"
    shutil.move(leave_behind(tmp_path), kept)
    assert sweep(str(tmp_path)) == []
    assert kept.is_dir()


def test_a_link_in_a_left_folder_is_not_followed(tmp_path: Path) -> None:
    work, mine = tmp_path / "work", tmp_path / "mine"
    work.mkdir()
    mine.mkdir()
    (mine / "thesis").write_text("years of work")
    (leave_behind(work) / "link").symlink_to(mine)
    assert len(sweep(str(work))) == 1
    assert (mine / "thesis").exists()


def test_a_fifo_instead_of_the_note_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(leave_behind(tmp_path) / "child")
    assert len(sweep(str(tmp_path))) == 1


@pytest.mark.parametrize("note", ["{pid} {started}", "{pid} 1", "-1 1", "x y", "", "\xff"])
def test_a_program_that_is_no_dump_goes_on(
    tmp_path: Path, note: str, sleeper: subprocess.Popen[bytes]
) -> None:
    """Ids of processes come again, and what a file says is no proof."""
    note = note.format(pid=sleeper.pid, started=started(sleeper.pid))
    (leave_behind(tmp_path) / "child").write_text(note)
    assert len(sweep(str(tmp_path))) == 1
    assert os.listdir(tmp_path) == []
    assert sleeper.poll() is None


@pytest.mark.parametrize("how", ["file", "link", "second name"])
def test_only_a_note_of_our_own_ends_a_dump(tmp_path: Path, how: str) -> None:
    program, note, work = tmp_path / "pg_dump", tmp_path / "note", tmp_path / "work"
    shutil.copy("/bin/sleep", program)
    work.mkdir()
    child = leave_behind(work) / "child"
    with subprocess.Popen([program, "600"]) as dump:
        try:
            note.write_text(f"{dump.pid} {started(dump.pid)}")
            make = {"file": lambda: shutil.copy(note, child), "link": lambda: child.symlink_to(note),
                    "second name": lambda: os.link(note, child)}  # fmt: skip
            make[how]()
            assert len(sweep(str(work))) == 1
            assert started(dump.pid) == "" if how == "file" else dump.poll() is None
        finally:
            dump.kill()
