"""The unchanged-tree cache: it saves listing, and whatever happens to it, never changes a snapshot."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from datetime import UTC, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from repository import locks, tree_cache
from repository.backup import BackupOptions, BackupResult, backup
from repository.check import check
from repository.crypto import seal, unseal
from repository.entries import Listing, Problem, ScannedDir
from repository.errors import Damaged
from repository.forget import forget
from repository.locks import lock_repository
from repository.prune import PruneOptions, prune
from repository.rebuild import rebuild_index
from repository.repository import Repository
from repository.tally import Tally
from repository.tree_cache import NO_TREE_CACHE, TreeCache
from repository.tree_cache_file import Context, Packed, _derive, decode, encode
from sources import fingerprints
from sources.local import LocalSource
from sources.rules import Rules
from storage_adapters.memory import MemoryAdapter
from tests.repository.engine import CHEAP, PASSWORD, new_repo
from tests.repository.nasty import make_nasty_tree

SHORTLY_NS = tree_cache.RACY_NS
HOUR_NS = 3600 * 10**9
TICK_S = 0.03  # above the clock tick of a file system, and so of a ctime


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "SETTLE_S", 0)
    monkeypatch.setattr(tree_cache, "RACY_NS", 10_000_000)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Four folders: tree, tree/a, tree/a/deep, tree/b."""
    tree = tmp_path / "tree"
    (tree / "a" / "deep").mkdir(parents=True)
    (tree / "b").mkdir()
    (tree / "top").write_bytes(b"at the top")
    (tree / "a" / "one").write_bytes(b"one")
    (tree / "a" / "deep" / "two").write_bytes(b"two")
    (tree / "b" / "three").write_bytes(b"three")
    (tree / "b" / "link").symlink_to("three")
    return tree


class Watched(LocalSource):
    """A source that notes which folders were listed."""

    listed: list[bytes]

    def list_dir(self, path: bytes) -> Listing:
        self.listed.append(path)
        return super().list_dir(path)


class Desk:
    """Backups of one tree, with a cache, into a repository in memory."""

    def __init__(self, tree: Path, cache: Path) -> None:
        self.tree = tree
        self.cache = cache
        self.repo = new_repo()
        self.listed: list[bytes] = []

    def backup(self, *, cached: bool = True, rules: Rules | None = None, **options: Any) -> BackupResult:
        """Make a backup, of an otherwise fresh process; `listed` are then the folders that were listed."""
        time.sleep(TICK_S)
        source = Watched([self.tree.name], cwd=os.fsencode(self.tree.parent), rules=rules or Rules())
        source.listed = self.listed = []
        with (
            TreeCache(self.cache, source) if cached else NO_TREE_CACHE as cache,
            lock_repository(self.repo) as lock,
        ):
            return backup(self.repo, source, BackupOptions(**options), lock, cache=cache)

    def file(self) -> Path:
        """Return the only file in the cache."""
        (file,) = self.cache.iterdir()
        return file

    def change(self, change: Callable[[Context, Packed], tuple[Context, Packed]]) -> None:
        """Write another content into the cache's file, as only a holder of the key can."""
        context, records = decode(self.repo.key, self.file().read_bytes())
        self.file().write_bytes(encode(self.repo.key, *change(context, records)))


@pytest.fixture
def desk(tree: Path, tmp_path: Path) -> Desk:
    return Desk(tree, tmp_path / "cache")


UNCHANGED = [b"/"]  # what is above the target is listed always
EVERYTHING = [b"/", b"/tree", b"/tree/a", b"/tree/a/deep", b"/tree/b"]


def tree_without_cache(desk: Desk, **options: Any) -> bytes:
    """Return the tree of a backup that knows nothing from before, in a repository of its own."""
    return Desk(desk.tree, desk.cache).backup(cached=False, force=True, **options).tree


def test_an_unchanged_tree_is_not_listed(desk: Desk) -> None:
    first = desk.backup()
    assert desk.listed == EVERYTHING
    for _ in range(3):
        again = desk.backup()
        assert desk.listed == UNCHANGED
        assert again.tree == first.tree
    assert check(desk.repo, read_data=True).errors == []


