"""Files of this machine are put back where they were: after a safety backup, and never by another way."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from sqlalchemy import select

from core.configs import configs
from core.db import db, write
from core.errors import Invalid
from core.jobs import attempts, jobs
from core.models import Job, Point
from core.points import points
from core.points.tokens import token_from_path
from core.restores import rehearsal, restores, restoring
from core.storages import storage_setup
from repository.errors import Cancelled
from repository.progress import Progress
from tests.core.making import back_up, make_config, make_storage, make_tree, run
from tests.sources.trees import needs_root

pytestmark = pytest.mark.usefixtures("context")

OLD = "content 1\n" * 100


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a folder with sub/0.txt, 1.txt, 2.txt."""
    make_storage(tmp_path)
    return make_tree(tmp_path / "tree")


@pytest.fixture
def point(tree: Path) -> Point:
    """Return a point of it."""
    return backed_up(make_config(tree).id)


def backed_up(config_id: str) -> Point:
    assert back_up(config_id).status == "completed"
    found = points.latest(config_id)
    assert found is not None
    return found


def wanted(point: Point, *paths: Path, **more: object) -> restores.RestoreInput:
    tokens = [token_from_path(os.fsencode(path)) for path in paths]
    return restores.validate({"point_id": point.id, "put_back": "yes", "include": tokens, **more})


def asked(point: Point, *paths: Path, **more: object) -> Job:
    """Ask for files to be put back, and make the safety backup."""
    job = restores.create(wanted(point, *paths, **more))
    assert run(jobs.get(restores.safety_job_of(job) or 0)).status == "completed"
    return jobs.get(job.id)


def refused(point: Point, *paths: Path, **more: object) -> str:
    """Return why it is refused before a job is made."""
    with pytest.raises(Invalid) as caught:
        restores.create(wanted(point, *paths, **more))
    assert list(caught.value.fields) == ["put_back"]
    with pytest.raises(Invalid):
        rehearsal.rehearse(wanted(point, *paths, **more))
    return caught.value.fields["put_back"]


def spoil(tree: Path) -> tuple[Path, Path, Path]:
    """Take one file away, make one older and another one newer, each with another content."""
    gone, older, newer = (tree / "sub" / f"{number}.txt" for number in range(3))
    gone.unlink()
    older.write_text("older")
    os.utime(older, (1, 1))
    newer.write_text("newer")
    os.utime(newer, (4_000_000_000, 4_000_000_000))
    return gone, older, newer


@pytest.mark.parametrize(
    ("rule", "status", "texts", "beside"),
    [
        ("keep", "completed", ["older", "newer"], []),
        ("replace", "completed", [OLD, OLD.replace("1\n", "2\n")], []),
        ("replace-if-older", "completed", [OLD, "newer"], []),
        ("rename", "completed", ["older", "newer"], ["1.txt.restored", "2.txt.restored"]),
    ],
)
def test_each_rule_is_kept_and_told_before(
    point: Point, tree: Path, rule: str, status: str, texts: list[str], beside: list[str]
) -> None:
    gone, older, newer = spoil(tree)
    told = rehearsal.rehearse(wanted(point, tree / "sub", conflict=rule))
    assert not gone.exists()
    job = run(asked(point, tree / "sub", conflict=rule))
    assert job.status == status, (job.summary, job.detail)
    assert gone.read_text() == "content 0\n" * 100
    assert [older.read_text(), newer.read_text()] == texts
    names = ["0.txt", "1.txt", "2.txt", *beside]
    assert sorted(path.name for path in (tree / "sub").iterdir()) == sorted(names)
    row = restores.of_job(job.id)
    assert (told.kept, told.beside, told.bytes) == (row.kept, row.renamed, row.bytes)
    assert (row.target_path, row.host_id) == (str(tree), None)
    assert f" to {tree}" in job.summary


def test_by_itself_it_keeps_what_is_there(point: Point, tree: Path) -> None:
    assert wanted(point, tree / "sub").conflict == "keep"


