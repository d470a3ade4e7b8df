"""Restores: everything comes back, rules are kept, damage is told, nothing leads out of the target."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from repository.browse import find_node
from repository.entries import Entry, Problem, TargetError, TargetFull
from repository.errors import BlobNotFound, NothingToRestore, PathNotFound
from repository.gotext import UTC_ZONE, format_time
from repository.progress import Progress
from repository.repository import Repository
from repository.restore import RestoreOptions, restore
from repository.snapshot import Snapshot
from repository.tree import TREE_END, TREE_START, Node, encode_node, encode_tree, go_mode
from sources import flush
from sources.local_target import LocalTarget
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import differences, latest, make_backup, new_repo, restore_to
from tests.repository.nasty import make_nasty_tree


@pytest.fixture
def storage() -> MemoryAdapter:
    return MemoryAdapter()


@pytest.fixture
def repo(storage: MemoryAdapter) -> Repository:
    return new_repo(storage)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree, backed up as `/tree`."""
    tree = tmp_path / "tree"
    (tree / "sub" / "deeper").mkdir(parents=True)
    (tree / "a").write_bytes(b"content of a")
    (tree / "sub" / "b").write_bytes(os.urandom(700_000))
    (tree / "sub" / "deeper" / "c").write_bytes(b"content of c")
    os.symlink("a", tree / "link")
    return tree


@pytest.fixture
def saved(repo: Repository, tree: Path) -> Snapshot:
    make_backup(repo, "tree", cwd=tree.parent)
    return latest(repo)


def names(top: Path) -> list[str]:
    return sorted(str(path.relative_to(top)) for path in top.rglob("*"))


def test_a_nasty_tree_comes_back_whole(repo: Repository, tmp_path: Path) -> None:
    make_nasty_tree(tmp_path / "tree", raw_links=True)
    made = make_backup(repo, "tree", cwd=tmp_path)
    result, problems = restore_to(repo, tmp_path / "out")
    assert (made.problems, problems) == ([], [])
    assert differences(tmp_path / "tree", tmp_path / "out" / "tree") == ""
    assert result.files == made.result.files_new
    assert result.others == made.result.others_total
    assert result.dirs == made.result.dirs_new
    sparse = os.stat(tmp_path / "out" / "tree" / "sparse")
    assert sparse.st_blocks * 512 < sparse.st_size / 10


def test_strip_puts_the_content_of_a_folder_into_the_target(
    repo: Repository, saved: Snapshot, tree: Path, tmp_path: Path
) -> None:
    restore_to(repo, tmp_path / "out", strip=b"/tree/sub/")
    assert differences(tree / "sub", tmp_path / "out") == ""


