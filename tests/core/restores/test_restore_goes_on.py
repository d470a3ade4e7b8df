"""A restore whose storage dies half-way, or cannot give a file, goes on from the next copy and says so."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.alerting import alerts
from core.configs import configs
from core.errors import Unreachable
from core.models import Config, Job, Point
from core.points import browse, points
from core.restores import restores
from storage_adapters.local import LocalAdapter
from tests.core.backups.test_copying import add_disk, copy_jobs, first, make_config
from tests.core.making import back_up, make_storage, make_tree, run
from tests.core.restores.test_restores import spoil_pack

pytestmark = pytest.mark.usefixtures("context")

FILES = 12
EACH = 3_000_000  # so that there are three packs, read in several pieces


@pytest.fixture
def two(tmp_path: Path) -> Config:
    """Return a config with two disks, and a point of large files, a link and a folder on both."""
    make_storage(tmp_path)
    config = make_config(tmp_path, [first(), {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"}])
    tree = make_tree(tmp_path / "tree")
    for number in range(FILES):
        (tree / "sub" / f"big{number:02}").write_bytes(os.urandom(EACH))
    (tree / "twin").hardlink_to(tree / "sub" / "0.txt")
    (tree / "link").symlink_to("sub")
    back_up(config.id)
    run(copy_jobs()[0])
    return configs.get(config.id)


@pytest.fixture
def dying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Return a function that lets a disk go away after so many reads of packs of it."""
    left: dict[str, int] = {}
    mutex = threading.Lock()
    true_get = LocalAdapter.get

    def get(self: LocalAdapter, key: str, offset: int = 0, length: int | None = None) -> bytes:
        name = os.path.basename(self.root)
        with mutex:
            if name in left and "/data/" in key:
                left[name] -= 1
                if left[name] < 0 and os.path.isdir(self.root):
                    os.rename(self.root, f"{self.root}-away")
        return true_get(self, key, offset, length)

    monkeypatch.setattr(LocalAdapter, "get", get)
    return left.__setitem__


def restore(config: Config, target: Path, **more: object) -> Job:
    point = points.latest(config.id)
    assert point is not None
    given = {"point_id": point.id, "target_path": str(target), "copy_id": "", **more}
    return run(restores.create(restores.validate(given)))


