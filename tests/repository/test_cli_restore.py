"""The command `restore` in place, and what it says before it does it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from tests.repository.test_cli import Cli, run, tree

__all__ = ["run", "tree"]


def test_a_restore_in_place_brings_back_what_is_gone_and_leaves_the_rest(
    run: Cli, tree: Path, tmp_path: Path
) -> None:
    run("backup", tree)
    (tree / "folder" / "b.log").unlink()
    (tree / "a.txt").write_bytes(b"changed")
    (tree / "newer").write_bytes(b"not in the snapshot")
    kept = (tree / "folder" / "C.TMP").stat().st_ino
    above = os.stat(tmp_path).st_mtime_ns
    summary = run.json("restore", "latest", "--target", "/", "--include", tree)
    assert (summary["files_restored"], summary["files_unchanged"]) == (5, 3)
    assert (tree / "a.txt").read_bytes() == b"text of a"
    assert (tree / "folder" / "b.log").exists()
    assert (tree / "newer").exists()
    assert (tree / "folder" / "C.TMP").stat().st_ino == kept
    assert os.stat(tmp_path).st_mtime_ns == above


def test_dry_run_says_what_would_be_done(run: Cli, tree: Path) -> None:
    run("backup", tree)
    (tree / "folder" / "b.log").unlink()
    (tree / "a.txt").write_bytes(b"changed")
    answer = run("restore", "latest", "--target", "/", "--include", tree, "--dry-run", "--json")
    messages = [json.loads(line) for line in answer.splitlines()]
    said = {each["item"].removeprefix(f"{tree}/"): each["action"] for each in messages[:-1]}
    assert said == {
        "a.txt": "updated",
        "cache/CACHEDIR.TAG": "unchanged",
        "cache/cached": "unchanged",
        "folder/C.TMP": "unchanged",
        "folder/b.log": "restored",
    }
    assert messages[-1]["bytes_to_write"] == 4000 + len(b"text of a")
    assert (tree / "a.txt").read_bytes() == b"changed"
    assert "replace" in run("restore", "latest", "--target", "/", "--include", tree, "-n")


def test_dry_run_has_nothing_to_verify(run: Cli, tree: Path, tmp_path: Path) -> None:
    run("restore", "latest", "--target", tmp_path, "--dry-run", "--verify", code=2)
    assert "leave one of them out" in run.errors
