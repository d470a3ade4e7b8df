"""Rules: sizes, tag files, exclude files; what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository.entries import SourceUnavailable
from sources.patterns import PatternError
from sources.rules import Rules, parse_exclude_lines, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("100", 100), ("100b", 100), ("1k", 1024), ("5M", 5 << 20), ("2g", 2 << 30), ("1T", 1 << 40)],
)
def test_a_size(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "1.5M", "1 M", "1P", "1kk", "١"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


def test_a_tag_file_needs_a_name() -> None:
    for spec in ("", ":header"):
        with pytest.raises(ValueError, match="name of a file"):
            Rules(exclude_if_present=(spec,))
    assert Rules(exclude_if_present=("a:b:c",)).tags == ((b"a", b"b:c"),)


def test_bad_patterns_are_refused_when_rules_are_made() -> None:
    for bad in ({"exclude": ("[",)}, {"iexclude": ("a[",)}):
        with pytest.raises(PatternError, match="is not valid"):
            Rules(**bad)


def test_bytes_that_are_not_utf8_stay_as_they_are() -> None:
    assert parse_exclude_lines(b"\xff*\n $D/\xfe \n", {"D": "\udcfd"}) == [b"\xff*", b"\xfd/\xfe"]


def test_an_exclude_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"exclude file .*/gone: No such file"):
        Rules().with_files([str(tmp_path / "gone")], environ={})


def test_an_exclude_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x" * 70_000)
    with pytest.raises(PatternError, match="image: a line is longer than 64 KiB"):
        Rules().with_files([str(tmp_path / "image")], environ={})


def test_patterns_of_files_come_after_those_given(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("1\n2\n")
    (tmp_path / "two").write_text("$X\n")
    rules = Rules(exclude=("0",), iexclude=("a",))
    rules = rules.with_files([str(tmp_path / "one")], [str(tmp_path / "two")], environ={"X": "b"})
    assert rules.exclude == ("0", b"1", b"2")
    assert rules.iexclude == ("a", b"b")
