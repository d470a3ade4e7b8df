"""Several sources in one snapshot: all is there once, under its place, and restic sees it, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository.backup import BackupOptions, backup
from repository.browse import find_node, read_file, walk
from repository.entries import Problem, Source, SourceUnavailable
from repository.locks import lock_repository
from repository.repository import Repository
from sources.combined import CombinedSource, Placed
from sources.config_bundle.environment import EnvironmentOptions
from sources.config_bundle.source import DOCUMENT, EnvironmentSource
from sources.local import LocalSource
from tests.repository.engine import latest, new_repo


def store(repo: Repository, source: Source) -> list[Problem]:
    problems: list[Problem] = []
    with lock_repository(repo) as lock:
        backup(repo, source, BackupOptions(), lock, report=problems.append)
    return problems


def environment() -> EnvironmentSource:
    return EnvironmentSource(EnvironmentOptions({"A": "1"}, packages=False, services=False), hostname="h")


def files_of(repo: Repository) -> dict[bytes, bytes]:
    snapshot = latest(repo)
    nodes = walk(repo, find_node(repo, snapshot, b"/"))
    return {path: b"".join(read_file(repo, node)) for path, node in nodes if node.type == "file"}


def test_files_of_all_parts_are_stored_and_read_again_next_time(tmp_path: Path) -> None:
    (tmp_path / "holdfast").mkdir()
    (tmp_path / "holdfast" / "mine").write_text("file")
    (tmp_path / "other").write_text("file 2")
    parts = [LocalSource(["holdfast", "other"], cwd=bytes(tmp_path)), environment()]
    repo = new_repo()
    for _ in range(2):
        assert store(repo, CombinedSource(parts)) == []
        found = files_of(repo)
        assert found.keys() == {b"/holdfast/mine", DOCUMENT, b"/other"}
        assert (found[b"/holdfast/mine"], found[b"/other"]) == (b"file", b"file 2")
        assert b'"A": "1"' in found[DOCUMENT]
    assert list(latest(repo).paths) == [
        str(tmp_path / "holdfast"),
        str(tmp_path / "other"),
        DOCUMENT.decode(),
    ]


def test_a_part_can_stand_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    placed = Placed(environment(), b"/parts/of/it", 0)
    repo = new_repo()
    assert store(repo, CombinedSource([LocalSource(["x"], cwd=bytes(tmp_path)), placed])) == []
    assert files_of(repo).keys() == {b"/x", b"/parts/of/it" + DOCUMENT}


def test_a_problem_of_a_placed_part_names_its_place(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("x")
    options = EnvironmentOptions(units=["no-such.service"], packages=False, services=False)
    problems = store(new_repo(), Placed(EnvironmentSource(options), b"/at", 0))
    assert [(problem.path, problem.loses_data) for problem in problems] == [(b"/at" + DOCUMENT, True)]


def test_one_name_in_two_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "holdfast").mkdir()
    (tmp_path / "holdfast" / "environment.json").write_text("mine")
    repo = new_repo()
    with pytest.raises(SourceUnavailable, match=r"two parts of this backup hold /holdfast/environment\.json"):
        store(repo, CombinedSource([LocalSource(["holdfast"], cwd=bytes(tmp_path)), environment()]))
    assert list(repo.list_snapshots()) == []


def test_a_part_that_is_missing_fails_all(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="does not exist"):
        store(new_repo(), CombinedSource([LocalSource([str(tmp_path / "no")]), environment()]))
    with pytest.raises(SourceUnavailable):
        CombinedSource([])
