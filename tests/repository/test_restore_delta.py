"""Restore onto what stands there: equal files are left alone, the others replaced; a preview says which."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repository.entries import Problem
from repository.repository import Repository
from repository.restore import RestoreOptions
from repository.restore_compare import preview, verify
from sources.local_target import LocalTarget
from tests.repository.engine import differences, latest, make_backup, new_repo, restore_to


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    """A repository with one snapshot of `tree`, which stands restored in `out`."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "large").write_bytes(os.urandom(3_000_000))
    (tree / "empty").write_bytes(b"")
    (tree / "sub" / "small").write_bytes(b"small")
    repo = new_repo()
    make_backup(repo, "tree", cwd=tmp_path)
    restore_to(repo, tmp_path / "out", strip=b"/tree")
    return repo


def test_equal_files_are_left_alone_and_described_anew(repo: Repository, tmp_path: Path) -> None:
    large = tmp_path / "out" / "large"
    before = large.stat().st_ino
    large.chmod(0o600)
    os.utime(large, (1, 1))
    os.setxattr(large, "user.added", b"later")
    result, problems = restore_to(repo, tmp_path / "out", strip=b"/tree")
    assert (result.files, result.unchanged, result.bytes, problems) == (3, 3, 0, [])
    assert large.stat().st_ino == before
    assert differences(tmp_path / "tree", tmp_path / "out") == ""


def test_a_byte_that_differs_is_noticed_in_spite_of_size_and_time(repo: Repository, tmp_path: Path) -> None:
    large = tmp_path / "out" / "large"
    times = large.stat()
    with large.open("r+b") as file:
        file.seek(2_999_999)
        last = file.read(1)
        file.seek(2_999_999)
        file.write(bytes([last[0] ^ 1]))
    os.utime(large, ns=(times.st_atime_ns, times.st_mtime_ns))
    result, _ = restore_to(repo, tmp_path / "out", strip=b"/tree")
    assert (result.files, result.unchanged, result.bytes) == (3, 2, 3_000_000)
    assert large.read_bytes() == (tmp_path / "tree" / "large").read_bytes()


def test_a_file_with_another_name_is_written_anew(repo: Repository, tmp_path: Path) -> None:
    """Or the metadata of the other name would change, too."""
    os.link(tmp_path / "out" / "sub" / "small", tmp_path / "elsewhere")
    (tmp_path / "elsewhere").chmod(0o444)
    result, _ = restore_to(repo, tmp_path / "out", strip=b"/tree")
    assert result.unchanged == 2
    assert (tmp_path / "elsewhere").stat().st_mode & 0o777 == 0o444


def test_a_link_in_the_way_is_replaced_and_not_read_through(repo: Repository, tmp_path: Path) -> None:
    small = tmp_path / "out" / "sub" / "small"
    small.rename(tmp_path / "outside")
    os.utime(tmp_path / "outside", (5, 5))
    small.symlink_to(tmp_path / "outside")
    result, _ = restore_to(repo, tmp_path / "out", strip=b"/tree")
    assert result.unchanged == 2
    assert not small.is_symlink()
    assert (tmp_path / "outside").stat().st_mtime == 5


def test_without_delta_all_is_written(repo: Repository, tmp_path: Path) -> None:
    result, _ = restore_to(repo, tmp_path / "out", strip=b"/tree", delta=False)
    assert (result.unchanged, result.bytes) == (0, 3_000_005)


def test_a_preview_says_what_would_be_done_and_does_nothing(repo: Repository, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "sub" / "small").unlink()
    (out / "sub").rmdir()
    (out / "empty").write_bytes(b"full")
    os.utime(out, (7, 7))
    target = LocalTarget(str(out))
    steps = list(preview(repo, latest(repo), target, RestoreOptions(strip=b"/tree")))
    assert [(step.verb, step.path) for step in steps] == [
        ("replace", b"/empty"),
        ("unchanged", b"/large"),
        ("make", b"/sub"),
        ("write", b"/sub/small"),
    ]
    assert (out / "empty").read_bytes() == b"full"
    assert sorted(os.listdir(out)) == ["empty", "large"]
    assert out.stat().st_mtime == 7


def test_a_preview_names_what_would_be_kept(repo: Repository, tmp_path: Path) -> None:
    target = LocalTarget(str(tmp_path / "out"))
    options = RestoreOptions(strip=b"/tree", conflict="keep")
    steps = list(preview(repo, latest(repo), target, options))
    assert [(step.verb, step.path) for step in steps] == [
        ("keep", b"/empty"),
        ("keep", b"/large"),
        ("keep", b"/sub/small"),
    ]


def test_a_preview_makes_no_target(repo: Repository, tmp_path: Path) -> None:
    steps = list(preview(repo, latest(repo), LocalTarget(str(tmp_path / "new"))))
    assert [step.verb for step in steps].count("write") == 3
    assert not (tmp_path / "new").exists()


def test_verify_finds_what_differs_or_is_gone_and_follows_no_link(repo: Repository, tmp_path: Path) -> None:
    out = tmp_path / "out"
    target = LocalTarget(str(out))
    options = RestoreOptions(strip=b"/tree")
    told: list[Problem] = []
    assert verify(repo, latest(repo), target, options, told.append) == 0
    with (out / "large").open("r+b") as file:
        file.write(b"spoilt")
    (out / "empty").write_bytes(b"longer")
    (out / "sub").rename(tmp_path / "moved")
    (out / "sub").symlink_to(tmp_path / "moved")
    assert verify(repo, latest(repo), LocalTarget(str(out)), options, told.append) == 3
    assert sorted(each.path for each in told) == [b"/empty", b"/large", b"/sub/small"]
