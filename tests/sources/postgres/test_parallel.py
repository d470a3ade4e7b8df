"""Parallel dumps, which go through files: the same data, no file left, and no room is said before."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from repository.browse import list_dir
from sources.postgres.dump import DumpOptions
from sources.postgres.errors import DumpFailed, NoWorkRoom
from sources.postgres.restore import Dump, RestoreOptions, restore_to_new
from sources.postgres.source import DATABASES, PostgresSource
from tests.repository.engine import latest, new_repo, restore_to
from tests.servers.postgres import Cluster
from tests.sources.postgres.making import HURTING, back_up, contents, store


def test_a_parallel_dump_comes_back_whole(postgres: Cluster, database: str, tmp_path: Path) -> None:
    work, restored = tmp_path / "work", tmp_path / "restored"
    work.mkdir()
    stale = work / "holdfast-dump-stale"
    stale.mkdir()
    (stale / "x").write_text("of a backup that was killed")
    postgres.run(*HURTING, database=database)
    point = back_up(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(work)))
    assert point.problems == []
    assert os.listdir(work) == []
    record = point.manifest.find(database)
    assert record is not None
    assert (record.file, record.rows_unknown) == (f"databases/{database}.dir", "")
    restore_to(point.repo, restored)
    dump = Dump(point.manifest, record, [], folder=str(restored / record.file))
    result = restore_to_new(postgres.tcp, dump, f"{database}_new", RestoreOptions(jobs=2))
    try:
        assert result.errors == []
        assert result.complete
        assert contents(postgres, f"{database}_new") == contents(postgres, database)
    finally:
        postgres.drop(f"{database}_new")


def test_the_files_of_a_dump_are_in_the_point(postgres: Cluster, database: str, tmp_path: Path) -> None:
    postgres.run("CREATE TABLE t AS SELECT 1 AS x", database=database)
    point = back_up(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(tmp_path)))
    folder = DATABASES + b"/" + database.encode() + b".dir"
    names = {node.name for node in list_dir(point.repo, latest(point.repo), folder)}
    assert b"toc.dat" in names
    assert len(names) == 2


def test_too_little_room_is_told_before_anything_is_written(
    postgres: Cluster, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(1 << 40, 1 << 40, 1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    repo = new_repo()
    with pytest.raises(NoWorkRoom, match=r"bytes in .* are free"):
        back_up(postgres.tcp, [database], repo=repo, options=DumpOptions(jobs=2, work_folder=str(tmp_path)))
    assert list(repo.list_snapshots()) == []
    with pytest.raises(NoWorkRoom, match="choose a folder"):
        DumpOptions(jobs=2)
    with pytest.raises(NoWorkRoom, match="No such file or directory"):
        back_up(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(tmp_path / "no")))


def test_a_file_that_is_lost_on_the_way_makes_no_snapshot(
    postgres: Cluster, database: str, tmp_path: Path
) -> None:
    postgres.run("CREATE TABLE t AS SELECT 1 AS x", database=database)
    source = PostgresSource(postgres.tcp, [database], options=DumpOptions(jobs=2, work_folder=str(tmp_path)))
    true_list = source.list_dir

    def list_and_lose(path: bytes) -> object:
        listing = true_list(path)
        for file in tmp_path.glob("*/*/toc.dat"):
            file.unlink()
        return listing

    source.list_dir = list_and_lose  # type: ignore[assignment, method-assign]
    repo = new_repo()
    with pytest.raises(DumpFailed, match=r"toc\.dat cannot be opened"):
        store(source, repo)
    assert list(repo.list_snapshots()) == []
    del source