def contents(folder: Path) -> dict[str, object]:
    """Return what is in a folder, by path: content or target of a link, mode and time."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        st = path.lstat()
        what = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[str(path.relative_to(folder))] = (what, st.st_mode, st.st_mtime_ns)
    return found


def restored(target: Path, tmp_path: Path) -> Path:
    return target / str(tmp_path / "tree").lstrip("/")


@pytest.mark.parametrize("conflict", ["keep", "replace", "rename"])
def test_it_goes_on_from_the_next_copy(
    two: Config, tmp_path: Path, dying: Callable[[str, int], None], conflict: str
) -> None:
    target = tmp_path / "out"
    mine = restored(target, tmp_path) / "sub" / "1.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("this stood there before")
    before = contents(tmp_path / "tree")
    dying("backups", 3)
    job = restore(two, target, conflict=conflict)
    assert (tmp_path / "backups-away").is_dir(), "it did not die"
    found = contents(restored(target, tmp_path))
    told = "Begun from Local disk, which could not be read to the end; finished from second."
    assert (job.status, told in job.summary) == ("completed", True), job.summary
    kept = int(conflict == "keep")
    assert job.counts["files"] == FILES + 4 - kept
    assert (job.counts["kept"], job.counts["renamed"]) == (kept, int(conflict == "rename"))
    if conflict != "replace":
        assert mine.read_text() == "this stood there before"
        found.pop("sub/1.txt")
        text = found.pop("sub/1.txt.restored")[0] if conflict == "rename" else None  # type: ignore[index]
        assert text in (None, (tmp_path / "tree" / "sub" / "1.txt").read_bytes())
        before.pop("sub/1.txt")
        found["sub"] = before["sub"]  # it stood there: its time changed, or was left
    assert found == before
    row = restores.of_job(job.id)
    assert row.copy is not None
    assert row.copy.repository.storage.name == "second"


def test_where_all_copies_die_the_first_is_named(
    two: Config, tmp_path: Path, dying: Callable[[str, int], None]
) -> None:
    dying("backups", 3)
    dying("second", 3)
    job = restore(two, tmp_path / "out")
    assert (job.status, "The storage Local disk is unreachable" in job.summary) == ("failed", True), (
        job.summary
    )
    assert {alert.kind for alert in alerts.list_open()} == {"failure", "unreachable"}


def test_a_copy_that_was_chosen_is_not_left(
    two: Config, tmp_path: Path, dying: Callable[[str, int], None]
) -> None:
    point = points.latest(two.id)
    assert point is not None
    dying("backups", 3)
    job = restore(two, tmp_path / "out", copy_id=str(points.best_copy(point).id))
    assert job.status == "failed"


def test_what_is_damaged_on_one_storage_comes_from_another_as_a_warning(two: Config, tmp_path: Path) -> None:
    spoil_pack(tmp_path / "backups" / "repository", data=True)
    target = tmp_path / "out"
    job = restore(two, target)
    assert job.status == "warning", job.summary
    assert "finished from second" in job.summary
    assert "look at that storage" in job.advice
    assert contents(restored(target, tmp_path)) == contents(tmp_path / "tree")


def test_a_path_that_the_point_does_not_hold_is_looked_for_once(two: Config, tmp_path: Path) -> None:
    from core.points.tokens import token_from_path

    paths = [os.fsencode(tmp_path / "tree" / "sub" / "0.txt"), b"/no/such"]
    job = restore(two, tmp_path / "out", include=[token_from_path(path) for path in paths])
    assert (job.status, "Read from Local disk." in job.summary) == ("failed", True), job.summary


def test_a_damaged_index_does_not_keep_a_restore_from_another_copy(two: Config, tmp_path: Path) -> None:
    for index in (tmp_path / "backups" / "repository" / "index").iterdir():
        index.chmod(0o600)
        index.write_bytes(b"no index" * 20)
    job = restore(two, tmp_path / "out")
    assert (job.status, "finished from second" in job.summary) == ("completed", True), job.summary


def _point(config: Config) -> Point:
    point = points.latest(config.id)
    assert point is not None
    return point


def test_a_download_goes_on_from_the_next_copy(
    two: Config, tmp_path: Path, dying: Callable[[str, int], None]
) -> None:
    whole = b"".join(browse.stream_folder(_point(two), os.fsencode(tmp_path / "tree"), "tar"))
    dying("backups", 2)
    again = b"".join(browse.stream_folder(_point(two), os.fsencode(tmp_path / "tree"), "tar"))
    assert (tmp_path / "backups-away").is_dir(), "it did not die"
    assert again == whole


def test_a_download_of_a_chosen_copy_breaks_off(
    two: Config, tmp_path: Path, dying: Callable[[str, int], None]
) -> None:
    point = _point(two)
    dying("backups", 0)
    chosen = points.best_copy(point).id
    with pytest.raises(Unreachable):
        b"".join(browse.stream_folder(point, os.fsencode(tmp_path / "tree"), "tar", chosen))


def test_helper_processes_take_part_on_both_sides_of_the_change(
    tmp_path: Path, dying: Callable[[str, int], None]
) -> None:
    make_storage(tmp_path)
    config = make_config(tmp_path, [first(), {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"}])
    for number in range(1300):
        (tmp_path / "tree" / f"f{number:04}").write_bytes(os.urandom(16_000))
    back_up(config.id)
    run(copy_jobs()[0])
    before = contents(tmp_path / "tree")
    dying("backups", 2)
    job = restore(configs.get(config.id), tmp_path / "out")
    assert (tmp_path / "backups-away").is_dir(), "it did not die"
    assert (job.status, "finished from second" in job.summary) == ("completed", True), job.summary
    assert (job.counts["files"], job.counts["kept"]) == (1303, 0)
    assert contents(restored(tmp_path / "out", tmp_path)) == before
