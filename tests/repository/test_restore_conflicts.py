"""What a conflict rule does with names that come in each other's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.engine import make_backup, new_repo, restore_to


@pytest.mark.parametrize("start", ["x" * 250, "\u00e9" * 124])
def test_long_names_that_are_cut_to_the_same_get_a_place_each(tmp_path: Path, start: str) -> None:
    tree, out = tmp_path / "tree", tmp_path / "out"
    tree.mkdir()
    names = [f"{start}{number}" for number in range(3)]
    for name in names:
        (tree / name).write_text(f"content of {name}")
    repo = new_repo()
    make_backup(repo, "tree", cwd=tmp_path)
    restore_to(repo, out)
    for name in names:
        (out / "tree" / name).write_text("something else")

    result, problems = restore_to(repo, out, conflict="rename")

    assert (result.renamed, problems) == (3, [])
    found = sorted(path.read_text() for path in (out / "tree").iterdir())
    assert found == sorted([f"content of {name}" for name in names] + ["something else"] * 3)
