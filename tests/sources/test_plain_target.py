"""A target without rights: the engine sees what the one within can, on any Python, and no more."""

from __future__ import annotations

import inspect
import stat
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from repository.entries import Entry, LateTarget, LeftOut
from repository.restore_compare import HashingTarget, ReadableTarget
from repository.restore_measure import MeasuringTarget
from sources.local_target import LocalTarget
from sources.plain_target import PlainTarget, plain

SETUID = Entry(b"f", "file", 0o4755, 10**18, size=1, xattrs=((b"security.capability", b"x"),))


class Late(LocalTarget):
    """Compares by hashes, and leaves something out at the end."""

    left_out: Sequence[LeftOut] = (LeftOut(b"/f", kept=True, files=1),)
    asked: Entry | None = None
    open_file = None  # type: ignore[assignment]

    def has_content(self, path: bytes, entry: Entry, chunks: Sequence[tuple[int, bytes]]) -> bool:
        self.asked = entry
        return True


def has(target: object, protocol: Any) -> bool:
    """Tell whether a target is one of a protocol, as Python 3.12 and later look: past __getattr__."""
    members = [name for name in vars(protocol) if not name.startswith("_")]
    assert members
    return all(inspect.getattr_static(target, name, None) is not None for name in members)


def test_what_the_inner_one_can_is_seen_without_getattr(tmp_path: Path) -> None:
    late, local = plain(Late(tmp_path)), plain(LocalTarget(tmp_path))
    protocols = (MeasuringTarget, LateTarget, HashingTarget, ReadableTarget)
    assert [has(late, each) for each in protocols] == [True, True, True, False]
    assert [has(local, each) for each in protocols] == [True, True, False, True]
    assert [isinstance(late, each) for each in protocols] == [True, True, True, False]
    assert [isinstance(local, each) for each in protocols] == [True, True, False, True]
    assert late.left_out == Late.left_out
    assert local.left_out == ()


def test_sizes_are_told_whether_or_not_the_inner_one_measures(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    inner: Any = LocalTarget(tmp_path)
    slow: Any = SimpleNamespace(existing=inner.existing)
    for target in (plain(inner), PlainTarget(slow)):
        assert (target.size(b"/f"), target.size(b"/none")) == (3, None)


def test_rights_are_neither_compared_nor_given_to_a_file_that_is_left(tmp_path: Path) -> None:
    late = Late(tmp_path)
    hashing: Any = plain(late)
    assert hashing.has_content(b"/f", SETUID, [])
    assert late.asked is not None
    assert (late.asked.mode, late.asked.xattrs) == (0o755, ())
    (tmp_path / "f").write_bytes(b"a")
    readable: Any = plain(LocalTarget(tmp_path, owner=False))
    readable.describe_file(b"/f", SETUID)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o755
    with readable.open_file(b"/f") as file:
        assert file.read() == b"a"


@pytest.mark.parametrize("name", ["splittable", "flushing_early"])
def test_nothing_else_is_passed_on(tmp_path: Path, name: str) -> None:
    assert not hasattr(plain(LocalTarget(tmp_path)), name)
