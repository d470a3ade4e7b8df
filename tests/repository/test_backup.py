"""Backups: what is stored, what is read again, what is refused, and what a dying storage leaves behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from repository import lookup
from repository.backup import PROGRAM_VERSION, BackupOptions, backup
from repository.check import check
from repository.entries import Entry, OpenFile, Problem, SourceUnavailable
from repository.errors import Cancelled, Damaged, LockLost, NothingToBackUp
from repository.indexfile import encode_index
from repository.locks import list_locks, lock_repository, remove_stale_locks
from repository.progress import Progress
from repository.repository import Repository
from repository.tree import Node, encode_tree
from sources.local import LocalSource
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError, StorageFull
from storage_adapters.memory import MemoryAdapter
from tests.conftest import PROJECT, need_program
from tests.repository.engine import (
    PASSWORD,
    FaultyAdapter,
    Restic,
    differences,
    latest,
    make_backup,
    new_local_repo,
    new_repo,
    restore_to,
)
from tests.repository.nasty import make_nasty_tree


@pytest.fixture
def repo() -> Repository:
    return new_repo()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "a").write_bytes(b"content of a")
    (tree / "folder" / "b").write_bytes(os.urandom(700_000))
    return tree


def nodes(repo: Repository, top: Path) -> dict[bytes, Node]:
    """Return the nodes below a folder in the newest snapshot, by their path in it."""
    repo.load_index()
    snapshot = latest(repo)
    folder = os.fsencode(top)
    return dict(lookup.walk(repo, lookup.find_node(repo, snapshot, folder)))


def content(repo: Repository, node: Node) -> bytes:
    return b"".join(lookup.read_file(repo, node))


def test_a_second_backup_reads_nothing_and_stores_nothing(repo: Repository, tmp_path: Path) -> None:
    make_nasty_tree(tmp_path / "tree")
    first = make_backup(repo, "tree", cwd=tmp_path)
    assert first.problems == []
    before = dict(_objects(repo))
    os.chmod(tmp_path / "tree" / "small", 0o777)  # would be seen as a new ctime
    os.chmod(tmp_path / "tree" / "small", 0o644)
    second = make_backup(repo, "tree", cwd=tmp_path).result
    assert second.parent == first.result.snapshot_id
    assert second.files_unmodified == first.result.files_new - 2  # two names of the file whose ctime changed
    assert (second.files_changed, second.data_blobs) == (2, 0)
    assert second.bytes_processed == first.result.bytes_processed
    third = make_backup(repo, "tree", cwd=tmp_path).result
    assert (third.files_changed, third.files_new, third.bytes_added, third.tree) == (0, 0, 0, second.tree)
    new = {key for key in _objects(repo) if key not in before}
    assert len([key for key in new if key.startswith("data/")]) == 1  # the trees of the second


def _objects(repo: Repository) -> dict[str, bytes]:
    assert isinstance(repo.storage, MemoryAdapter)
    return repo.storage.objects


def test_one_changed_file_costs_its_own_blobs_and_the_trees_above(repo: Repository, tree: Path) -> None:
    make_backup(repo, "tree", cwd=tree.parent)
    (tree / "folder" / "b").write_bytes(b"new content")
    result = make_backup(repo, "tree", cwd=tree.parent).result
    assert (result.files_changed, result.files_unmodified, result.files_new) == (1, 1, 0)
    assert (result.dirs_changed, result.dirs_unmodified) == (2, 0)
    assert (result.data_blobs, result.tree_blobs) == (1, 3)
    assert result.bytes_added < 3000


def test_metadata_is_fresh_though_content_is_reused(repo: Repository, tree: Path) -> None:
    make_backup(repo, tree)
    os.setxattr(tree / "a", "user.new", b"value")
    os.chmod(tree / "a", 0o4711)
    make_backup(repo, tree)
    node = nodes(repo, tree)[b"/a"]
    assert node.xattrs == [("user.new", b"value")]
    assert content(repo, node) == b"content of a"


def test_other_content_of_the_same_size_and_mtime_is_seen_by_its_ctime(repo: Repository, tree: Path) -> None:
    make_backup(repo, tree)
    status = os.stat(tree / "a")
    (tree / "a").write_bytes(b"CONTENT OF A")
    os.utime(tree / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    make_backup(repo, tree)
    assert content(repo, nodes(repo, tree)[b"/a"]) == b"CONTENT OF A"


def test_full_read_finds_what_metadata_hides(repo: Repository, tree: Path) -> None:
    """A parent whose node lies about the content (here: of an earlier fault) is overruled."""
    make_backup(repo, tree)
    result = make_backup(repo, tree, read_all=True).result
    assert (result.files_unmodified, result.data_blobs) == (2, 0)
    forced = make_backup(repo, tree, force=True).result
    assert (forced.parent, forced.files_new, forced.data_blobs) == (None, 2, 0)


def test_a_parent_that_lacks_content_is_not_trusted(tree: Path) -> None:
    """Data is gone from the index: the files are read again, though they look unchanged, and all is whole."""
    storage = MemoryAdapter()
    repo = new_repo(storage)
    make_backup(repo, "tree", cwd=tree.parent)
    (old,) = repo.files.list("index")
    packs = repo.load_index_file(old.id).packs
    repo.files.save("index", encode_index({pack: blobs for pack, blobs in packs if blobs[0].type == "tree"}))
    repo.files.remove("index", old.id)
    assert len(check(repo).errors) == 2
    result = make_backup(repo, "tree", cwd=tree.parent).result
    assert (result.files_changed, result.files_unmodified, result.tree_blobs) == (2, 0, 0)
    assert check(repo, read_data=True).errors == []
    assert content(repo, nodes(repo, Path("/tree"))[b"/a"]) == b"content of a"


def test_a_parent_that_lies_about_a_length_is_not_trusted(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"the content")
    made = make_backup(repo, "file", cwd=tmp_path).result
    (node,) = lookup.list_dir(repo, latest(repo))
    node.content = [repo.save_blob("data", b"too short").id]
    wrong = replace(repo.load_snapshot(made.snapshot_id), tree=repo.save_blob("tree", encode_tree([node])).id)
    repo.flush()
    parent = repo.save_snapshot(wrong)
    result = make_backup(repo, "file", cwd=tmp_path, parent=parent).result
    assert (result.files_unmodified, result.tree) == (0, made.tree)


def test_the_parent_is_the_newest_of_this_host_and_paths(repo: Repository, tree: Path) -> None:
    other = make_backup(repo, tree / "folder").result
    first = make_backup(repo, tree, time_ns=1_000_000_000 * 10**9).result
    later = make_backup(repo, tree, time_ns=1_100_000_000 * 10**9).result
    host = make_backup(repo, tree, hostname="elsewhere").result
    between = make_backup(repo, tree, time_ns=1_050_000_000 * 10**9).result
    assert [each.parent for each in (other, first, later, host)] == [None, None, first.snapshot_id, None]
    assert between.parent == first.snapshot_id
    assert make_backup(repo, tree, parent=other.snapshot_id).result.parent == other.snapshot_id


def test_the_snapshot_says_what_was_asked_for(repo: Repository, tree: Path) -> None:
    result = make_backup(
        repo, tree, tags=["holdfast:config=1"], excludes=["*.tmp"], hostname="h", username="u", time_ns=5
    ).result
    snapshot = repo.load_snapshot(result.snapshot_id)
    assert snapshot.time == "1970-01-01T00:00:00.000000005Z"
    assert (snapshot.hostname, snapshot.username, snapshot.paths) == ("h", "u", [str(tree)])
    assert (snapshot.tags, snapshot.excludes) == (["holdfast:config=1"], ["*.tmp"])
    assert snapshot.summary is not None
    assert snapshot.summary["files_new"] == result.files_new == 2
    assert snapshot.summary["total_bytes_processed"] == 700_012


def test_a_lost_lock_keeps_the_snapshot_of_an_unchanged_tree_from_being_made(
    repo: Repository, tree: Path
) -> None:
    """No pack is written, so only the look before the snapshot sees it."""
    make_backup(repo, tree)
    source = LocalSource([os.fsencode(tree)])
    with lock_repository(repo) as lock:
        repo.storage.delete(f"locks/{lock.id.hex()}")
        with pytest.raises(LockLost):
            lock.refresh()
        with pytest.raises(LockLost):
            backup(repo, source, BackupOptions(), lock)
    assert len(repo.list_snapshots()) == 1


def test_hard_links_are_read_once(repo: Repository, tree: Path) -> None:
    os.link(tree / "a", tree / "folder" / "link to a")
    opened: list[bytes] = []

    class Watched(LocalSource):
        def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:  # type: ignore[override]
            opened.extend(paths)
            return super().open_files(paths)

    with lock_repository(repo) as lock:
        result = backup(repo, Watched([os.fsencode(tree)]), BackupOptions(), lock)
    assert len(opened) == 2
    assert (result.files_new, result.bytes_processed) == (3, 700_024)
    found = nodes(repo, tree)
    assert found[b"/a"].content == found[b"/folder/link to a"].content != []
    assert found[b"/a"].links == 2


@pytest.mark.parametrize("size", [0, 1, 512 * 1024, 512 * 1024 + 1, 9_000_000])
def test_sizes_and_content_come_back(repo: Repository, tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    make_backup(repo, tmp_path)
    node = nodes(repo, tmp_path)[b"/file"]
    assert content(repo, node) == data
    assert node.size == size == sum(repo.index.plain_length("data", blob) or 0 for blob in node.content or ())
    assert (len(node.content or ()) > 1) == (size > 1_000_000)


class Altering(LocalSource):
    """A source on which one file is changed while it is read, the first `times` times."""

    def __init__(self, top: Path, name: str, times: int, change: bytes | int) -> None:
        super().__init__([os.fsencode(top)])
        self.file = top / name
        self.times = times
        self.change = change

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:  # type: ignore[override]
        for opened in super().open_files(paths):
            if not isinstance(opened, Problem) and opened.path.endswith(os.fsencode(self.file.name)):
                self._alter()
            yield opened

    def _alter(self) -> None:
        if self.times:
            self.times -= 1
            if isinstance(self.change, int):
                os.truncate(self.file, self.change)
                self.change //= 2
            else:
                with open(self.file, "ab") as file:
                    file.write(self.change)


def alter(repo: Repository, tree: Path, times: int, change: bytes | int) -> tuple[list[Problem], int, int]:
    problems: list[Problem] = []
    with lock_repository(repo) as lock:
        source = Altering(tree, "a", times, change)
        result = backup(repo, source, BackupOptions(), lock, report=problems.append)
    return problems, result.problems_lost, result.problems_changed


def test_a_file_that_changes_once_is_read_again_and_whole(repo: Repository, tree: Path) -> None:
    assert alter(repo, tree, 1, b" and more") == ([], 0, 0)
    assert content(repo, nodes(repo, tree)[b"/a"]) == b"content of a and more"


def test_a_file_that_goes_on_changing_is_stored_as_read(repo: Repository, tree: Path) -> None:
    problems, lost, changed = alter(repo, tree, 5, b"!")
    assert [(problem.path, problem.kind) for problem in problems] == [(os.fsencode(tree / "a"), "changed")]
    assert (lost, changed) == (0, 1)
    assert content(repo, nodes(repo, tree)[b"/a"]) == b"content of a!!"


def test_a_file_that_shrinks_twice_is_stored_as_read_and_loses_data(repo: Repository, tree: Path) -> None:
    problems, lost, changed = alter(repo, tree, 5, 8)
    assert [problem.kind for problem in problems] == ["shrank"]
    assert (lost, changed) == (1, 0)
    node = nodes(repo, tree)[b"/a"]
    assert (content(repo, node), node.size) == (b"cont", 4)
    assert check(repo, read_data=True).ok


class Failing(LocalSource):
    """A source on which files with `bad` in their name break while they are read."""

    def open_files(self, paths: Sequence[bytes]) -> Iterator[OpenFile | Problem]:  # type: ignore[override]
        for opened in super().open_files(paths):
            if not isinstance(opened, Problem) and b"bad" in opened.path:
                yield _Broken(opened)
            else:
                yield opened


class _Broken:
    def __init__(self, file: OpenFile) -> None:
        self.file = file
        self.path = file.path
        self.entry: Entry = file.entry
        self.reads = 0

    def readinto(self, buffer: memoryview) -> int:
        self.reads += 1
        if self.reads > 1:
            raise OSError(5, "Input/output error")
        return self.file.readinto(buffer[:3])

    def entry_now(self) -> Entry:
        return self.file.entry_now()

    def close(self) -> None:
        self.file.close()


def fail(repo: Repository, *paths: Path) -> list[Problem]:
    problems: list[Problem] = []
    with lock_repository(repo) as lock:
        result = backup(
            repo,
            Failing([os.fsencode(path) for path in paths]),
            BackupOptions(),
            lock,
            report=problems.append,
        )
    assert result.problems_lost == len(problems)
    return problems


def test_what_cannot_be_read_is_reported_and_left_out_even_if_the_parent_has_it(
    repo: Repository, tree: Path
) -> None:
    (tree / "bad").write_bytes(b"12345")
    make_backup(repo, tree)
    (tree / "bad").write_bytes(b"123456")
    problems = fail(repo, tree)
    assert [(problem.path, problem.kind) for problem in problems] == [
        (os.fsencode(tree / "bad"), "unreadable")
    ]
    assert "Input/output error" in problems[0].message
    assert sorted(nodes(repo, tree)) == [b"/a", b"/folder", b"/folder/b"]


def test_no_snapshot_if_no_file_can_be_read(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"12345")
    with pytest.raises(NothingToBackUp, match="none of the 1 files"):
        fail(repo, tmp_path)
    assert repo.list_snapshots() == []


def test_no_snapshot_if_the_source_is_empty_and_was_not_before(repo: Repository, tree: Path) -> None:
    make_backup(repo, tree)
    for name in ("a", "folder/b"):
        (tree / name).unlink()
    with pytest.raises(NothingToBackUp, match="check that its disk is mounted"):
        make_backup(repo, tree)
    assert len(repo.list_snapshots()) == 1
    assert make_backup(repo, tree, refuse_empty=False).result.files_total == 0
    assert make_backup(repo, tree).result.files_total == 0, "empty before, empty now: fine"


@pytest.mark.parametrize("relative", [False, True])
def test_no_snapshot_if_one_of_several_paths_is_empty_and_was_not_before(
    repo: Repository, tree: Path, relative: bool
) -> None:
    paths = ("a", "folder", "empty") if relative else (tree / "a", tree / "folder", tree / "empty")
    (tree / "empty").mkdir()
    make_backup(repo, *paths, cwd=tree)
    (tree / "folder" / "b").unlink()
    (tree / "folder" / "c").mkdir()
    with pytest.raises(NothingToBackUp, match=f"{tree}/folder is empty, .* its disk is mounted"):
        make_backup(repo, *paths, cwd=tree)
    assert len(repo.list_snapshots()) == 1
    assert make_backup(repo, *paths, cwd=tree, refuse_empty=False).result.files_total == 1
    assert make_backup(repo, *paths, cwd=tree).result.files_total == 1, "empty before, empty now: fine"


def test_a_folder_below_the_path_asked_for_may_become_empty(repo: Repository, tree: Path) -> None:
    make_backup(repo, ".", cwd=tree)
    (tree / "folder" / "b").unlink()
    assert make_backup(repo, ".", cwd=tree).result.files_total == 1


def test_a_path_with_one_unreadable_file_is_not_called_empty(repo: Repository, tree: Path) -> None:
    paths = (tree / "a", tree / "folder")
    (tree / "folder" / "b").rename(tree / "folder" / "bad")
    make_backup(repo, *paths)
    (tree / "folder" / "bad").write_bytes(b"another content")
    (problem,) = fail(repo, *paths)
    assert problem.path == os.fsencode(tree / "folder" / "bad")


def test_no_first_snapshot_of_folders_and_links_alone(repo: Repository, tmp_path: Path) -> None:
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    (tmp_path / "empty" / "link").symlink_to("folder")
    with pytest.raises(NothingToBackUp, match="holds no file"):
        make_backup(repo, tmp_path / "empty")
    assert repo.list_snapshots() == []
    make_backup(repo, tmp_path / "empty", refuse_empty=False)
    make_backup(repo, tmp_path / "empty")  # as before


def test_a_named_link_is_a_problem(repo: Repository, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tree)
    made = make_backup(repo, tree, tmp_path / "link")
    (problem,) = made.problems
    assert (problem.path, problem.loses_data) == (os.fsencode(tmp_path / "link"), True)
    assert f"a link to {tree}; only the link is stored" in problem.message
    (tree / "below").symlink_to("a")
    assert make_backup(repo, tree).problems == []


def test_a_missing_path_is_no_backup(repo: Repository, tree: Path) -> None:
    with pytest.raises(SourceUnavailable):
        make_backup(repo, tree, tree / "missing")
    assert repo.list_snapshots() == []
    assert list_locks(repo) == []


@pytest.mark.parametrize("after", [1, 3, 6])
def test_cancelling_leaves_no_snapshot_and_no_lock(repo: Repository, tree: Path, after: int) -> None:
    calls = 0

    def progress(progress: Progress) -> None:
        nonlocal calls
        calls += 1
        if calls == after or progress.phase == "saving":
            raise Cancelled("asked to stop")

    with pytest.raises(Cancelled):
        make_backup(repo, tree, progress=progress)
    assert repo.list_snapshots() == []
    assert list_locks(repo) == []
    make_backup(repo, tree)
    assert check(repo, read_data=True).ok


def test_a_lost_lock_stops_before_anything_refers_to_new_data(repo: Repository, tree: Path) -> None:
    source = LocalSource([os.fsencode(tree)])
    with lock_repository(repo) as lock:
        repo.storage.delete(f"locks/{lock.id.hex()}")
        with pytest.raises(LockLost):
            lock.refresh()
        with pytest.raises(LockLost):
            backup(repo, source, BackupOptions(), lock)
    assert repo.list_snapshots() == []
    assert repo.files.list("index") == []


class Lying(MemoryAdapter):
    """A storage that says done and keeps less of one kind of files."""

    kind = ""

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        super().put(key, bytes(data)[:100] if self.kind and key.startswith(self.kind) else data)


@pytest.mark.parametrize("kind", ["data/", "index/", "snapshots/"])
def test_a_storage_that_lies_makes_no_backup(tree: Path, kind: str) -> None:
    storage = Lying()
    repo = new_repo(storage)
    storage.kind = kind
    with pytest.raises(Damaged, match=kind):
        make_backup(repo, tree)
    assert repo.list_snapshots() == []


def test_bad_memory_is_met_before_a_pack_leaves(
    repo: Repository, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from repository import sealing

    seal = sealing.seal
    monkeypatch.setattr(sealing, "seal", lambda key, data: seal(key, bytes([data[0] ^ 1]) + data[1:]))
    with pytest.raises(Damaged):
        make_backup(repo, tree)
    assert not [key for key in _objects(repo) if key.startswith("data/")]


def test_a_storage_that_dies_at_any_write_leaves_every_earlier_snapshot(tmp_path: Path) -> None:
    """Stop at the k-th write, for each k: earlier snapshots restore, and the next backup simply works."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a").write_bytes(b"first")
    base = MemoryAdapter()
    make_backup(new_repo(base), tree)
    (tree / "b").write_bytes(os.urandom(100_000))
    (tree / "c").mkdir()
    for k in range(1, 20):
        storage = MemoryAdapter()
        storage.objects = dict(base.objects)
        faulty = FaultyAdapter(storage, k)
        if not _backup_dies(faulty, tree):
            break
        _require_whole(storage, tmp_path / f"out{k}")
    assert 6 <= k < 20, "lock, two packs, index, snapshot, unlock"