def test_strip_of_a_file_or_of_nothing_is_refused(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(NothingToRestore, match="no folder"):
        restore_to(repo, tmp_path / "out", strip=b"/tree/a")
    with pytest.raises(PathNotFound):
        restore_to(repo, tmp_path / "out", strip=b"/tree/none")


def test_include_by_path_takes_all_below_and_makes_what_leads_there(
    repo: Repository, saved: Snapshot, tree: Path, tmp_path: Path
) -> None:
    result, _ = restore_to(repo, tmp_path / "out", include=[b"/tree/sub/deeper", b"/tree/a"])
    assert names(tmp_path / "out") == ["tree", "tree/a", "tree/sub", "tree/sub/deeper", "tree/sub/deeper/c"]
    assert (result.files, result.dirs) == (2, 3)
    assert os.stat(tmp_path / "out/tree/sub").st_mtime_ns == os.stat(tree / "sub").st_mtime_ns


def test_folders_that_only_lead_there_stay_as_they_are(
    repo: Repository, saved: Snapshot, tmp_path: Path
) -> None:
    (tmp_path / "out" / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "out" / "tree" / "sub").chmod(0o711)
    restore_to(repo, tmp_path / "out", include=[b"/tree/sub/b"])
    assert os.stat(tmp_path / "out/tree/sub").st_mode & 0o777 == 0o711


def test_each_included_path_that_is_not_there_is_a_problem(
    repo: Repository, saved: Snapshot, tmp_path: Path
) -> None:
    include = [b"/tree/a", b"/tree/none", b"/tree/a/below", b"/tree//sub/"]
    result, problems = restore_to(repo, tmp_path / "out", include=include)
    assert [(each.path, each.kind) for each in problems] == [
        (b"/tree/none", "unreadable"),
        (b"/tree/a/below", "unreadable"),
    ]
    assert (result.files, result.failed, result.problems) == (3, 2, 2)
    _, problems = restore_to(repo, tmp_path / "sub", include=[b"/tree/a", b"/tree/sub/b"], strip=b"/tree/sub")
    assert [each.path for each in problems] == [b"/tree/a"]
    assert "outside of /tree/sub" in problems[0].message
    _, problems = restore_to(repo, tmp_path / "all", include=[b"/tree"], strip=b"/tree/sub")
    assert problems == []


def test_include_by_function_alone_decides(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    restore_to(repo, tmp_path / "out", include=lambda path, is_dir: path.endswith(b"/c"))
    assert names(tmp_path / "out") == ["tree", "tree/sub", "tree/sub/deeper", "tree/sub/deeper/c"]


def test_a_selection_that_fits_nothing_is_an_error(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    with pytest.raises(NothingToRestore):
        restore_to(repo, tmp_path / "out", include=[b"/tree/none"])
    with pytest.raises(NothingToRestore):
        restore_to(repo, tmp_path / "out", include=lambda path, is_dir: False)
    assert not (tmp_path / "out").exists()


def existing(tmp_path: Path, mtime_ns: int) -> Path:
    """Make a target where `a` is another file already, and `sub` has a mode of its own."""
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub").chmod(0o711)
    (out / "a").write_bytes(b"mine")
    os.utime(out / "a", ns=(0, mtime_ns))
    return out


@pytest.mark.parametrize(
    ("conflict", "age_s", "replaced"),
    [
        ("replace", 0, True),
        ("keep", 100, False),
        ("replace-if-older", 100, True),
        ("replace-if-older", 0, False),
        ("replace-if-older", -100, False),
    ],
)
def test_conflict_rules(
    repo: Repository, saved: Snapshot, tree: Path, tmp_path: Path, conflict: str, age_s: int, replaced: bool
) -> None:
    out = existing(tmp_path, os.stat(tree / "a").st_mtime_ns - age_s * 10**9)
    result, problems = restore_to(repo, out, strip=b"/tree", conflict=conflict)
    assert (out / "a").read_bytes() == (b"content of a" if replaced else b"mine")
    assert (result.kept, result.files, problems) == ((0, 3, []) if replaced else (1, 2, []))
    assert (out / "sub" / "deeper" / "c").read_bytes() == b"content of c"
    mode = os.stat(out / "sub").st_mode & 0o777
    assert mode == (0o711 if conflict == "keep" else os.stat(tree / "sub").st_mode & 0o777)


def test_rename_writes_beside_what_is_there(repo: Repository, tree: Path, tmp_path: Path) -> None:
    (tree / "a.restored").write_bytes(b"the snapshot has this name itself")
    make_backup(repo, "tree", cwd=tmp_path)
    out = existing(tmp_path, 0)
    result, _ = restore_to(repo, out, strip=b"/tree", conflict="rename")
    assert (out / "a").read_bytes() == b"mine"
    assert (out / "a.restored-2").read_bytes() == b"content of a"
    assert (out / "a.restored").read_bytes().startswith(b"the snapshot")
    assert (result.renamed, result.kept) == (1, 0)


def test_hard_links_come_back_as_links_also_if_the_first_name_is_kept(
    repo: Repository, tree: Path, tmp_path: Path
) -> None:
    for name in ("x", "y", "z"):
        os.link(tree / "a", tree / name)
    make_backup(repo, "tree", cwd=tmp_path)
    restore_to(repo, tmp_path / "all", strip=b"/tree")
    assert len({os.stat(tmp_path / "all" / name).st_ino for name in "axyz"}) == 1
    out = existing(tmp_path, 0)
    restore_to(repo, out, strip=b"/tree", conflict="keep")
    assert (out / "a").read_bytes() == b"mine"
    assert [(out / name).read_bytes() for name in "xyz"] == [b"content of a"] * 3
    assert len({os.stat(out / name).st_ino for name in "xyz"}) == 1


class Refusing(LocalTarget):
    """A target that refuses one path."""

    def __init__(self, root: Path, path: bytes, error: TargetError) -> None:
        super().__init__(str(root))
        self.path = path
        self.error = error

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        if path == self.path:
            raise self.error
        return super().write_file(path, entry, chunks)

    def start_dir(self, path: bytes) -> None:
        if path == self.path:
            raise self.error
        super().start_dir(path)


@pytest.mark.parametrize("name", ["x" * 255, "ä" * 127, "x" * 247])
def test_a_long_name_is_shortened_to_stand_beside_the_old_file(
    repo: Repository, tmp_path: Path, name: str
) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / name).write_bytes(b"stored")
    make_backup(repo, "tree", cwd=tmp_path)
    for _ in range(3):
        _, problems = restore_to(repo, tmp_path / "out", conflict="rename", delta=False)
        assert problems == []
    found = sorted((tmp_path / "out" / "tree").iterdir())
    assert [path.read_bytes() for path in found] == [b"stored"] * 3
    assert all(path.name.encode() for path in found), "no character is cut in two"
    ends = sorted(path.name.partition(".restored")[1:] for path in found)
    assert ends == [("", ""), (".restored", ""), (".restored", "-2")]


def test_a_restore_that_did_not_get_to_the_disk_is_not_done(
    repo: Repository, saved: Snapshot, tmp_path: Path
) -> None:
    class Unflushed(LocalTarget):
        def flush(self) -> None:
            assert (tmp_path / "out" / "tree" / "sub" / "deeper" / "c").exists()
            raise TargetError("cannot restore /: did not get to the disk")

    repo.load_index()
    with pytest.raises(TargetError, match="did not get to the disk"):
        restore(repo, saved, Unflushed(str(tmp_path / "out")))


def test_what_a_disk_refused_during_a_restore_ends_it(
    repo: Repository, saved: Snapshot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk tells it once, long before the end."""
    told = threading.Event()

    def fail_once(fd: int) -> None:
        if not told.is_set():
            told.set()
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    class Waiting(LocalTarget):
        def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
            assert told.wait(120)
            return super().finish_dir(path, entry)

    monkeypatch.setattr(flush, "flush_file_system", fail_once)
    monkeypatch.setattr(flush, "EARLY_EVERY_S", 0.001)
    repo.load_index()
    with pytest.raises(TargetError, match="did not get to the disk"):
        restore(repo, saved, Waiting(str(tmp_path / "out")))


def test_one_file_that_cannot_be_written_does_not_stop_the_rest(
    repo: Repository, tree: Path, tmp_path: Path
) -> None:
    os.link(tree / "a", tree / "sub" / "linked")
    make_backup(repo, "tree", cwd=tmp_path)
    repo.load_index()
    target = Refusing(tmp_path / "out", b"/a", TargetError("no"))
    problems: list[Problem] = []
    options = RestoreOptions(strip=b"/tree")
    result = restore(repo, latest(repo), target, options, report=problems.append)
    assert [(each.path, each.kind) for each in problems] == [(b"/tree/a", "unreadable")]
    assert (result.failed, result.files, result.problems) == (1, 3, 1)
    assert (tmp_path / "out" / "sub" / "linked").read_bytes() == b"content of a"


def test_a_folder_that_cannot_be_made_loses_what_is_in_it_and_nothing_else(
    repo: Repository, saved: Snapshot, tmp_path: Path
) -> None:
    repo.load_index()
    target = Refusing(tmp_path / "out", b"/sub", TargetError("in the way"))
    problems: list[Problem] = []
    result = restore(repo, saved, target, RestoreOptions(strip=b"/tree"), report=problems.append)
    assert [each.path for each in problems] == [b"/tree/sub"]
    assert (result.failed, result.files) == (2, 1)
    assert names(tmp_path / "out") == ["a", "link"]


def test_a_full_target_stops_the_restore(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    repo.load_index()
    with pytest.raises(TargetFull):
        restore(repo, saved, Refusing(tmp_path / "out", b"/tree/a", TargetFull("full")))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_stops_the_restore(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], check=True)
    try:
        with pytest.raises(TargetFull):
            restore_to(repo, small)
        assert not (small / "tree" / "sub" / "b").exists(), "never a part of a file"
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)  # the target may be open still


def damage_pack_of(repo: Repository, storage: MemoryAdapter, path: bytes) -> bytes:
    """Flip a byte in the first blob of a file; return the pack's id."""
    repo.load_index()
    node = find_node(repo, latest(repo), path)
    assert node.content
    place = repo.index.lookup("data", node.content[0])[0]
    key = f"data/{place.pack.hex()[:2]}/{place.pack.hex()}"
    data = bytearray(storage.objects[key])
    data[place.offset + 20] ^= 1
    storage.objects[key] = bytes(data)
    return place.pack


def test_a_damaged_file_is_named_with_its_pack_and_the_rest_comes_back(
    repo: Repository, storage: MemoryAdapter, saved: Snapshot, tree: Path, tmp_path: Path
) -> None:
    pack = damage_pack_of(repo, storage, b"/tree/sub/b")
    result, problems = restore_to(repo, tmp_path / "out")
    assert [(each.path, each.kind) for each in problems] == [(b"/tree/sub/b", "unreadable")]
    assert pack.hex() in problems[0].message
    assert (result.failed, result.files, result.problems) == (1, 2, 1)
    assert names(tmp_path / "out" / "tree") == ["a", "link", "sub", "sub/deeper", "sub/deeper/c"]


def test_a_missing_pack_is_a_problem_of_its_files(
    repo: Repository, storage: MemoryAdapter, saved: Snapshot, tmp_path: Path
) -> None:
    pack = damage_pack_of(repo, storage, b"/tree/a").hex()
    storage.delete(f"data/{pack[:2]}/{pack}")
    result, problems = restore_to(repo, tmp_path / "out")
    assert sorted(each.path for each in problems) == [b"/tree/a", b"/tree/sub/b", b"/tree/sub/deeper/c"]
    assert all(pack in each.message for each in problems)
    assert (result.files, result.failed, result.others) == (0, 3, 1)


def test_a_second_place_of_a_damaged_blob_is_used(
    repo: Repository, storage: MemoryAdapter, saved: Snapshot, tree: Path, tmp_path: Path
) -> None:
    good = dict(storage.objects)
    damaged = damage_pack_of(repo, storage, b"/tree/sub/b").hex()
    twin = Repository.open(storage, "geheim")  # knows no blob, so it stores everything again
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twin, "load_index", lambda: None)
        make_backup(twin, "tree", cwd=tree.parent, force=True)
    assert storage.objects[f"data/{damaged[:2]}/{damaged}"] != good[f"data/{damaged[:2]}/{damaged}"]
    assert restore_to(repo, tmp_path / "out", saved)[1] == []
    assert differences(tree, tmp_path / "out" / "tree") == ""


def test_a_missing_root_is_no_restore(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    saved.tree = bytes(32)
    with pytest.raises(BlobNotFound):
        restore_to(repo, tmp_path / "out", saved)


def hand_made(repo: Repository, nodes: list[Node]) -> Snapshot:
    """Store a tree as a hostile writer would, and return a snapshot of it."""
    data = TREE_START + b",".join(map(encode_node, nodes)) + TREE_END
    tree = repo.save_blob("tree", data).id
    repo.flush()
    return Snapshot(format_time(0, UTC_ZONE), tree, ["/"])


def file_node(repo: Repository, name: bytes, data: bytes, size: int | None = None) -> Node:
    content = [repo.save_blob("data", data).id]
    return Node(
        name, "file", go_mode("file", 0o644), size=len(data) if size is None else size, content=content
    )


@pytest.mark.parametrize("name", [b"..", b".", b"", b"a/b", b"../escaped", b"/escaped", b"nul\0byte"])
def test_names_that_lead_out_are_refused_and_told(repo: Repository, tmp_path: Path, name: bytes) -> None:
    empty = repo.save_blob("tree", encode_tree([])).id
    nodes = [file_node(repo, name, b"evil"), Node(name, "dir", go_mode("dir", 0o755), subtree=empty)]
    snapshot = hand_made(repo, [*nodes, file_node(repo, b"good", b"good")])
    result, problems = restore_to(repo, tmp_path / "deep" / "out", snapshot)
    assert [each.kind for each in problems] == ["unreadable", "unreadable"]
    assert (result.files, result.problems) == (1, 2)
    assert names(tmp_path) == ["deep", "deep/out", "deep/out/good"]


def test_names_of_one_inode_with_other_content_stay_apart(repo: Repository, tmp_path: Path) -> None:
    """The file changed between the reading of its two names; each gets what its own name held."""
    nodes = [file_node(repo, b"one", b"before"), file_node(repo, b"two", b"after")]
    for node in nodes:
        node.links, node.inode, node.device_id = 2, 7, 7
    result, problems = restore_to(repo, tmp_path / "out", hand_made(repo, nodes))
    assert (result.files, problems) == (2, [])
    assert [(tmp_path / "out" / name).read_bytes() for name in ("one", "two")] == [b"before", b"after"]


def test_the_plan_never_asks_the_target_while_a_file_is_written(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target may hold a folder open for the file; reading ahead must wait with its questions."""
    monkeypatch.setattr("repository.prefetch.BATCH_ITEMS", 2)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a large").write_bytes(os.urandom(9_000_000))
    for number in range(50):
        (tree / f"{number}").write_bytes(b"%d" % number)
    make_backup(repo, "tree", cwd=tmp_path)
    repo.load_index()
    writing: list[bytes] = []

    class Watched(LocalTarget):
        def existing(self, path: bytes) -> Entry | None:
            assert writing == []
            return super().existing(path)

        def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
            writing.append(path)
            problems = super().write_file(path, entry, chunks)
            writing.clear()
            return problems

    (tmp_path / "out").mkdir()
    target = Watched(str(tmp_path / "out"))
    result = restore(repo, latest(repo), target, RestoreOptions(strip=b"/tree", conflict="keep"))
    assert result.files == 51


def test_a_size_that_is_not_the_contents_is_told(repo: Repository, tmp_path: Path) -> None:
    nodes = [file_node(repo, b"long", b"1234", size=3), file_node(repo, b"short", b"123", size=4)]
    result, problems = restore_to(repo, tmp_path / "out", hand_made(repo, nodes))
    assert [each.path for each in problems] == [b"/long", b"/short"]
    assert (result.files, result.failed) == (0, 2)
    assert names(tmp_path / "out") == []


def test_a_write_that_the_target_lost_is_told(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    class Losing(LocalTarget):
        def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
            problems = super().write_file(path, entry, chunks)
            if path == b"/tree/a":
                os.truncate(tmp_path / "out" / "tree" / "a", 3)
            return problems

    repo.load_index()
    problems: list[Problem] = []
    result = restore(repo, saved, Losing(str(tmp_path / "out")), report=problems.append)
    assert [each.path for each in problems] == [b"/tree/a"]
    assert "has 3 bytes" in problems[0].message
    assert result.failed == 1


def test_a_large_tree_is_read_ahead_in_bounded_memory(
    repo: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several batches, files larger than a batch, files that are given up in the middle."""
    monkeypatch.setattr("repository.prefetch.BATCH_BYTES", 300_000)
    monkeypatch.setattr("repository.prefetch.BATCH_ITEMS", 10)
    tree = tmp_path / "tree"
    tree.mkdir()
    for number in range(60):
        (tree / f"{number}").write_bytes(os.urandom(20_000))
    (tree / "30 large").write_bytes(os.urandom(6_000_000))
    make_backup(repo, "tree", cwd=tmp_path)
    restore_to(repo, tmp_path / "out")
    assert differences(tree, tmp_path / "out" / "tree") == ""
    repo.load_index()
    target = Refusing(tmp_path / "other", b"/tree/30 large", TargetError("no"))
    result = restore(repo, latest(repo), target)
    assert (result.files, result.failed) == (60, 1)


def test_progress_may_stop_it(repo: Repository, saved: Snapshot, tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def progress(progress: Progress) -> None:
        if progress.files_done == 1:
            raise Stop

    repo.load_index()
    with pytest.raises(Stop):
        restore(repo, saved, LocalTarget(str(tmp_path / "out")), progress=progress)
