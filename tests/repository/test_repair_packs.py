"""Repair of packs: what is whole in a damaged one is saved, the rest is named; nothing else is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repository.check import check
from repository.errors import RepositoryError
from repository.files import pack_key
from repository.locks import lock_repository
from repository.lookup import find_node
from repository.repair_packs import PackRepair, repair_packs
from repository.repository import Repository
from tests.repository.engine import Restic, latest, make_backup, new_local_repo, open_local
from tests.repository.test_cli import Cli, run, tree

__all__ = ["run", "tree"]


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    (tmp_path / "tree").mkdir()
    for name in "abc":
        (tmp_path / "tree" / name).write_bytes(os.urandom(20_000))
    make_backup(new_local_repo(tmp_path / "repo"), "tree", cwd=tmp_path)
    repo = open_local(tmp_path / "repo")
    repo.load_index()
    return repo


def blob_of(repo: Repository, path: bytes) -> bytes:
    (blob,) = find_node(repo, latest(repo), path).content or ()
    return blob


def spoil(repo: Repository, blob: bytes) -> bytes:
    """Change a byte of a stored blob; return its pack."""
    (place,) = repo.index.lookup("data", blob)
    data = bytearray(repo.storage.get(pack_key(place.pack)))
    data[place.offset + 40] ^= 1
    repo.storage.put(pack_key(place.pack), data)
    return place.pack


def repair(repo: Repository, *packs: bytes) -> PackRepair:
    with lock_repository(repo, exclusive=True) as lock:
        return repair_packs(repo, packs, lock)


def test_whole_blobs_are_saved_and_a_new_backup_brings_back_the_rest(
    repo: Repository, tmp_path: Path, restic: str
) -> None:
    bad, good = blob_of(repo, b"/tree/b"), blob_of(repo, b"/tree/c")
    pack = spoil(repo, bad)
    result = repair(repo, pack)
    assert (result.saved, result.lost) == (2, [("data", bad)])
    assert not repo.index.has("data", bad)
    assert [place.pack != pack for place in repo.index.lookup("data", good)] == [True]
    assert repo.load_blob("data", good) == (tmp_path / "tree" / "c").read_bytes()
    make_backup(repo, "tree", cwd=tmp_path, force=True)
    result_of_check = check(open_local(tmp_path / "repo"), read_data=True)
    assert result_of_check.errors == []
    assert any("in no index file" in hint for hint in result_of_check.hints)
    Restic(restic, tmp_path / "repo").run("check")


def test_a_pack_that_is_gone_is_taken_out_of_the_index(repo: Repository) -> None:
    (place,) = repo.index.lookup("data", blob_of(repo, b"/tree/a"))
    repo.storage.delete(pack_key(place.pack))
    result = repair(repo, place.pack)
    assert (result.saved, len(result.lost)) == (0, 3)
    assert repo.index.blobs_in(place.pack) == []


def test_a_pack_that_ends_early_gives_its_start(repo: Repository) -> None:
    (place,) = repo.index.lookup("data", blob_of(repo, b"/tree/a"))
    data = repo.storage.get(pack_key(place.pack))
    repo.storage.put(pack_key(place.pack), data[:30_000])
    assert repair(repo, place.pack).saved == 1


def test_an_unknown_pack_is_refused_and_nothing_is_written(repo: Repository) -> None:
    before = repo.files.list("index")
    with pytest.raises(RepositoryError, match="lists no pack"):
        repair(repo, bytes(32))
    assert repo.files.list("index") == before


def test_the_command(run: Cli, tree: Path) -> None:
    run("backup", tree)
    repo = open_local(run.repo)
    repo.load_index()
    pack = next(total.id for total in repo.index.pack_totals() if total.data_blobs)
    summary = run.json("repair", "packs", pack.hex())
    assert summary["saved"] >= 1
    assert summary["lost"] == []
    assert run.json("check", "--read-data")["errors"] == []
    run("repair", "packs", "abc", code=2)
    run("repair", "packs", code=2)
