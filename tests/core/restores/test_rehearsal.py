"""What is said before a restore is what the restore does; and saying it writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from core.errors import Invalid, Refused
from core.models import Point
from core.points import points
from core.points.tokens import token_from_path
from core.restores import rehearsal, restores
from tests.core.making import back_up, make_config, make_storage, make_tree, run

pytestmark = pytest.mark.usefixtures("context")

FILES = 5


@pytest.fixture
def point(tmp_path: Path) -> Point:
    """Return the point of a small tree at tmp_path/tree."""
    make_storage(tmp_path)
    config = make_config(make_tree(tmp_path / "tree", FILES))
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    return found


def wanted(point: Point, tmp_path: Path, **more: object) -> restores.RestoreInput:
    return restores.validate({"point_id": point.id, "target_path": str(tmp_path / "out"), **more})


def restored(tmp_path: Path) -> list[Path]:
    return sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())


def test_into_a_new_folder_all_is_new_and_nothing_is_made(point: Point, tmp_path: Path) -> None:
    found = rehearsal.rehearse(wanted(point, tmp_path))
    assert (found.new, found.replaced, found.kept, found.beside) == (FILES, 0, 0, 0)
    assert (found.bytes, found.whole, found.compared) == (point.bytes, True, True)
    assert found.free_bytes
    assert found.fits
    assert not (tmp_path / "out").exists()


def spoil(tmp_path: Path) -> None:
    """Of what was restored take one away, make one older and another, and leave the others as they are."""
    first, second, *_ = restored(tmp_path)
    first.unlink()
    second.write_text("other\n")
    os.utime(second, (1, 1))


def test_each_rule_is_told_as_it_is_done(point: Point, tmp_path: Path) -> None:
    run(restores.create(wanted(point, tmp_path)))
    spoil(tmp_path)
    before = {path: path.read_bytes() for path in restored(tmp_path)}
    rules = {"keep": (0, 0), "replace": (4, 3), "replace-if-older": (1, 0), "rename": (0, 0)}
    for rule, (replaced, same) in rules.items():
        given = wanted(point, tmp_path, conflict=rule)
        found = rehearsal.rehearse(given)
        assert (found.new, found.replaced, found.same, found.looked_at) == (1, replaced, same, FILES), rule
        named = [Path(path).name for path in found.replaced_paths]
        assert named == ([restored(tmp_path)[0].name] if replaced else [])
    assert {path: path.read_bytes() for path in restored(tmp_path)} == before
    row = restores.of_job(run(restores.create(given)).id)
    assert (found.kept, found.beside, found.bytes) == (row.kept, row.renamed, row.bytes)


def test_what_takes_too_long_is_said_to_be_a_part(point: Point, tmp_path: Path) -> None:
    found = rehearsal.rehearse(wanted(point, tmp_path), most_s=-1)
    assert not found.whole
    assert found.looked_at == 0


def test_what_cannot_be_is_refused_as_by_the_restore(point: Point, tmp_path: Path) -> None:
    own = restores.validate({"point_id": point.id, "target_path": str(tmp_path / "backups")})
    with pytest.raises(Invalid) as refused:
        rehearsal.rehearse(own)
    assert list(refused.value.fields) == ["target_path"]
    with pytest.raises(Refused):
        rehearsal.rehearse(wanted(point, tmp_path), limited=True)
    with pytest.raises(Invalid, match="Choose again"):
        rehearsal.rehearse(wanted(point, tmp_path, include=[token_from_path(b"/not/there")]))
    one = tmp_path / "tree" / "sub" / "1.txt"
    found = rehearsal.rehearse(wanted(point, tmp_path, include=[token_from_path(os.fsencode(one))]))
    assert (found.new, found.bytes) == (1, one.stat().st_size)
