"""Restores with worker processes: the same result as without, and a clean end whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from repository import restore_crew, restore_writer
from repository.browse import find_node
from repository.entries import Entry, Problem, TargetError, TargetFull
from repository.errors import Cancelled, WorkerFailed
from repository.progress import Progress
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, restore
from repository.restore_crew import FileBatch, in_batches
from repository.restore_plan import Action, LeaveDir, MakeDir, MakeSpecial, WriteFile
from repository.worker import affordable
from sources.local_target import LocalTarget
from storage_adapters.errors import StorageError
from storage_adapters.memory import MemoryAdapter
from tests.children import children_of, is_alive
from tests.conftest import PROJECT
from tests.repository.engine import (
    PASSWORD,
    differences,
    latest,
    make_backup,
    new_local_repo,
    new_repo,
    restore_to,
)
from tests.repository.nasty import make_nasty_tree
from tests.repository.test_workers import workers_of
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start workers at the first file and give them a few files at a time."""
    monkeypatch.setattr(restore_crew, "START_FILES", 1)
    monkeypatch.setattr(restore_crew, "BATCH_FILES", 7)
    _before.clear()
    _before.update(_children())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree of 200 files in 10 folders, a pair of each content."""
    for number in range(200):
        folder = tmp_path / "tree" / f"{number % 10}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(b"%d," % (number // 2) * 3000)
    return tmp_path / "tree"


@pytest.fixture
def repo(tree: Path) -> Repository:
    """A repository in memory that holds the tree."""
    repo = new_repo()
    make_backup(repo, "tree", cwd=tree.parent)
    repo.load_index()
    return repo


_before: set[int] = set()  # what other tests have left running


def _children() -> list[int]:
    return [pid for pid in children_of() if pid not in _before]


def leftovers(top: Path) -> list[Path]:
    return list(top.rglob(".holdfast-*"))


def write_file(path: bytes, size: int = 5, links: int = 1) -> WriteFile:
    return WriteFile(path, Entry(path, "file", 0o644, 0, size=size, links=links), [])


def test_only_small_files_of_one_name_are_gathered_and_folders_wait_for_them() -> None:
    large, linked = write_file(b"/d/large", restore_crew.LARGE_BYTES + 1), write_file(b"/d/linked", links=2)
    link = MakeSpecial(b"/d/link", Entry(b"link", "symlink", 0o777, 0))
    small = [write_file(b"/d/%d" % number) for number in range(9)]
    leave, top = LeaveDir(b"/d", None), LeaveDir(b"/", None)
    plan: list[Action] = [
        MakeDir(b"/"),
        MakeDir(b"/d"),
        large,
        *small[:8],
        linked,
        link,
        small[8],
        leave,
        top,
    ]
    assert list(in_batches(iter(plan))) == [
        *plan[:3],
        FileBatch(b"/d/6", small[:7], []),
        linked,
        link,
        FileBatch(b"/d/8", small[7:], [leave, top]),
    ]
    assert list(in_batches(iter([leave, top]))) == [leave, top]


def test_few_files_are_not_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restore_crew, "START_FILES", 4)
    files: list[Action] = [write_file(b"/%d" % number) for number in range(3)]
    assert list(in_batches(iter(files))) == files
    monkeypatch.setattr(restore_crew, "START_BYTES", 15)
    assert list(in_batches(iter(files))) == [*files[:2], FileBatch(b"/2", files[2:], [])]  # type: ignore[list-item]


def test_workers_restore_just_what_one_process_restores(tmp_path: Path) -> None:
    make_nasty_tree(tmp_path / "nasty", raw_links=True)
    (tmp_path / "nasty" / "large").write_bytes(os.urandom(restore_crew.LARGE_BYTES + 1))
    repo = new_repo()
    make_backup(repo, "nasty", cwd=tmp_path)
    alone = restore_to(repo, tmp_path / "alone", workers=0)
    helped = restore_to(repo, tmp_path / "helped", workers=2)
    assert alone == helped
    assert alone[1] == []
    for name in ("alone", "helped"):
        assert differences(tmp_path / "nasty", tmp_path / name / "nasty") == ""
    assert _children() == []
    again = restore_to(repo, tmp_path / "helped", workers=2, delta=False)[0]
    assert again == alone[0]
    assert restore_to(repo, tmp_path / "helped", workers=2)[0].unchanged > 0
    assert differences(tmp_path / "nasty", tmp_path / "helped" / "nasty") == ""
    assert leftovers(tmp_path / "helped") == []


def test_one_processor_few_files_and_other_targets_start_no_process(
    repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(LocalTarget):
        pass

    def never(*args: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(restore_crew, "_Member", never)
    out = tree.parent / "out"
    assert restore(repo, latest(repo), Own(out), RestoreOptions(workers=2)).files == 200
    monkeypatch.setattr(restore_writer, "affordable", lambda: 0)
    assert restore_to(repo, out, delta=False)[0].files == 200
    monkeypatch.setattr(restore_crew, "START_FILES", 201)
    assert restore_to(repo, out, delta=False, workers=2)[0].files == 200
    monkeypatch.undo()
    assert LocalTarget(out).splittable


def data_pack(repo: Repository, path: bytes) -> tuple[str, int]:
    """Return the key of the pack that holds the first blob of a file, and where in it."""
    node = find_node(repo, latest(repo), path)
    assert node.content
    place = repo.index.lookup("data", node.content[0])[0]
    return f"data/{place.pack.hex()[:2]}/{place.pack.hex()}", place.offset


def damage(repo: Repository, path: bytes, *, missing: bool = False) -> None:
    """Flip a byte in the blob of a small file, or remove its pack."""
    assert isinstance(repo.storage, MemoryAdapter)
    key, offset = data_pack(repo, path)
    data = bytearray(repo.storage.objects[key])
    data[offset + 20] ^= 1
    repo.storage.objects[key] = bytes(data)
    if missing:
        del repo.storage.objects[key]


@pytest.mark.parametrize("missing", [False, True])
def test_damage_is_told_as_without_workers(repo: Repository, tree: Path, *, missing: bool) -> None:
    damage(repo, b"/tree/5/15", missing=missing)
    results = [restore_to(repo, tree.parent / f"{number}", workers=number) for number in (0, 2)]
    told = [sorted((each.path, each.kind, each.message) for each in problems) for _, problems in results]
    assert told[0] == told[1] != []
    assert results[0][0] == results[1][0]
    assert results[0][0].failed == (200 if missing else 2)
    assert differences(tree.parent / "0" / "tree", tree.parent / "2" / "tree") == ""


def test_a_file_of_another_length_than_the_snapshot_says_is_refused(repo: Repository, tree: Path) -> None:
    target, problems = LocalTarget(tree.parent / "out"), list[Problem]()
    result = RestoreResult()
    writer = restore_writer.RestoreWriter(
        repo, target, RestoreOptions(workers=1), result, lambda progress: None, problems.append
    )
    node = find_node(repo, latest(repo), b"/tree/5/15")
    assert node.content
    wrong = replace(write_file(b"/f", node.size + 1), content=node.content)
    try:
        writer.run(iter([MakeDir(b"/"), wrong, write_file(b"/empty", 0)]))
    finally:
        writer.close()
    assert [problem.path for problem in problems] == [b"/f"]
    assert "the snapshot says" in problems[0].message
    assert os.listdir(tree.parent / "out") == ["empty"]
    assert (result.files, result.failed) == (1, 1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_killed_worker_fails_the_restore_and_the_next_one_works(
    repo: Repository, tree: Path, number: signal.Signals
) -> None:
    def kill_the_first() -> None:
        until = time.monotonic() + 60
        while not (found := _children()) and time.monotonic() < until:
            time.sleep(0.001)
        os.kill(found[0], number)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    with pytest.raises(WorkerFailed, match=number.name):
        restore_to(repo, tree.parent / "out", workers=2)
    killer.join()
    assert _children() == []
    require_whole_files(tree, tree.parent / "out" / "tree")
    assert restore_to(repo, tree.parent / "out", workers=2)[0].files == 200
    assert differences(tree, tree.parent / "out" / "tree") == ""
    assert leftovers(tree.parent / "out") == []


def require_whole_files(tree: Path, out: Path) -> None:
    """Require that no name, but for temporary ones, shows anything but the whole file."""
    for path in out.rglob("*"):
        if path.is_file() and not path.name.startswith(".holdfast-"):
            assert path.read_bytes() == (tree / path.relative_to(out)).read_bytes()


@pytest.mark.parametrize("at", [1, 60, 150])
def test_cancelling_ends_the_workers_and_leaves_whole_files_only(
    repo: Repository, tree: Path, at: int
) -> None:
    def progress(progress: Progress) -> None:
        if progress.files_done >= at:
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        restore(repo, latest(repo), LocalTarget(tree.parent / "out"), RestoreOptions(workers=2), progress)
    assert _children() == []
    assert [each.name for each in threading.enumerate() if each.name == "worker"] == []
    require_whole_files(tree, tree.parent / "out" / "tree")
    assert leftovers(tree.parent / "out") == []


def test_a_process_that_cannot_be_started_is_said(
    repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(WorkerFailed, match="could not be started: No such file"):
        restore_to(repo, tree.parent / "out", workers=2)


def test_a_storage_that_is_gone_fails_the_restore(repo: Repository, tree: Path) -> None:
    key = data_pack(repo, b"/tree/5/15")[0]

    class Gone(MemoryAdapter):
        def get(self, wanted: str, offset: int = 0, length: int | None = None) -> bytes:
            if wanted == key:
                raise StorageError("the storage is gone")
            return super().get(wanted, offset, length)

    gone = Gone()
    assert isinstance(repo.storage, MemoryAdapter)
    gone.objects = repo.storage.objects
    with pytest.raises(StorageError, match="is gone"):
        restore_to(Repository.open(gone, PASSWORD), tree.parent / "out", workers=2)
    assert _children() == []


def test_an_error_nobody_thought_of_reaches_the_caller(
    repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore_crew, "entry_values", lambda entry: ("no entry",))
    with pytest.raises(WorkerFailed, match="a helper process of the restore failed: TypeError"):
        restore_to(repo, tree.parent / "out", workers=2)
    assert _children() == []


def test_what_is_in_the_way_is_told_as_without_workers(repo: Repository, tree: Path) -> None:
    told = []
    for number in (0, 2):
        out = tree.parent / f"{number}"
        (out / "tree" / "5" / "15").mkdir(parents=True)
        (out / "tree" / "7").write_text("in the way of a folder")
        result, problems = restore_to(repo, out, workers=number)
        assert (result.files, result.failed) == (179, 1)
        told.append(sorted((each.path, each.kind, each.message) for each in problems))
    assert told[0] == told[1]


def test_a_folder_that_cannot_be_made_loses_what_is_in_it_and_nothing_else(
    repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing(LocalTarget):
        splittable = True  # type: ignore[assignment]

        def start_dir(self, path: bytes) -> None:
            if path in (b"/tree/5", b"/tree/8"):
                raise TargetError("in the way")
            super().start_dir(path)

    problems: list[Problem] = []
    options = RestoreOptions(workers=2)
    result = restore(repo, latest(repo), Refusing(tree.parent / "out"), options, report=problems.append)
    assert [problem.path for problem in problems] == [b"/tree/5", b"/tree/8"]
    assert (result.files, result.failed) == (160, 40)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_stops_the_workers(repo: Repository, tree: Path) -> None:
    small = tree.parent / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], check=True)
    try:
        with pytest.raises(TargetFull, match="no space is left"):
            restore_to(repo, small, workers=2)
        assert leftovers(small) == []
        require_whole_files(tree, small / "tree")
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)  # the target may be open still


_RESTORE = """
import sys
from repository import restore_crew
from tests.repository.engine import open_local, restore_to
restore_crew.START_FILES, restore_crew.BATCH_FILES = 1, 7
result, problems = restore_to(open_local(sys.argv[1]), sys.argv[2], workers=2)
print(result.files, [problem.once for problem in problems])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root owns files of others")
def test_what_is_refused_for_every_file_is_told_once_not_once_a_worker(tree: Path) -> None:
    for path in [tree, *tree.rglob("*")]:
        os.chown(path, 65534, 65534)
    make_backup(new_local_repo(tree.parent / "repo"), "tree", cwd=tree.parent)
    without_chown = ["setpriv", "--inh-caps=-chown", "--bounding-set=-chown"]
    command = [*without_chown, sys.executable, "-c", _RESTORE, tree.parent / "repo", tree.parent / "out"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.stdout == "200 ['owner']\n", done.stderr


@pytest.mark.skipif(affordable() < 2, reason="one processor: no workers")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_parent(tmp_path: Path, number: signal.Signals) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    for at in range(6000):
        (tree / f"{at // 500}").mkdir(parents=True, exist_ok=True)
        (tree / f"{at // 500}" / f"{at}").write_bytes(b"%d" % at * 2000)
    repo = new_local_repo(tmp_path / "repo")
    make_backup(repo, "tree", cwd=tmp_path)
    env = {
        "PATH": os.environ["PATH"],
        "RESTIC_PASSWORD": PASSWORD,
        "RESTIC_REPOSITORY": str(tmp_path / "repo"),
    }
    command = [
        sys.executable,
        "-m",
        "repository",
        "--quiet",
        "--no-cache",
        "restore",
        "latest",
        "--target",
        str(out),
    ]
    process = subprocess.Popen(command, env=env, cwd=PROJECT, stderr=subprocess.DEVNULL)
    found = workers_of(process)
    shown = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in found)
    os.kill(process.pid, number)
    assert process.wait(120) != 0
    wait_for(lambda: not any(map(is_alive, found)))  # no worker goes on without its parent
    assert repo.key.encrypt.hex().encode() not in shown
    require_whole_files(tree, out / "tree")
    if number != signal.SIGKILL:
        assert leftovers(out) == []
    restore_to(repo, out)
    assert differences(tree, out / "tree") == ""
    assert leftovers(out) == []


@pytest.mark.parametrize("workers", [0, 2])
def test_a_rule_holds_to_the_end_in_workers_too(
    repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    place, look = tree.parent / "out" / "tree" / "5" / "15", LocalTarget.existing
    place.parent.mkdir(parents=True)

    def looked_at_too_early(self: LocalTarget, path: bytes) -> Entry | None:
        there = look(self, path)
        if path == b"/tree/5/15" and there is None:
            place.write_text("theirs")
        return there

    monkeypatch.setattr(LocalTarget, "existing", looked_at_too_early)
    target, problems = LocalTarget(tree.parent / "out", rule="keep"), list[Problem]()
    options = RestoreOptions(workers=workers, conflict="keep")
    result = restore(repo, latest(repo), target, options, report=problems.append)
    assert place.read_text() == "theirs"
    assert (result.files, result.failed) == (199, 1)
    assert [each.path for each in problems] == [b"/tree/5/15"]
    assert problems[0].message.startswith("cannot restore /tree/5/15: something came to stand there while")