def test_it_counts_as_without(tmp_path: Path) -> None:
    make_nasty_tree(tmp_path / "tree")
    cached, plain = Desk(tmp_path / "tree", tmp_path / "cache"), Desk(tmp_path / "tree", tmp_path / "other")
    polynomial = cached.repo.config.chunker_polynomial
    plain.repo = Repository.init(MemoryAdapter(), PASSWORD, kdf=CHEAP, chunker_polynomial=polynomial)
    assert counts(cached.backup()) == counts(plain.backup(cached=False))
    (tmp_path / "tree" / "new").write_bytes(b"new")
    assert counts(cached.backup()) == counts(plain.backup(cached=False))
    assert counts(cached.backup()) == counts(plain.backup(cached=False))
    assert len(cached.listed) < len(plain.listed) / 2


def counts(result: BackupResult) -> dict[str, Any]:
    return {"tree": result.tree} | {each.name: getattr(result, each.name) for each in fields(Tally)}


def test_only_changed_folders_and_those_above_are_listed(desk: Desk) -> None:
    desk.backup()
    (desk.tree / "a" / "deep" / "two").write_bytes(b"two!")
    result = desk.backup()
    assert desk.listed == [b"/", b"/tree", b"/tree/a", b"/tree/a/deep"]
    assert result.tree == tree_without_cache(desk)
    assert (result.files_changed, result.files_unmodified, result.others_total) == (1, 3, 1)
    desk.backup()
    assert desk.listed == UNCHANGED


def set_content(tree: Path) -> None:
    path = tree / "a" / "one"
    before = path.stat()
    path.write_bytes(b"eno")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace_by_rename(tree: Path) -> None:
    before = (tree / "a" / "one").stat()
    (tree / "other").write_bytes(b"eno")
    os.utime(tree / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tree / "other").rename(tree / "a" / "one")


def swap_folders(tree: Path) -> None:
    (tree / "a").rename(tree / "c")
    (tree / "b").rename(tree / "a")
    (tree / "c").rename(tree / "b")


def relink(tree: Path) -> None:
    (tree / "b" / "link").unlink()
    (tree / "b" / "link").symlink_to("other")