def test_nothing_is_touched_before_the_safety_backup_which_holds_what_stood_there(
    point: Point, tree: Path
) -> None:
    file = tree / "sub" / "1.txt"
    file.write_text("broken")
    job = restores.create(wanted(point, file, conflict="replace"))
    assert (run(job).phase, file.read_text()) == ("waiting", "broken")
    assert run(jobs.get(restores.safety_job_of(job) or 0)).status == "completed"
    jobs.hasten(job.id)
    ended = run(jobs.get(job.id))
    assert (ended.status, ended.counts["files"]) == ("completed", 1), ended.summary
    assert file.read_text() == OLD
    safety = points.latest(str(point.config_id))
    assert safety is not None
    again = run(asked(safety, file, conflict="replace"))
    assert (again.status, file.read_text()) == ("completed", "broken")


def test_without_a_safety_backup_nothing_is_written(point: Point, tree: Path) -> None:
    gone, older, _ = spoil(tree)
    job = restores.create(wanted(point, tree / "sub", conflict="replace"))
    jobs.request_cancel(restores.safety_job_of(job) or 0)
    ended = run(jobs.get(job.id))
    assert (ended.status, "safety backup was not made" in ended.summary) == ("failed", True)
    assert older.read_text() == "older"
    assert not gone.exists()


def test_what_changed_since_the_safety_backup_is_kept_or_not_replaced(point: Point, tree: Path) -> None:
    file = tree / "sub" / "1.txt"
    job = asked(point, file, conflict="replace")
    file.write_text("edited meanwhile")
    ended = run(job)
    assert (ended.status, "has changed since the safety backup" in ended.summary) == ("failed", True)
    kept = asked(point, tree / "sub", conflict="keep")
    file.write_text("edited once more")
    assert run(kept).counts["kept"] == 3
    assert file.read_text() == "edited once more"


def test_having_waited_does_not_make_what_stood_there_its_own(point: Point, tree: Path) -> None:
    file = tree / "sub" / "1.txt"
    file.chmod(0o640)  # the same content and time: as an earlier try would have left it
    job = restores.create(wanted(point, file, conflict="keep"))
    assert run(job).phase == "waiting"
    run(jobs.get(restores.safety_job_of(job) or 0))
    jobs.hasten(job.id)
    ended = run(jobs.get(job.id))
    assert (ended.counts["kept"], ended.counts["files"]) == (1, 0), ended.summary
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_folders_that_were_not_chosen_stay_and_missing_ones_come_as_they_were(tmp_path: Path) -> None:
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    deep = tree / "app" / "conf"
    deep.mkdir(parents=True)
    (deep / "a.txt").write_text("a")
    (tree / "app").chmod(0o710)
    point = backed_up(make_config(tree).id)
    subprocess.run(["rm", "-r", str(tree / "app")], check=True)
    tree.chmod(0o701)
    (tree / "sub").chmod(0o2750)
    os.utime(tree / "sub", (5, 5))
    before = [(tree.stat().st_mode, tree.stat().st_uid), _facts(tree / "sub"), _facts(tmp_path)]
    rehearsal.rehearse(wanted(point, deep / "a.txt", tree / "sub" / "1.txt"))
    assert not (tree / "app").exists()
    ended = run(asked(point, deep / "a.txt", tree / "sub" / "1.txt"))
    assert (ended.status, ended.counts["kept"]) == ("completed", 1), ended.summary
    assert (deep / "a.txt").read_text() == "a"
    assert stat.S_IMODE((tree / "app").stat().st_mode) == 0o710
    assert [(tree.stat().st_mode, tree.stat().st_uid), _facts(tree / "sub"), _facts(tmp_path)] == before


def _facts(path: Path) -> tuple[int, int, int, int]:
    found = path.stat()
    return found.st_mode, found.st_uid, found.st_gid, found.st_mtime_ns


