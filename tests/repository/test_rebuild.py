"""Rebuild the index: from whatever is left, an index of exactly what is stored."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository.check import check
from repository.errors import Damaged, RepositoryError
from repository.files import list_packs, pack_key
from repository.indexfile import encode_index
from repository.locks import lock_repository
from repository.packer import read_header
from repository.rebuild import RebuildResult, read_pack_header, rebuild_index
from repository.repository import Repository
from tests.repository.engine import PASSWORD, Restic, make_backup, new_local_repo, restore_to


@pytest.fixture(autouse=True)
def locks_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)


def run_rebuild(repo: Repository, *, read_all_packs: bool = False) -> RebuildResult:
    with lock_repository(repo, exclusive=True) as lock:
        return rebuild_index(repo, lock, read_all_packs=read_all_packs)


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    repo = new_local_repo(tmp_path / "repo")
    (tmp_path / "source").mkdir()
    for turn in range(3):
        for number in range(30):
            (tmp_path / "source" / f"{turn} {number}").write_bytes(b"%d %d" % (turn, number) * 200)
        make_backup(repo, "source", cwd=tmp_path)
    return repo


def remove_index(repo: Repository) -> None:
    for file in repo.files.list("index"):
        repo.files.remove("index", file.id)


def assert_whole(repo: Repository, tmp_path: Path, restic: str) -> None:
    result = check(repo, read_data=True)
    assert (result.errors, result.hints) == ([], [])
    _, problems = restore_to(repo, tmp_path / "out")
    assert problems == []
    assert len(list((tmp_path / "out" / "source").iterdir())) == 90
    Restic(restic, tmp_path / "repo").check()


def test_from_nothing(repo: Repository, tmp_path: Path, restic: str) -> None:
    remove_index(repo)
    result = run_rebuild(repo)
    assert result.packs == result.packs_read == len(list_packs(repo.storage)) == 6
    assert_whole(repo, tmp_path, restic)


def test_from_damaged_partial_and_wrong_files(repo: Repository, tmp_path: Path, restic: str) -> None:
    first, second, _ = repo.files.list("index")
    key = f"index/{first.id.hex()}"
    repo.storage.put(key, repo.storage.get(key)[:-1])
    (one, blobs), *rest = repo.load_index_file(second.id).packs
    gone = bytes(32)
    repo.files.save("index", encode_index({one: blobs[:1], gone: blobs, **dict(rest)}))
    repo.files.remove("index", second.id)
    result = run_rebuild(repo)
    assert (result.packs_read, result.packs_gone, len(result.index_damaged)) == (3, 1, 1)
    assert key in result.index_damaged[0]
    assert_whole(repo, tmp_path, restic)


def test_what_the_index_knows_is_not_read(repo: Repository) -> None:
    for pack, size in list_packs(repo.storage).items():
        repo.storage.put(pack_key(pack), bytes(size))
    result = run_rebuild(repo)
    assert (result.packs, result.packs_read, result.unreadable) == (6, 0, [])


def test_a_pack_that_cannot_be_read_is_named_and_left_out(repo: Repository) -> None:
    (pack, size), *_ = list_packs(repo.storage).items()
    repo.storage.put(pack_key(pack), repo.storage.get(pack_key(pack))[: size // 2])
    result = run_rebuild(repo, read_all_packs=True)
    assert result.packs == 5
    assert [pack.hex() in each for each in result.unreadable] == [True]
    assert pack in list_packs(repo.storage)
    assert pack not in {total.id for total in repo.index.pack_totals()}


def test_a_shared_lock_is_not_enough(repo: Repository) -> None:
    with lock_repository(repo) as lock, pytest.raises(RepositoryError, match="exclusive"):
        rebuild_index(repo, lock)


def test_a_header_is_read_with_few_bytes_and_all_its_entries(repo: Repository) -> None:
    for pack, size in list_packs(repo.storage).items():
        whole = repo.storage.get(pack_key(pack))
        assert read_pack_header(repo, pack, size) == read_header(repo.key, whole)
    with pytest.raises(Damaged):
        read_pack_header(repo, pack, size - 1)


def test_restic_is_of_the_same_opinion(repo: Repository, tmp_path: Path, restic: str) -> None:
    remove_index(repo)
    Restic(restic, tmp_path / "repo").run("rebuild-index")
    theirs = sorted(Repository.open(repo.storage, PASSWORD).files.list("index"))
    repo.load_index()
    expected = dict(repo.index.blobs_by_pack())
    remove_index(repo)
    assert theirs
    run_rebuild(repo)
    assert dict(repo.index.blobs_by_pack()) == expected