CHANGES: list[Callable[[Path], object]] = [
    set_content,
    replace_by_rename,
    swap_folders,
    relink,
    lambda tree: os.chmod(tree / "b" / "three", 0o600),
    lambda tree: os.chmod(tree / "a" / "deep", 0o700),
    lambda tree: os.setxattr(tree / "a" / "one", "user.x", b"y"),
    lambda tree: os.link(tree / "top", tree / "b" / "hard"),
    lambda tree: (tree / "a" / "deep" / "two").unlink(),
    lambda tree: (tree / "b" / "empty").mkdir(),
    lambda tree: shutil.rmtree(tree / "a"),
    lambda tree: os.utime(tree / "a" / "deep" / "two", ns=(0, 0)),
    lambda tree: os.mkfifo(tree / "a" / "fifo"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_seen(desk: Desk, change: Callable[[Path], object]) -> None:
    first = desk.backup()
    time.sleep(TICK_S)
    change(desk.tree)
    second = desk.backup()
    assert second.tree not in (first.tree, None)
    assert second.tree == tree_without_cache(desk)
    desk.backup()
    assert desk.listed == UNCHANGED


def test_what_changed_shortly_before_the_last_scan_is_read_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SHORTLY_NS == 2 * 10**9
    monkeypatch.setattr(tree_cache, "RACY_NS", HOUR_NS)
    desk.backup()
    desk.backup()
    assert desk.listed == EVERYTHING
    monkeypatch.setattr(tree_cache, "RACY_NS", 10_000_000)
    desk.backup()
    monkeypatch.setattr(tree_cache, "RACY_NS", HOUR_NS)
    (desk.tree / "b" / "three").write_bytes(b"3")
    desk.backup()
    assert desk.listed == [b"/", b"/tree", b"/tree/b"]
    desk.backup()
    assert desk.listed == [b"/", b"/tree", b"/tree/b"]  # it is not known whether it changed since


def test_a_full_read_uses_nothing_and_leaves_all(desk: Desk) -> None:
    desk.backup()
    desk.backup(read_all=True)
    assert desk.listed == EVERYTHING
    desk.backup(force=True)
    assert desk.listed == EVERYTHING
    desk.backup()
    assert desk.listed == UNCHANGED


class Troubled(Watched):
    """A source in which something of one folder cannot be read."""

    def list_dir(self, path: bytes) -> Listing:
        listing = super().list_dir(path)
        if path == b"/tree/a/deep":
            listing.problems.append(Problem(path + b"/x", "unreadable", "no"))
        return listing


def test_a_folder_with_trouble_is_listed_again_and_tells_of_it(desk: Desk) -> None:
    def run() -> int:
        time.sleep(TICK_S)
        source = Troubled(["tree"], cwd=os.fsencode(desk.tree.parent))
        source.listed = desk.listed = []
        with TreeCache(desk.cache, source) as cache, lock_repository(desk.repo) as lock:
            return backup(desk.repo, source, BackupOptions(), lock, cache=cache).problems_lost

    assert (run(), run(), run()) == (1, 1, 1)
    assert desk.listed == [b"/", b"/tree", b"/tree/a", b"/tree/a/deep"]


def _at_most(count: int, full: Callable[[memoryview], int]) -> Callable[[memoryview], int]:
    def readinto(buffer: memoryview) -> int:
        nonlocal count
        got = full(buffer[:count])
        count -= got
        return got

    return readinto


class Odd(Watched):
    """A source of which one file comes short, as in /proc, or is another one than was listed."""

    lacking = 0
    other_inode = 0

    def open_files(self, paths: Sequence[bytes]) -> Iterator[Any]:
        for file in super().open_files(paths):
            if not isinstance(file, Problem) and file.path == b"/tree/b/three":
                file.readinto = _at_most(file.entry.size - self.lacking, file.readinto)  # type: ignore
                file.entry = structs.replace(file.entry, inode=file.entry.inode + self.other_inode)
            yield file


@pytest.mark.parametrize("oddity", ["lacking", "other_inode"])
def test_a_folder_not_stored_as_it_was_listed_is_listed_again(desk: Desk, oddity: str) -> None:
    for _ in range(3):
        time.sleep(TICK_S)
        source = Odd(["tree"], cwd=os.fsencode(desk.tree.parent))
        source.listed = desk.listed = []
        setattr(source, oddity, 1)
        with TreeCache(desk.cache, source) as cache, lock_repository(desk.repo) as lock:
            result = backup(desk.repo, source, BackupOptions(read_all=False), lock, cache=cache)
        assert result.problems_lost == (oddity == "lacking")
    assert desk.listed == [b"/", b"/tree", b"/tree/b"]


class Swapping(Watched):
    """A source in which two folders change places once it was scanned."""

    def scan(self) -> Iterator[ScannedDir]:
        yield from super().scan()
        swap_folders(Path(self.paths[0]))


def test_a_folder_that_came_after_the_scan_is_listed(desk: Desk) -> None:
    desk.backup()
    (desk.tree / "new").write_bytes(b"so that the folder above is listed")
    time.sleep(TICK_S)
    source = Swapping(["tree"], cwd=os.fsencode(desk.tree.parent))
    source.listed = []
    with TreeCache(desk.cache, source) as cache, lock_repository(desk.repo) as lock:
        result = backup(desk.repo, source, BackupOptions(), lock, cache=cache)
    assert b"/tree/a" in source.listed
    assert result.tree == tree_without_cache(desk)


def test_it_notes_when_it_looked(desk: Desk) -> None:
    before = time.time_ns()
    desk.backup()
    context, _ = decode(desk.repo.key, desk.file().read_bytes())
    assert before < context.began_ns < time.time_ns()


def test_every_byte_of_its_file_counts(desk: Desk) -> None:
    desk.backup()
    data = desk.file().read_bytes()
    for place in range(len(data)):
        flipped = bytearray(data)
        flipped[place] ^= 0x10
        with pytest.raises(Damaged):
            decode(desk.repo.key, bytes(flipped))
    for end in range(len(data)):
        with pytest.raises(Damaged):
            decode(desk.repo.key, data[:end])


@pytest.mark.parametrize("content", [b"", b"x" * 1000, None])
def test_a_file_that_is_not_ours_is_as_none(desk: Desk, content: bytes | None) -> None:
    first = desk.backup()
    data = desk.file().read_bytes()
    desk.file().write_bytes(data[:-1] if content is None else content)
    assert desk.backup().tree == first.tree
    assert desk.listed == EVERYTHING
    desk.backup()
    assert desk.listed == UNCHANGED


def test_sealed_data_of_the_repository_is_no_cache(desk: Desk) -> None:
    """Somebody who may write to the cache cannot use what the repository seals for them."""
    desk.backup()
    own = unseal(_derive(desk.repo.key), desk.file().read_bytes())
    with pytest.raises(Damaged):
        decode(desk.repo.key, seal(desk.repo.key, own))  # such as the content of a file of theirs
    for kind in ("index", "snapshots"):
        (file,) = desk.repo.files.list(kind)  # type: ignore[arg-type]
        with pytest.raises(Damaged):
            decode(desk.repo.key, desk.repo.storage.get(f"{kind}/{file.id.hex()}"))


@pytest.mark.parametrize(
    "other",
    [
        {"repository": "00" * 32},
        {"source": "00" * 16},
        {"zone": "Mars/Olympus"},
        {"program": "holdfast 0.0.0"},
        {"snapshot": "00" * 32},
        {"began_ns": time.time_ns() + 3600 * 10**9},  # the clock was set back
        {"index": ["00" * 32]},
    ],
    ids=lambda each: next(iter(each)),
)
def test_a_cache_of_something_else_is_not_used(desk: Desk, other: dict[str, Any]) -> None:
    desk.backup()
    desk.change(lambda context, records: (replace(context, **other), records))
    desk.backup()
    assert desk.listed == EVERYTHING


def test_a_record_that_is_not_what_the_parent_has_is_not_used(desk: Desk) -> None:
    first = desk.backup()

    def swap(context: Context, records: Packed) -> tuple[Context, Packed]:
        return context, dict(zip(records, reversed(list(records.values())), strict=True))

    desk.change(swap)
    assert desk.backup().tree == first.tree
    assert set(desk.listed) >= {b"/tree", b"/tree/a"}


def test_other_rules_have_a_cache_of_their_own(desk: Desk) -> None:
    desk.backup()
    rules = Rules(exclude=("two",), exclude_larger_than=9)
    result = desk.backup(rules=rules)
    assert desk.listed == EVERYTHING
    assert result.files_total == 2
    again = desk.backup(rules=rules)
    assert (desk.listed, again.tree) == (UNCHANGED, result.tree)
    assert len(list(desk.cache.iterdir())) == 2


@pytest.mark.parametrize(
    "rules",
    [
        Rules(exclude=("two",)),
        Rules(iexclude=("TWO",)),
        Rules(exclude_caches=True),
        Rules(exclude_if_present=("three",)),
        Rules(exclude_larger_than=4),
    ],
)
def test_each_rule_leaves_out_the_same_when_scanning(desk: Desk, rules: Rules) -> None:
    (desk.tree / "b" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    first = desk.backup(rules=rules)
    assert first.tree != tree_without_cache(desk)
    again = desk.backup(rules=rules)
    assert (desk.listed, again.tree) == (UNCHANGED, first.tree)


def test_protected_places_are_left_out_when_scanning(desk: Desk) -> None:
    for _ in range(2):
        time.sleep(TICK_S)
        protected = [(desk.tree / "a" / "deep", "mine")]
        source = Watched(["tree"], cwd=os.fsencode(desk.tree.parent), always_excluded=protected)  # type: ignore
        source.listed = []
        with TreeCache(desk.cache, source) as cache, lock_repository(desk.repo) as lock:
            result = backup(desk.repo, source, BackupOptions(), lock, cache=cache)
        assert result.files_total == 3
    assert source.listed == UNCHANGED


def test_what_rules_leave_out_may_change(desk: Desk) -> None:
    (desk.tree / "a" / "deep" / "noise").mkdir()
    rules = Rules(exclude=("noise",))
    desk.backup(rules=rules)
    (desk.tree / "a" / "deep" / "noise" / "more").write_bytes(b"more")
    desk.backup(rules=rules)
    assert desk.listed == UNCHANGED


def test_a_tag_file_is_looked_at_each_time(desk: Desk) -> None:
    rules = Rules(exclude_if_present=(".skip:skip",))
    (desk.tree / "b" / ".skip").write_bytes(b"keep")
    first = desk.backup(rules=rules)
    (desk.tree / "b" / ".skip").write_bytes(b"skip")
    second = desk.backup(rules=rules)
    assert (first.files_total, second.files_total) == (5, 4)
    assert second.tree == tree_without_cache(desk, rules=rules)


def test_times_in_another_zone_are_written_anew(desk: Desk) -> None:
    zones: list[tzinfo] = [UTC, timezone(timedelta(hours=2)), timezone(timedelta(hours=3))]
    trees = {desk.backup(zone=zone).tree for zone in zones}
    assert len(trees) == 3
    assert desk.listed == EVERYTHING


def test_an_owner_with_another_name_is_a_change(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.backup()
    monkeypatch.setattr(fingerprints, "owner_names", lambda owners: [(b"renamed", b"")])
    desk.backup()
    assert desk.listed == EVERYTHING


def test_without_its_snapshot_it_is_nothing(desk: Desk) -> None:
    desk.backup()
    second = desk.backup()
    with lock_repository(desk.repo, exclusive=True) as lock:
        forget(desk.repo, [second.snapshot_id], lock)
    desk.backup()
    assert desk.listed == EVERYTHING


def test_after_the_index_was_rebuilt_everything_is_looked_up_again(desk: Desk) -> None:
    first = desk.backup()
    (desk.tree / "top").write_bytes(b"another top")
    second = desk.backup()
    with lock_repository(desk.repo, exclusive=True) as lock:
        forget(desk.repo, [first.snapshot_id], lock)
        prune(desk.repo, PruneOptions(), lock)
    assert desk.backup().tree == second.tree
    with lock_repository(desk.repo, exclusive=True) as lock:
        desk.repo.load_index()
        rebuild_index(desk.repo, lock)
    assert desk.backup().tree == second.tree
    assert check(desk.repo, read_data=True).errors == []


def test_lost_content_is_stored_again(desk: Desk) -> None:
    """A pack is gone and the index was rebuilt without it: what looks unchanged is read all the same."""
    desk.backup()
    desk.repo.load_index()
    for kind, _, place in list(desk.repo.index.places()):
        if kind == "data":
            desk.repo.storage.delete(f"data/{place.pack.hex()[:2]}/{place.pack.hex()}")
    with lock_repository(desk.repo, exclusive=True) as lock:
        rebuild_index(desk.repo, lock)
    assert desk.backup().data_blobs == 4
    assert check(desk.repo, read_data=True).errors == []


def test_a_cache_that_cannot_be_written_is_only_told(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.cache.write_bytes(b"a file where the folder should be")
    first = desk.backup()
    assert "cannot be written" in caplog.text
    assert desk.backup().tree == first.tree


def test_its_file_is_for_its_user_only(desk: Desk) -> None:
    desk.backup()
    assert desk.file().stat().st_mode & 0o777 == 0o600
    assert desk.cache.stat().st_mode & 0o777 == 0o700
    assert b"three" not in desk.file().read_bytes()


NAMES = st.sampled_from(["a", "b", "a/c", "b/c", "a/c/d", "f", "a/f", "a/g", "b/f", "a/c/f", "a/c/d/f"])
STEP = st.tuples(
    st.sampled_from(["write", "mkdir", "remove", "move", "chmod", "touch", "link", "sneak", "xattr"]),
    NAMES,
    NAMES,
    st.integers(0, 3),
)


def apply(tree: Path, step: tuple[str, str, str, int]) -> None:
    """Do one thing to the tree; what is not possible there is not done."""
    what, name, other, number = step
    path, second = tree / name, tree / other
    try:
        _ACTIONS[what](path, second, number)
    except OSError:
        return  # such as a file where a folder would have to be


def _sneak(path: Path, other: Path, number: int) -> None:
    before = path.stat()
    path.write_bytes(b"%d" % number * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove(path: Path, other: Path, number: int) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


_ACTIONS: dict[str, Callable[[Path, Path, int], object]] = {
    "write": lambda path, other, number: path.write_bytes(b"content" * number),
    "mkdir": lambda path, other, number: path.mkdir(),
    "remove": _remove,
    "move": lambda path, other, number: path.rename(other),
    "chmod": lambda path, other, number: path.chmod(0o700 + number),
    "touch": lambda path, other, number: os.utime(path, ns=(number, number)),
    "link": lambda path, other, number: os.link(path, other),
    "sneak": _sneak,
    "xattr": lambda path, other, number: os.setxattr(path, "user.n", b"%d" % number),
}


@settings(max_examples=12)
@given(rounds=st.lists(st.lists(STEP, max_size=4), min_size=2, max_size=5))
def test_whatever_is_done_to_a_tree_the_cache_changes_nothing(
    rounds: list[list[tuple[str, str, str, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("property")
    desk = Desk(folder / "tree", folder / "cache")
    (desk.tree / "a" / "c" / "d").mkdir(parents=True)
    (desk.tree / "b").mkdir()
    for name in ("f", "a/f", "a/c/d/f"):
        (desk.tree / name).write_bytes(os.fsencode(name))
    for steps in rounds:
        for step in steps:
            apply(desk.tree, step)
        options = {"refuse_empty": False}
        assert desk.backup(**options).tree == tree_without_cache(desk, **options)
