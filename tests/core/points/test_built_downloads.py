"""Downloads that are built first: whole or not there, never two of the same, and nothing left behind."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections import namedtuple
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core import app_state
from core.db import db, utc_now, write
from core.errors import Conflict, NotFound
from core.jobs import attempts, interrupted, jobs
from core.models import BuiltDownload, Job, Point
from core.points import building, built_downloads, built_files, built_rules, opened, points, selection_size
from core.points.built_files import CannotBeBuilt
from core.points.tokens import token_from_path
from core.retention import trash
from core.settings import PROJECT_DIR
from repository import browse as engine
from tests.core.making import back_up, make_config, make_storage, run


@pytest.fixture
def tree(context: Flask, tmp_path: Path) -> Path:
    """Return a tree that was backed up once."""
    opened.forget_all()
    make_storage(tmp_path)
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "small.txt").write_text("small\n")
    (tree / "large").write_bytes(os.urandom(6 << 20))
    os.mkfifo(tree / "pipe")
    back_up(make_config(tree).id)
    return tree


@pytest.fixture
def point(tree: Path) -> Point:
    return points.list_page().items[0]


def asked(point: Point, *paths: Path, form: str = "zip", **more: Any) -> BuiltDownload:
    include = [token_from_path(os.fsencode(path)) for path in paths]
    given = built_downloads.validate({"point_id": point.id, "include": include, "form": form, **more})
    return built_downloads.create(given, "manual", "anna")


def built(row: BuiltDownload) -> BuiltDownload:
    run(jobs.get(row.job_id))
    return built_downloads.get(row.id)


def folder() -> Path:
    return Path(app_state.settings().data_dir) / built_files.FOLDER


def files() -> list[str]:
    return sorted(os.listdir(folder())) if folder().exists() else []


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_a_built_download_is_whole_and_has_its_hash(tree: Path, point: Point, form: str) -> None:
    row = built(asked(point, tree, form=form))
    _, path = built_downloads.file_of(row.id)
    data = Path(path).read_bytes()
    assert (row.size_bytes, row.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    assert os.stat(path).st_mode & 0o777 == 0o600
    if form == "zip":
        archive = zipfile.ZipFile(path)
        assert archive.testzip() is None
        assert archive.read("tree/large") == (tree / "large").read_bytes()
        assert row.left_out["paths"] == [["tree/pipe", "a fifo, which a zip cannot hold"]]
    else:
        with tarfile.open(path) as found:
            assert found.getmember("tree/pipe").isfifo()
            assert found.extractfile("tree/sub/small.txt").read() == b"small\n"  # type: ignore[union-attr]
        assert row.left_out["count"] == 0
    assert (row.job.status, built_downloads.state(row), files()) == (
        "completed",
        "ready",
        [f"{row.id}.{form}"],
    )


def test_there_are_never_two_of_the_same(tree: Path, point: Point) -> None:
    first = asked(point, tree / "sub", tree / "large").id
    assert asked(point, tree / "large", tree / "sub", tree / "sub" / "small.txt").id == first
    built(built_downloads.get(first))
    assert asked(point, tree / "large", tree / "sub").id == first
    assert asked(point, tree / "large").id != first
    built_downloads.remove(first, "anna")
    assert asked(point, tree / "large", tree / "sub").id != first


def test_a_file_that_somebody_took_away_is_built_anew(tree: Path, point: Point) -> None:
    row = built(asked(point, tree / "sub"))
    os.unlink(built_files.path_of(row.id, "zip"))
    with pytest.raises(NotFound, match="not in the data folder"):
        built_downloads.file_of(row.id)
    assert asked(point, tree / "sub").id != row.id


def test_what_is_not_in_the_point_is_said_before_a_job_is_made(tree: Path, point: Point) -> None:
    with pytest.raises(NotFound, match="not in this point"):
        asked(point, tree / "none")
    assert built_downloads.list_page().total == 0


def test_the_room_is_looked_at_before(tree: Path, point: Point, monkeypatch: pytest.MonkeyPatch) -> None:
    built_rules.change({"most_bytes": 1 << 20})
    with pytest.raises(CannotBeBuilt, match="too large"):
        asked(point, tree / "large")
    built_rules.change({"most_bytes": 100 << 20})
    Room = namedtuple("Room", "f_bavail f_frsize f_blocks")
    monkeypatch.setattr(os, "statvfs", lambda path: Room(2 << 20, 1, 100 << 30))
    with pytest.raises(CannotBeBuilt, match="no room"):
        asked(point, tree / "large")


def test_a_build_that_outgrows_its_room_leaves_nothing(tree: Path, point: Point) -> None:
    row = asked(point, tree / "large", form="tar")
    built_rules.change({"most_bytes": 1 << 20})
    row = built(row)
    assert (row.job.status, files(), built_downloads.state(row)) == ("failed", [], "failed")
    assert "too large" in row.job.summary
    with pytest.raises(Conflict, match="could not be built"):
        built_downloads.file_of(row.id)


def test_a_full_disk_ends_it_with_a_sentence(
    tree: Path, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = asked(point, tree / "large")

    real = os.write

    def full(descriptor: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{descriptor}").endswith(".part"):
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", full)
    row = built(row)
    monkeypatch.undo()
    assert (row.job.status, files()) == ("failed", [])
    assert "The data folder is full" in row.job.summary


def test_damage_ends_it_and_nothing_can_be_downloaded(tree: Path, point: Point, tmp_path: Path) -> None:
    row = asked(point, tree / "large")
    packs = [path for path in (tmp_path / "backups" / "repository" / "data").rglob("*") if path.is_file()]
    pack = max(packs, key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(data)
    row = built(row)
    assert (row.job.status, files()) == ("failed", [])
    assert "damaged" in row.job.summary


def test_a_point_that_goes_to_the_trash_while_it_is_built_is_built_whole(
    tree: Path, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, point_id = engine.stream_zip, point.id

    def stream(*given: Any, **more: Any) -> Iterator[bytes]:
        pieces = real(*given, **more)
        yield next(pieces)
        with write() as session:
            for copy in session.get_one(Point, point_id).copies:
                copy.trashed_at, copy.trash_reason = utc_now(), trash.by_hand("anna")
        yield from pieces

    monkeypatch.setattr(engine, "stream_zip", stream)
    row = built(asked(point, tree / "large"))
    assert (row.job.status, built_downloads.state(row)) == ("completed", "ready"), row.job.summary
    with zipfile.ZipFile(built_downloads.file_of(row.id)[1]) as archive:
        (name,) = [each for each in archive.namelist() if each.endswith("large")]
        assert archive.read(name) == (tree / "large").read_bytes()


def test_a_point_that_is_gone_before_it_is_built_fails_with_a_sentence(tree: Path, point: Point) -> None:
    row = asked(point, tree / "large")
    with write() as session:
        for copy in session.get_one(Point, point.id).copies:
            copy.trashed_at = copy.forgotten_at = utc_now()
    row = built(row)
    assert (row.job.status, files()) == ("failed", [])
    assert f"The data of point {row.point_id} is gone" in row.job.summary


def test_a_cancelled_build_leaves_nothing(tree: Path, point: Point) -> None:
    row = asked(point, tree)
    attempt = attempts.claim(row.job_id)
    assert attempt is not None
    attempt.cancelled.set()
    with pytest.raises(Exception, match="cancelled on request"):
        building.perform_build(attempt)
    assert files() == []


def test_its_time_ends(tree: Path, point: Point) -> None:
    row = built(asked(point, tree / "sub"))
    built_id, end = row.id, row.expires_at
    assert end is not None
    built_downloads.sweep(end - timedelta(seconds=1))
    assert built_downloads.state(built_downloads.get(built_id)) == "ready"
    assert built_downloads.sweep(end) == [f"{built_id}.zip"]
    with pytest.raises(NotFound, match="its time was up"):
        built_downloads.file_of(built_id)
    db.session.get_one(Job, row.job_id).ended_at = utc_now() - timedelta(days=60)
    db.session.get_one(BuiltDownload, built_id).removed_at = utc_now() - timedelta(days=60)
    db.session.commit()
    built_downloads.sweep()
    with pytest.raises(NotFound, match="removed long ago"):
        built_downloads.get(built_id)


def test_one_that_is_being_built_is_not_swept(tree: Path, point: Point) -> None:
    row = asked(point, tree / "sub")
    with built_files.made(row.id, "zip", 1 << 30) as file:
        file.write(b"half")
        assert built_downloads.sweep() == []
        with pytest.raises(Conflict, match="is being built"):
            built_downloads.remove(row.id, "anna")
        file.finish()
        assert built_downloads.sweep() == []  # whole, and its row is about to say so
    assert built_downloads.sweep() == [f"{row.id}.zip"]  # it never did


HALF = """
import sys, time
from flask import Flask
from core import app_state
from core.db import db
from core.points import built_files
from core.settings import load
found = load()
app_state.prepare(found)
app = Flask("half")
app.config["SQLALCHEMY_DATABASE_URI"] = found.database_url
db.init_app(app)
with app.app_context(), built_files.made(int(sys.argv[1]), "zip", 1 << 30) as file:
    file.write(b"half")
    print("begun", flush=True)
    time.sleep(600)
