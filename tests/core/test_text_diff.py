"""Two texts line by line, secrets masked but their change seen."""

from __future__ import annotations

import time

import pytest

from core import text_diff
from core.text_diff import Line, as_text, diff_lines


def test_what_differs_is_shown_with_lines_around() -> None:
    old = "".join(f"line {number}\n" for number in range(30))
    lines, more, hidden = diff_lines("/etc/x", old, old.replace("line 17\n", "other\n"), reveal=False)
    assert lines == [
        Line("@", "line 15"),
        *(Line(" ", f"line {number}") for number in (14, 15, 16)),
        Line("-", "line 17"),
        Line("+", "other"),
        *(Line(" ", f"line {number}") for number in (18, 19, 20)),
    ]
    assert (more, hidden) == (False, False)


def test_a_changed_secret_is_seen_and_not_shown() -> None:
    lines, _, hidden = diff_lines("/etc/x", "a=1\nTOKEN=old\n", "a=1\nTOKEN=new\n", reveal=False)
    assert hidden
    assert [(line.sign, line.text) for line in lines if line.sign in "+-"] == [
        ("-", "TOKEN=********"),
        ("+", "TOKEN=********"),
    ]
    lines, _, hidden = diff_lines("/etc/x", "TOKEN=old\n", "TOKEN=new\n", reveal=True)
    assert ([line.text for line in lines if line.sign == "+"], hidden) == (["TOKEN=new"], False)


def test_a_missing_line_end_and_odd_characters_are_seen() -> None:
    lines, _, _ = diff_lines("/etc/x", "a", "a\n", reveal=False)
    assert [line.text for line in lines if line.sign != "@"] == ["a  [no line end]", "a"]
    lines, _, _ = diff_lines("/etc/x", "", "\x1b[2J\r\tx\n", reveal=False)
    assert lines[-1].text == "\\x1b[2J\\r\tx"


def test_equal_texts_have_no_lines() -> None:
    assert diff_lines("/etc/x", "a\n", "a\n", reveal=False) == ([], False, False)
    assert diff_lines("/etc/x", "", "", reveal=False)[0] == []


def test_long_texts_are_cut_and_it_is_said() -> None:
    text = "".join(f"{number}\n" for number in range(text_diff.MOST_LINES + 1))
    lines, more, _ = diff_lines("/etc/x", "", text, reveal=False)
    assert more
    assert len(lines) <= 2_000


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\n", "plain\n"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("wide Ä".encode("utf-16"), "wide Ä"),
        (b"latin \xe4\xf6\n", "latin äö\n"),
        (b"\x1b[1mcolours\x1b[0m", "\x1b[1mcolours\x1b[0m"),
        (b"\x00\x01", None),
        (b"\x89PNG\r\n\x1a\n\xff", None),
        (b"\xff\xfeodd\xd8\x00", None),
    ],
)
def test_text_is_told_from_what_is_none(content: bytes, text: str | None) -> None:
    assert as_text(content) == text


def test_texts_that_share_little_are_shown_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_diff, "_MOST_COMPARED", 4)
    old, new = "a\nb\n1\n2\n3\nz\n", "a\nb\n3\n2\n1\nz\n"
    lines, more, _ = diff_lines("/etc/x", old, new, reveal=False)
    assert [f"{line.sign}{line.text}" for line in lines] == [
        "@line 1", " a", " b", "-1", "-2", "-3", "+3", "+2", "+1", " z",
    ]  # fmt: skip
    assert not more


def test_the_worst_of_texts_take_no_longer_than_a_page_may() -> None:
    old = "".join(f"{number}\n" for number in range(20_000))
    new = "".join(f"{number * 7919 % 20_011}\n" for number in range(20_000))
    begun = time.process_time()
    _, more, _ = diff_lines("/etc/x", old, new, reveal=False)
    assert more
    assert time.process_time() - begun < 5
