"""Prune: frees what no snapshot needs, never what one does, and leaves what restic takes."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from repository.check import check
from repository.crypto import seal
from repository.errors import BlobNotFound, Cancelled, Damaged, Locked, LockLost, RepositoryError
from repository.files import list_packs, pack_key
from repository.forget import forget
from repository.ids import hash_bytes
from repository.indexfile import encode_index
from repository.locks import lock_repository
from repository.packer import Packer
from repository.packfile import BlobType
from repository.progress import Progress
from repository.prune import PruneResult, prune
from repository.prune_plan import PruneOptions, Unused
from repository.repository import Repository
from storage_adapters.errors import PermissionDenied
from storage_adapters.local import LocalAdapter
from tests.repository.engine import Restic, make_backup, new_local_repo, new_repo, open_local, restore_to
from tests.repository.upkeep import back_up, contents, every_blob, fill, make_odd, store_pack
from tests.waiting import wait_for

NOTHING_UNUSED = PruneOptions(max_unused=Unused(size_bytes=0))


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)


def run_prune(repo: Repository, options: PruneOptions = NOTHING_UNUSED) -> PruneResult:
    with lock_repository(repo, exclusive=True) as lock:
        return prune(repo, options, lock)


def run_forget(repo: Repository, *snapshot_ids: bytes) -> None:
    with lock_repository(repo, exclusive=True) as lock:
        forget(repo, snapshot_ids, lock)


def assert_restores(repo: Repository, snapshot_id: bytes, expected: Path, out: Path) -> None:
    result, problems = restore_to(repo, out, repo.load_snapshot(snapshot_id))
    assert (problems, result.failed) == ([], 0)
    assert read_files(out / expected.name) == read_files(expected)


def read_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_clean(repo: Repository) -> None:
    result = check(repo, read_data=True)
    assert (result.errors, result.hints) == ([], [])


@pytest.fixture
def pruned_of_two(tmp_path: Path) -> tuple[Repository, bytes, Path]:
    """A repository with one snapshot left of two that shared most of their files."""
    repo = new_local_repo(tmp_path / "repo")
    source = tmp_path / "source"
    fill(source, 1)
    (source / "gone").write_bytes(random.Random(0).randbytes(900_000))
    first = back_up(repo, source)
    (source / "gone").unlink()
    fill(source, 2)
    second = back_up(repo, source)
    run_forget(repo, first)
    return repo, second, source


def test_what_only_the_forgotten_used_is_freed(
    pruned_of_two: tuple[Repository, bytes, Path], tmp_path: Path, restic: str
) -> None:
    repo, kept, source = pruned_of_two
    before = sum(list_packs(repo.storage).values())
    result = run_prune(repo)
    after = sum(list_packs(repo.storage).values())
    assert result.bytes_freed == before - after > 100_000
    assert (result.bytes_unused, result.undeleted) == (0, [])
    assert result.packs_repacked
    assert result.packs_written
    assert_clean(repo)
    assert_restores(open_local(tmp_path / "repo"), kept, source, tmp_path / "out")
    Restic(restic, tmp_path / "repo").check()
    assert (
        "total prune:           0 blobs" in Restic(restic, tmp_path / "repo").run("prune", "--dry-run").stdout
    )


def test_a_second_prune_finds_nothing_to_do(pruned_of_two: tuple[Repository, bytes, Path]) -> None:
    repo, _, _ = pruned_of_two
    run_prune(repo)
    before = {found.key for found in repo.storage.list("")}
    result = run_prune(repo)
    assert (result.bytes_freed, result.packs_deleted, result.packs_repacked) == (0, 0, 0)
    assert {found.key for found in repo.storage.list("")} == before


def test_a_dry_run_writes_nothing_and_says_what_a_real_one_does(
    pruned_of_two: tuple[Repository, bytes, Path],
) -> None:
    repo, _, _ = pruned_of_two
    before = {found.key for found in repo.storage.list("")}
    expected = run_prune(repo, PruneOptions(max_unused=Unused(size_bytes=0), dry_run=True))
    assert {found.key for found in repo.storage.list("")} == before
    real = run_prune(repo)
    assert (expected.packs_deleted, expected.packs_repacked) == (real.packs_deleted, real.packs_repacked)
    assert expected.bytes_freed == pytest.approx(real.bytes_freed, abs=2_000)  # headers of packs


def test_unused_data_may_stay_if_allowed(pruned_of_two: tuple[Repository, bytes, Path]) -> None:
    repo, _, _ = pruned_of_two
    lenient = run_prune(repo, PruneOptions(max_unused=Unused()))
    assert lenient.bytes_unused > 100_000
    assert run_prune(repo, PruneOptions(max_repack_bytes=1000)).bytes_unused == lenient.bytes_unused
    assert run_prune(repo, PruneOptions()).bytes_unused == 0
    assert_clean(repo)


def test_a_shared_lock_is_not_enough(pruned_of_two: tuple[Repository, bytes, Path]) -> None:
    repo, _, _ = pruned_of_two
    with lock_repository(repo) as lock, pytest.raises(RepositoryError, match="exclusive"):
        prune(repo, NOTHING_UNUSED, lock)


def test_without_snapshots_nothing_stays(tmp_path: Path) -> None:
    repo = new_repo()
    fill(tmp_path / "source", 3)
    run_forget(repo, back_up(repo, tmp_path / "source"))
    run_prune(repo)
    left = {found.key.partition("/")[0] for found in repo.storage.list("")}
    assert left == {"config", "keys"}


# What a prune must not begin with


def put_back(repo: Repository, key: str, change: bytes | None) -> None:
    if change is None:
        repo.storage.delete(key)
    else:
        repo.storage.put(key, change)


def assert_refuses(repo: Repository, kind: type[RepositoryError], words: str) -> None:
    """Prune raises and has deleted nothing but packs that no index lists."""
    before = {found.key for found in repo.storage.list("") if not found.key.startswith("locks/")}
    with pytest.raises(kind, match=words):
        run_prune(repo)
    assert {found.key for found in repo.storage.list("")} == before


def only_key(repo: Repository, prefix: str) -> str:
    (found,) = repo.storage.list(prefix)
    return found.key


@pytest.fixture
def single(tmp_path: Path) -> Repository:
    """One snapshot, one index file, and a pack that nothing needs."""
    repo = new_repo()
    fill(tmp_path / "source", 4)
    back_up(repo, tmp_path / "source")
    repo.load_index()
    repo.save_blob("data", b"nobody's" * 100)
    repo.flush()
    return repo


def test_it_refuses_with_a_damaged_snapshot(single: Repository) -> None:
    key = only_key(single, "snapshots/")
    single.storage.put(key, single.storage.get(key)[:-1])
    assert_refuses(single, Damaged, key)


def test_it_refuses_with_a_damaged_index(single: Repository) -> None:
    key = next(single.storage.list("index/")).key
    single.storage.put(key, single.storage.get(key)[:-1])
    assert_refuses(single, Damaged, key)


def test_it_refuses_with_an_index_file_missing(single: Repository) -> None:
    for found in list(single.storage.list("index/")):
        data = single.storage.get(found.key)
        single.storage.delete(found.key)
        single.load_index()
        if not all(single.index.has("tree", each.tree) for _, each in single.list_snapshots()):
            assert_refuses(single, BlobNotFound, "in no index file")
            return
        single.storage.put(found.key, data)
    pytest.fail("no index file listed the root")


def test_it_refuses_if_no_index_names_data_that_is_needed(single: Repository) -> None:
    packs = {}
    for file in single.files.list("index"):
        packs |= dict(single.load_index_file(file.id).packs)
        single.files.remove("index", file.id)
    single.files.save(
        "index", encode_index({p: blobs for p, blobs in packs.items() if blobs[0].type == "tree"})
    )
    for pack, blobs in packs.items():
        if blobs[0].type == "data":
            single.storage.delete(pack_key(pack))  # or they would go, as they may: no index names them
    assert_refuses(single, BlobNotFound, "data .* Nothing was deleted")


def test_it_refuses_to_copy_content_that_does_not_fit_its_id(tmp_path: Path) -> None:
    """Sealed well, but something else: only the hash can tell."""
    repo, data = new_repo(), random.Random(1).randbytes(5_000)
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(data)
    back_up(repo, tmp_path / "source")
    repo.load_index()
    (place,) = repo.index.lookup("data", hash_bytes(data))
    packer = Packer("data")
    packer.add(hash_bytes(data), seal(repo.key, data[::-1]), None)
    packer.add(hash_bytes(b"x"), seal(repo.key, b"x"), None)  # nobody's, so that the pack is copied
    pack = packer.finish(repo.key)
    repo.storage.put(pack_key(pack.id), pack.data)
    (old,) = repo.files.list("index")
    packs = dict(repo.load_index_file(old.id).packs)
    del packs[place.pack]
    repo.files.save("index", encode_index({**packs, pack.id: pack.blobs}))
    repo.files.remove("index", old.id)
    with pytest.raises(Damaged, match="does not fit its id"):
        run_prune(repo)
    assert pack.id in list_packs(repo.storage)


@pytest.mark.parametrize("blob_type", ["data", "tree"])
@pytest.mark.parametrize("change", ["missing", "shorter"])
def test_it_refuses_without_a_pack_that_is_needed(
    single: Repository, blob_type: BlobType, change: str
) -> None:
    single.load_index()
    totals = sorted(single.index.pack_totals(), key=lambda total: -total.size_bytes)
    pack = next(
        total.id for total in totals if (total.tree_blobs if blob_type == "tree" else total.data_blobs)
    )
    data = single.storage.get(pack_key(pack))
    put_back(single, pack_key(pack), None if change == "missing" else data[:-1])
    assert_refuses(single, (BlobNotFound, Damaged), "missing" if change == "missing" else "bytes|seal|tag")  # type: ignore[arg-type]


def test_a_missing_pack_that_nobody_needs_is_forgotten(single: Repository) -> None:
    single.load_index()
    used = {location.pack for kind, blob, location in single.index.places() if kind == "tree"}
    nobodys = [t.id for t in single.index.pack_totals() if t.data_blobs == 1 and t.id not in used]
    for pack in nobodys:
        single.storage.delete(pack_key(pack))
    assert run_prune(single).packs_missing == len(nobodys) == 1
    assert_clean(single)


def test_a_damaged_blob_that_would_be_copied_stops_it(pruned_of_two: tuple[Repository, bytes, Path]) -> None:
    repo, _, _ = pruned_of_two
    repo.load_index()
    (pack, size) = max(list_packs(repo.storage).items(), key=lambda item: item[1])
    damaged = bytearray(repo.storage.get(pack_key(pack)))
    for place in range(50, size, 5_000):
        damaged[place] ^= 1
    repo.storage.put(pack_key(pack), damaged)
    packs = list_packs(repo.storage).keys()
    with pytest.raises(Damaged, match="no pack in use and no old index file was deleted"):
        run_prune(repo)
    assert packs <= list_packs(repo.storage).keys()


# Odd states that others leave


@pytest.mark.parametrize("first", ["ours", "restic"])
def test_ping_pong_with_restic(tmp_path: Path, restic: str, first: str) -> None:
    path, source = tmp_path / "repo", tmp_path / "source"
    repo, real = new_local_repo(path), Restic(restic, path)
    fill(source, 5)
    oldest = back_up(repo, source)
    fill(source, 6)
    copy = tmp_path / "kept" / "source"
    copy.parent.mkdir()
    fill(copy, 5)
    fill(copy, 6)
    kept = back_up(repo, source)
    make_odd(repo, 7)
    run_forget(repo, oldest)
    for turn in range(4):
        if (turn % 2 == 0) == (first == "ours"):
            run_prune(repo)
            assert_clean(repo)
        else:
            real.run("prune", "--max-unused", "0")
        assert real.run("check", "--read-data").returncode == 0
        assert_restores(repo, kept, copy, tmp_path / f"out{turn}")
        make_odd(repo, turn)
        fill(source, 10 + turn, files=3)
        run_forget(repo, back_up(repo, source))


@pytest.mark.parametrize("name", ["v1", "v2modes", "mig", "oddnames"])
def test_what_restic_made_stays_whole(unpack: Callable[[str], Path], restic: str, name: str) -> None:
    path = unpack(name)
    repo, real = open_local(path), Restic(restic, path)
    before = {each.tree: contents(repo, each) for _, each in repo.list_snapshots()}
    sizes = [sum(list_packs(repo.storage).values())]
    make_odd(repo, 1)
    run_prune(repo)
    sizes.append(sum(list_packs(repo.storage).values()))
    assert_clean(repo)
    assert sizes[1] <= sizes[0] + 1_000
    assert {each.tree: contents(repo, each) for _, each in repo.list_snapshots()} == before
    real.check()
    assert "total prune:           0 blobs" in real.run("prune", "--dry-run", "--max-unused", "0").stdout
    if repo.config.version == 2:
        assert all(place.uncompressed_length for kind, _, place in repo.index.places() if kind == "tree")


def test_a_pack_that_two_index_files_list_in_part_stays_whole(tmp_path: Path) -> None:
    repo = new_repo()
    fill(tmp_path / "source", 8)
    kept = back_up(repo, tmp_path / "source")
    (old,) = repo.files.list("index")
    packs = dict(repo.load_index_file(old.id).packs)
    repo.files.save("index", encode_index({pack: blobs[::2] for pack, blobs in packs.items()}))
    repo.files.save("index", encode_index({pack: blobs[1::2] for pack, blobs in packs.items()}))
    repo.files.remove("index", old.id)
    assert run_prune(repo).packs_repacked == 0
    assert_clean(repo)
    assert_restores(repo, kept, tmp_path / "source", tmp_path / "out")


def test_duplicates_go_and_one_of_each_stays(tmp_path: Path) -> None:
    repo = new_repo()
    fill(tmp_path / "source", 8)
    kept = back_up(repo, tmp_path / "source")
    size = sum(list_packs(repo.storage).values())
    make_odd(repo, 9)
    result = run_prune(repo)
    assert result.blobs_duplicate > 10
    places = list(repo.index.places())
    assert len(places) == len({place[:2] for place in places}) == result.blobs_used
    assert sum(list_packs(repo.storage).values()) == pytest.approx(size, rel=0.01)
    assert_clean(repo)
    assert_restores(repo, kept, tmp_path / "source", tmp_path / "out")


def test_a_copy_that_is_damaged_is_replaced_from_another(tmp_path: Path) -> None:
    repo = new_repo()
    fill(tmp_path / "source", 8)
    kept = back_up(repo, tmp_path / "source")
    blobs = every_blob(repo)
    twin = store_pack(repo, blobs, indexed=True)  # mixed, so it is copied, if it is what stays
    damaged = bytearray(repo.storage.get(pack_key(twin)))
    damaged[100] ^= 1
    repo.storage.put(pack_key(twin), damaged)
    run_prune(repo)
    assert_clean(repo)
    assert_restores(repo, kept, tmp_path / "source", tmp_path / "out")


def test_repacking_keeps_the_compression_of_data(tmp_path: Path) -> None:
    repo = new_repo()
    repo.compression = "off"
    (tmp_path / "source").mkdir()
    for number in range(3):
        (tmp_path / "source" / f"{number}").write_bytes(b"%d all work and no play " % number * 1_000)
    old = back_up(repo, tmp_path / "source")
    (tmp_path / "source" / "0").unlink()
    back_up(repo, tmp_path / "source")
    run_forget(repo, old)
    repo.compression = "auto"
    assert run_prune(repo).blobs_repacked
    assert all(place.uncompressed_length is None for kind, _, place in repo.index.places() if kind == "data")
    run_prune(repo, PruneOptions(repack_uncompressed=True))
    assert all(place.uncompressed_length for _, _, place in repo.index.places())
    assert_clean(repo)


def test_it_frees_what_restic_frees(tmp_path: Path, restic: str) -> None:
    """The same state pruned by both, with the default limit: about the same size remains."""
    sizes = []
    for name in ("ours", "theirs"):
        path, source = tmp_path / name, tmp_path / "source"
        repo = new_local_repo(path)
        for seed in range(3):
            fill(source, seed)
            back_up(repo, source)
        run_forget(repo, repo.list_snapshots()[0][0], repo.list_snapshots()[2][0])
        if name == "ours":
            run_prune(repo, PruneOptions())
        else:
            Restic(restic, path).run("prune")
        sizes.append(sum(list_packs(LocalAdapter(os.fspath(path))).values()))
        for entry in source.iterdir():
            entry.unlink()
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


# Beside others


def test_restic_does_not_prune_beside_our_backup(tmp_path: Path, restic: str) -> None:
    repo, real = new_local_repo(tmp_path / "repo"), Restic(restic, tmp_path / "repo")
    fill(tmp_path / "source", 1, files=3)
    tried = []

    def prune_meanwhile(progress: Progress) -> None:
        if not tried:
            tried.append(real.run("prune", check=False))

    kept = make_backup(repo, "source", cwd=tmp_path, progress=prune_meanwhile).result.snapshot_id
    assert tried[0].returncode != 0
    assert "already locked" in tried[0].stderr
    assert_restores(repo, kept, tmp_path / "source", tmp_path / "out")


def test_we_do_not_prune_beside_a_backup_of_restic(tmp_path: Path, restic: str) -> None:
    repo, real = new_local_repo(tmp_path / "repo"), Restic(restic, tmp_path / "repo")
    command = [restic, "-r", str(real.repo), "--no-cache", "backup", "--stdin"]
    with subprocess.Popen(
        command, env=real.env(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as backup:
        assert backup.stdin is not None
        backup.stdin.write(b"x" * 2_000_000)
        wait_for(lambda: bool(list(repo.storage.list("locks/"))))
        with pytest.raises(Locked, match="locked by"):
            run_prune(repo)
        backup.stdin.close()
    assert backup.returncode == 0
    run_prune(repo)
    real.check()


def test_no_step_is_taken_after_the_lock_is_lost(pruned_of_two: tuple[Repository, bytes, Path]) -> None:
    repo, _, _ = pruned_of_two
    before = {found.key for found in repo.storage.list("")}
    with lock_repository(repo, exclusive=True) as lock:
        repo.files.remove("locks", lock.id)
        with pytest.raises(LockLost):
            lock.refresh()
        with pytest.raises(LockLost):
            prune(repo, NOTHING_UNUSED, lock)
    assert {found.key for found in repo.storage.list("")} == before


def test_a_pack_that_cannot_be_deleted_is_left_to_the_next_prune(
    pruned_of_two: tuple[Repository, bytes, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, _, _ = pruned_of_two
    delete = repo.storage.delete

    def refuse_packs(key: str) -> None:
        if key.startswith("data/"):
            raise PermissionDenied(f"not {key}")
        delete(key)

    with monkeypatch.context() as patch:
        patch.setattr(repo.storage, "delete", refuse_packs)
        result = run_prune(repo)
    assert len(result.undeleted) == result.packs_deleted + result.packs_repacked > 0
    assert all("prune removes it" in hint for hint in check(repo).hints)
    assert run_prune(repo).packs_unindexed == len(result.undeleted)
    assert_clean(repo)


def test_a_dry_run_may_look_away_from_a_snapshot(tmp_path: Path) -> None:
    repo = new_repo()
    fill(tmp_path / "source", 1)
    kept = back_up(repo, tmp_path / "source")
    dry = PruneOptions(max_unused=Unused(size_bytes=0), dry_run=True)
    with lock_repository(repo, exclusive=True) as lock:
        assert prune(repo, dry, lock).bytes_freed == 0
        all_of_it = prune(repo, dry, lock, as_if_forgotten=[kept])
        assert all_of_it.bytes_freed == all_of_it.bytes_before > 0
        with pytest.raises(ValueError, match="dry run"):
            prune(repo, NOTHING_UNUSED, lock, as_if_forgotten=[kept])


@pytest.mark.parametrize("phase", ["looking", "deciding", "repacking", "saving", "deleting"])
def test_it_can_be_cancelled_in_each_phase(
    pruned_of_two: tuple[Repository, bytes, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    monkeypatch.setattr("repository.used._AT_ONCE", 1)
    repo, kept, source = pruned_of_two

    def cancel(progress: Progress) -> None:
        if progress.phase == phase:
            raise Cancelled("as asked")

    with lock_repository(repo, exclusive=True) as lock, pytest.raises(Cancelled):
        prune(repo, NOTHING_UNUSED, lock, cancel)
    assert check(repo, read_data=True).errors == []
    assert_restores(repo, kept, source, tmp_path / "out")
    run_prune(repo)
    assert_clean(repo)


def test_what_is_not_worth_it_is_left_as_in_a_dry_run(tmp_path: Path) -> None:
    repo = new_repo()
    fill(tmp_path / "source", 3)
    run_forget(repo, back_up(repo, tmp_path / "source"))
    before, asked = list_packs(repo.storage), list[PruneResult]()

    def no(expected: PruneResult) -> bool:
        asked.append(expected)
        return False

    with lock_repository(repo, exclusive=True) as lock:
        result = prune(repo, NOTHING_UNUSED, lock, is_worth=no)
    assert (result.dry_run, result.bytes_freed) == (True, sum(before.values()))
    assert (asked, list_packs(repo.storage)) == ([result], before)


def test_it_can_be_cancelled_while_packs_are_deleted(tmp_path: Path) -> None:
    repo = new_repo()
    fill(tmp_path / "source", 3)
    run_forget(repo, back_up(repo, tmp_path / "source"))
    before = len(list_packs(repo.storage))

    def at_the_first_pack(progress: Progress) -> None:
        if progress.phase == "deleting" and progress.files_total:
            raise Cancelled("cancelled on request")

    with pytest.raises(Cancelled), lock_repository(repo, exclusive=True) as lock:
        prune(repo, NOTHING_UNUSED, lock, at_the_first_pack)
    assert len(list_packs(repo.storage)) == before
    assert run_prune(repo).packs_unindexed == before
    assert list_packs(repo.storage) == {}