"""


def test_a_killed_build_leaves_nothing(tree: Path, point: Point, environ: dict[str, str]) -> None:
    row = asked(point, tree / "sub")
    command = [sys.executable, "-c", HALF, str(row.id)]
    with subprocess.Popen(
        command, cwd=PROJECT_DIR, env={**os.environ, **environ}, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        assert built_downloads.sweep() == []  # it lives
        assert files() == [f"{row.id}.part"]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert built_downloads.sweep() == [f"{row.id}.part"]
    assert files() == []


def test_an_interrupted_job_is_a_failed_download(tree: Path, point: Point) -> None:
    row = asked(point, tree / "sub")
    attempt = attempts.claim(row.job_id)
    assert attempt is not None
    assert interrupted.interrupt(row.job_id, attempt.number, "it was killed")
    row = built_downloads.get(row.id)
    assert built_downloads.state(row) == "failed"
    assert "nothing can be downloaded" in row.job.meaning
    assert asked(point, tree / "sub").id != row.id


def test_it_is_offered_above_a_size_or_where_that_is_not_known(
    tree: Path, point: Point, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = built_downloads.validate({"point_id": point.id, "include": [token_from_path(os.fsencode(tree))]})
    assert built_downloads.extent_of(point, given)[1] is False
    built_rules.change({"build_above_bytes": 1 << 20})
    extent, large = built_downloads.extent_of(point, given)
    assert (extent.files, extent.complete, large) == (2, True, True)
    built_rules.change({"build_above_bytes": 1 << 40})
    monkeypatch.setattr(selection_size, "SOON_S", -1.0)
    assert built_downloads.extent_of(point, given)[1] is True