def _backup_dies(storage: StorageAdapter, tree: Path) -> bool:
    repo = Repository.open(storage, PASSWORD)
    try:
        make_backup(repo, tree)
    except StorageError:
        return True
    return len(list_locks(repo)) > 0  # the last write, the removal of the lock, only warns


def _require_whole(storage: MemoryAdapter, out: Path) -> None:
    repo = Repository.open(storage, PASSWORD)
    found = repo.list_snapshots()
    assert len(found) in (1, 2)
    checked = check(repo, read_data=True)
    assert checked.errors == []
    assert all("in no index file" in hint for hint in checked.hints)
    assert restore_to(repo, out, found[0][1])[1] == []


def test_one_failed_write_fails_the_backup(tree: Path) -> None:
    """A fault that passes: whatever came after it succeeded, and must not be taken for the whole."""
    for k in range(1, 6):
        storage = MemoryAdapter()
        repo = new_repo(storage)
        repo = Repository.open(FaultyAdapter(storage, k, dies=False), PASSWORD)
        with pytest.raises(StorageError):
            make_backup(repo, tree)
        assert [key for key in storage.objects if key.startswith("snapshots/")] == []


@pytest.mark.parametrize("after_s", [0.05, 0.3, 0.6])
def test_a_killed_backup_leaves_what_was_before(
    tree: Path, tmp_path: Path, restic: str, after_s: float
) -> None:
    """kill -9 at some moment: restic and we find everything earlier whole, and at most leftovers."""
    repo = new_local_repo(tmp_path / "repo")
    make_backup(repo, "tree", cwd=tmp_path)
    shutil.copytree(tree, tmp_path / "before")
    for number in range(300):
        (tree / f"{number}").write_bytes(os.urandom(400_000))
    place = {"RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(tmp_path / "repo")}
    command = [sys.executable, "-m", "repository", "backup", str(tree)]
    process = subprocess.Popen(command, env={"PATH": os.environ["PATH"], **place}, cwd=PROJECT)
    while not repo.files.list("locks"):
        assert process.poll() is None
        time.sleep(0.005)
    time.sleep(after_s)
    process.kill()
    process.wait()
    theirs = Restic(restic, tmp_path / "repo")
    remove_stale_locks(repo)
    assert repo.files.list("locks") == []
    theirs.check()
    assert check(repo, read_data=True).errors == []
    restore_to(repo, tmp_path / "out", repo.list_snapshots()[0][1])
    assert differences(tmp_path / "before", tmp_path / "out" / "tree").replace(".d..t...... ./\n", "") == ""


def test_packs_and_indexes_of_many_small_files(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several packs and index files in one run, with every file whole."""
    monkeypatch.setattr("repository.writer.INDEX_MAX_BLOBS", 100)
    monkeypatch.setattr("repository.packer.MAX_BLOBS", 60)
    monkeypatch.setattr("repository.backup_walk.BATCH_FILES", 32)
    tree = tmp_path / "tree"
    for number in range(300):
        folder = tree / f"{number % 7}" / f"{number % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(b"%d" % number * 50)
    made = make_backup(repo, tree)
    assert made.result.data_blobs == 300
    assert len(repo.files.list("index")) > 1
    assert check(repo, read_data=True).ok
    restore_to(repo, tmp_path / "out", strip=os.fsencode(tree))
    assert differences(tree, tmp_path / "out") == ""


def without_root_powers() -> list[str]:
    """Return what to put before a command so that file permissions hold for it, also when root runs it."""
    if os.geteuid() != 0:
        return []
    powers = "-dac_override,-dac_read_search"
    return [need_program("setpriv"), f"--bounding-set={powers}", f"--inh-caps={powers}"]


def test_an_unreadable_file_gives_exit_code_3(tree: Path, tmp_path: Path) -> None:
    (tree / "secret").write_bytes(b"x")
    (tree / "secret").chmod(0)
    (tree / "closed").mkdir(mode=0)
    place = {"RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(tmp_path / "repo")}
    env = {"PATH": os.environ["PATH"], **place}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [*without_root_powers(), sys.executable, "-m", "repository", *args]
        return subprocess.run(command, env=env, capture_output=True, text=True, cwd=PROJECT)

    assert run("init").returncode == 0
    done = run("backup", str(tree))
    assert done.returncode == 3, done.stderr
    assert f"unreadable: {tree}/secret" in done.stderr
    assert f"unreadable: {tree}/closed" in done.stderr
    assert "secret" not in run("ls", "latest").stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_storage_makes_no_snapshot_and_keeps_no_lock(tree: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", small], check=True)
    try:
        repo = new_local_repo(small)
        with pytest.raises(StorageFull):
            make_backup(repo, tree)
        assert repo.list_snapshots() == []
        assert repo.files.list("locks") == []
        make_backup(repo, tree / "a")
        assert check(repo, read_data=True).ok
    finally:
        subprocess.run(["umount", small], check=True)


def test_two_backups_at_once_into_one_repository(tmp_path: Path) -> None:
    """Each has its own view; what both store is stored twice, and both snapshots are whole."""
    storage = MemoryAdapter()
    new_repo(storage)
    shared = os.urandom(50_000)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "own").write_bytes(os.urandom(700_000))
        (tmp_path / name / "shared").write_bytes(shared)

    def work(name: str) -> None:
        for _ in range(3):
            make_backup(Repository.open(storage, PASSWORD), name, cwd=tmp_path, force=True)

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(work, ["one", "two"]):
            pass
    repo = Repository.open(storage, PASSWORD)
    assert check(repo, read_data=True).errors == []
    for number, (_, snapshot) in enumerate(repo.list_snapshots()):
        assert restore_to(repo, tmp_path / f"out{number}", snapshot)[1] == []
        name = Path(snapshot.paths[0]).name
        assert differences(tmp_path / name, tmp_path / f"out{number}" / name) == ""


def test_progress_never_goes_back_and_ends_at_the_whole(repo: Repository, tmp_path: Path) -> None:
    make_nasty_tree(tmp_path / "tree")
    seen: list[Progress] = []
    result = make_backup(repo, "tree", cwd=tmp_path, progress=seen.append, expected=(40, 10**8)).result
    assert {each.phase for each in seen} == {"reading", "saving"}
    done = [(each.files_done, each.bytes_done, each.bytes_added) for each in seen]
    assert [files for files, _, _ in done] == sorted(files for files, _, _ in done)
    assert [size for _, size, _ in done] == sorted(size for _, size, _ in done)
    assert done[-1] == (result.files_total, result.bytes_processed, result.bytes_added_packed)
    assert (seen[0].files_total, seen[0].bytes_total) == (40, 10**8)


def test_a_path_that_is_not_utf8_finds_its_parent(repo: Repository, tmp_path: Path) -> None:
    top = tmp_path / os.fsdecode(b"not utf8 \xff")
    top.mkdir()
    (top / "file").write_bytes(b"x")
    first = make_backup(repo, top).result
    assert make_backup(repo, top).result.parent == first.snapshot_id


def test_the_program_version_is_the_projects() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    assert f"{project['name']} {project['version']}" == PROGRAM_VERSION


def test_nodes_say_as_many_bytes_as_their_blobs_hold(repo: Repository, tmp_path: Path) -> None:
    make_nasty_tree(tmp_path / "tree")
    make_backup(repo, "tree", cwd=tmp_path)
    files = [node for node in nodes(repo, Path("/tree")).values() if node.type == "file"]
    assert len(files) > 25
    for node in files:
        lengths = [repo.index.plain_length("data", blob) for blob in node.content or ()]
        assert sum(length or 0 for length in lengths) == node.size


def test_nothing_of_the_password_or_key_shows(repo: Repository) -> None:
    shown = repr([repo, repo.__dict__, repo.files])
    assert PASSWORD not in shown
    assert repr(repo.key.encrypt) not in shown