def test_a_link_in_the_way_is_refused_before_and_never_followed(
    point: Point, tree: Path, tmp_path: Path
) -> None:
    other = make_tree(tmp_path / "other")
    for file in (other / "sub").iterdir():
        file.write_text("not ours")
    job = asked(point, tree, conflict="replace")
    subprocess.run(["rm", "-r", str(tree / "sub")], check=True)
    (tree / "sub").symlink_to(other / "sub")
    ended = run(job)
    assert (ended.status, f"{tree}/sub is a link to {other}/sub now" in ended.summary) == ("failed", True)
    text = refused(point, tree / "sub" / "1.txt", conflict="replace")
    assert f"{tree}/sub is a link to {other}/sub now" in text
    assert "Restore into a folder" in text
    assert {file.read_text() for file in (other / "sub").iterdir()} == {"not ours"}


def test_a_link_that_comes_at_the_last_moment_is_not_followed_either(
    point: Point, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_tree(tmp_path / "other")
    (other / "sub" / "1.txt").write_text("not ours")
    job = asked(point, tree, conflict="replace")
    real = restoring.put_back.require_safety

    def then_swap(*given: object) -> None:
        real(*given)  # type: ignore[arg-type]
        (tree / "sub").rename(tree / "moved")
        (tree / "sub").symlink_to(other / "sub")

    monkeypatch.setattr(restoring.put_back, "require_safety", then_swap)
    assert run(job).status == "failed"
    assert (other / "sub" / "1.txt").read_text() == "not ours"


def test_a_file_that_became_a_link_is_replaced_itself(point: Point, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("not ours")
    file = tree / "sub" / "1.txt"
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    assert run(asked(point, file, conflict="replace")).status == "completed"
    assert (file.read_text(), file.is_symlink()) == (OLD, False)
    assert (tmp_path / "elsewhere").read_text() == "not ours"


def test_what_its_config_reads_no_more_is_refused(point: Point, tree: Path, tmp_path: Path) -> None:
    file, config_id = tree / "sub" / "1.txt", str(point.config_id)
    file.write_text("in no backup")
    data = configs.to_input(configs.get(config_id))
    source = data.source.model_copy(update={"exclude": ["1.txt"]})
    configs.update(config_id, data.model_copy(update={"source": source}))
    ended = run(asked(point, file, conflict="replace"))
    assert (ended.status, "does not hold" in ended.summary) == ("failed", True)
    assert "into a folder" in ended.advice
    source = data.source.model_copy(update={"paths": [str(make_tree(tmp_path / "other"))]})
    configs.update(config_id, data.model_copy(update={"source": source}))
    assert "into a folder" in refused(point, file, conflict="replace")
    for left in db.session.scalars(select(Job).where(Job.status == "queued")).all():
        jobs.request_cancel(left.id)
    configs.delete(config_id)
    assert "into a folder" in refused(points.get(point.id), file, conflict="replace")
    assert file.read_text() == "in no backup"


def test_holdfasts_own_is_never_touched(tmp_path: Path) -> None:
    (tmp_path / "home" / "backups").mkdir(parents=True)
    (tmp_path / "home" / "backups" / "old.txt").write_text("before it was a storage")
    (tmp_path / "home" / "notes.txt").write_text("notes")
    make_storage(tmp_path)
    point = backed_up(make_config(tmp_path / "home").id)
    subprocess.run(["rm", "-r", str(tmp_path / "home" / "backups")], check=True)
    job = asked(point, tmp_path / "home", conflict="replace")
    storage_setup.create_local("Late", str(tmp_path / "home" / "backups"), "another password")
    assert "keeps backups" in run(job).summary
    assert "keeps backups" in refused(point, tmp_path / "home" / "backups" / "old.txt")
    assert "keeps backups" in refused(point, tmp_path / "home")
    assert not (tmp_path / "home" / "backups" / "old.txt").exists()


@needs_root
def test_a_storage_shown_at_another_place_is_not_written_to(point: Point, tree: Path, tmp_path: Path) -> None:
    job = asked(point, tree, conflict="replace")
    subprocess.run(["mount", "--bind", str(tmp_path / "backups"), str(tree / "sub")], check=True)
    try:
        ended = run(job)
        text = refused(point, tree / "sub" / "1.txt")
    finally:
        subprocess.run(["umount", str(tree / "sub")], check=True)
    assert (ended.status, f"{tree}/sub leads to a storage" in ended.summary) == ("failed", True)
    assert "keeps backups" in text
    assert not (tmp_path / "backups" / "1.txt").exists()


def test_names_of_any_bytes_come_back(tmp_path: Path) -> None:
    make_storage(tmp_path)
    folder = Path(os.fsdecode(b"%s/tree/latin-\xe9" % os.fsencode(tmp_path)))
    folder.mkdir(parents=True)
    file = folder / os.fsdecode(b"\xe9\n.txt")
    file.write_text("as it was")
    (tmp_path / "tree" / "other.txt").write_text("stays")
    point = backed_up(make_config(tmp_path / "tree").id)
    file.unlink()
    job = run(asked(point, file))
    assert (job.status, file.read_text()) == ("completed", "as it was"), job.summary
    assert restores.of_job(job.id).target_path == f"{tmp_path}/tree/latin-\\xe9"
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert "latin-\\xe9 is a link to" in refused(point, file)


def test_a_point_of_another_machine_is_refused(point: Point, tree: Path) -> None:
    """A config may have been changed from one machine to another, where the same path is another file."""
    (tree / "sub" / "1.txt").write_text("what stands here")
    job = asked(point, tree / "sub" / "1.txt", conflict="replace")
    with write() as session:
        session.get_one(Point, point.id).hostname = "web1"
    ended = run(job)
    assert ended.status == "failed"
    assert "is of web1" in ended.summary + ended.detail + ended.meaning
    assert (tree / "sub" / "1.txt").read_text() == "what stands here"


@needs_root
def test_gone_on_with_it_leaves_a_folder_on_the_way_to_its_new_owner(point: Point, tree: Path) -> None:
    (tree / "sub" / "1.txt").unlink()
    before = tree.stat()
    os.chown(tree, 1234, 1234)
    job = asked(point, tree / "sub" / "1.txt")
    with write() as session:
        parameters = session.get_one(Job, job.id).parameters
        session.get_one(Job, job.id).parameters = {**parameters, "begun": True}
    assert run(jobs.get(job.id)).status == "completed"
    assert (tree.stat().st_uid, tree.stat().st_mtime_ns) == (1234, before.st_mtime_ns)


def test_operators_put_nothing_back(point: Point, tree: Path) -> None:
    given = wanted(point, tree / "sub")
    for ask in (restores.create, rehearsal.rehearse):
        with pytest.raises(Invalid, match="Only admins"):
            ask(given, limited=True)


def test_everything_and_paths_without_a_common_folder_are_not_offered(point: Point) -> None:
    for paths in ([], [Path("/")], [Path("/srv")], [Path("/etc/a"), Path("/srv/a")]):
        with pytest.raises(Invalid) as caught:
            wanted(point, *paths)
        assert list(caught.value.fields) == ["put_back"]


def test_cut_off_in_the_middle_each_file_is_the_old_or_the_new_one_whole(
    point: Point, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        (tree / "sub" / f"{number}.txt").write_text("what stood there")
    job = asked(point, tree / "sub", conflict="replace")
    real = attempts.Attempt.report

    def cut(self: attempts.Attempt, progress: Progress) -> None:
        real(self, progress)
        if progress.bytes_done:
            raise Cancelled("cut off")

    monkeypatch.setattr(attempts.Attempt, "report", cut)
    assert run(job).status == "cancelled"
    texts = {path.name: path.read_text() for path in (tree / "sub").iterdir()}
    assert sorted(texts) == ["0.txt", "1.txt", "2.txt"]
    new = {f"{number}.txt": f"content {number}\n" * 100 for number in range(3)}
    assert all(text in ("what stood there", new[name]) for name, text in texts.items())
    assert jobs.get(job.id).parameters["begun"]
