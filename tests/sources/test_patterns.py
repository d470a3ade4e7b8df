"""Patterns: what they mean, and that the fast way of matching gives what the plain one gives."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sources.patterns import PatternError, PatternList, _matches, clean, fold, parse

# Each was tried on restic 0.14: (patterns, path, left out).
CASES = [
    (["a"], "/x/a", True),
    (["a"], "/x/a/below", True),
    (["a"], "/x/ab", False),
    (["/a"], "/x/a", False),
    (["/x/a"], "/x/a", True),
    (["/x"], "/x/a/b", True),
    (["x/a"], "/y/x/a/b", True),
    (["x/b"], "/x/a/b", False),
    (["/x/a/"], "/x/a", True),
    (["./a"], "/x/a", True),
    (["../a"], "/x/a", False),
    (["//x//a"], "/x/a", True),
    (["*.txt"], "/x/n.txt", True),
    (["*.txt"], "/x/n.TXT", False),
    (["*"], "/x", True),
    (["/*"], "/x/y", True),
    (["/*/a"], "/x/a", True),
    (["/*/a"], "/x/y/a", False),
    (["/x/**/a"], "/x/a", True),
    (["/x/**/a"], "/x/y/z/a", True),
    (["**/a"], "/a", True),
    (["a/**"], "/x/a", True),
    (["/"], "/x", True),
    (["**"], "/x", True),
    (["a**b"], "/acb", True),
    (["a?c"], "/aéc", True),
    (["a??c"], "/aéc", False),
    (["[^a]"], "/b", True),
    (["[!a]"], "/b", False),
    (["[a-c]x"], "/bx", True),
    (["[ä-ü]"], "/ö", True),
    (["[ä-ü]"], "/z", False),
    (["\\*"], "/*", True),
    (["\\*"], "/x", False),
    (["*.log", "!keep.log"], "/x/keep.log", False),
    (["!keep.log", "*.log"], "/x/keep.log", True),
    (["*", "!keep"], "/keep/inside", False),
    (["!a"], "/a", False),
    (["\\!a"], "/!a", True),
    (["#a"], "/#a", True),
    ([""], "/a", False),
    # Bytes that are not UTF-8 are one character each; a star may end within a character.
    (["?"], "/\udcff", True),
    (["?"], "/\udcff\udcfe", False),
    (["[^a]"], "/\udcff", True),
    (["[\ufffd]"], "/\udcff", True),
    (["[\ufffd]"], "/x", False),
    (["*??"], "/€", True),
    (["q*?*??"], "/q😀", False),
    # As restic does it, though one would not expect it: too few ways of filling two ** are tried.
    (["/a/**/b/**/c"], "/a/b/x/c", True),
    (["/a/**/b/**/c"], "/a/x/b/c", False),
    (["/a/**/**/b"], "/a/b", False),
]


@pytest.mark.parametrize(("patterns", "path", "expected"), CASES)
def test_a_path_is_matched_as_by_restic(patterns: list[str], path: str, expected: bool) -> None:
    assert (PatternList(patterns).match(os.fsencode(path)) is not None) == expected


def test_the_pattern_that_decided_is_named_as_it_was_written() -> None:
    patterns = PatternList(["*.Log", "!x", "TMP"], ignore_case=True)
    assert patterns.match(b"/a/b.LOG") == b"*.Log"
    assert patterns.match(b"/a/tmp") == b"TMP"
    assert patterns.match(b"/a/x") is None


@pytest.mark.parametrize("bad", ["[", "[]", "[a", "a[b-]", "[-a]", "x/\\", "!ok/[", "[\udcff]", "**/["])
def test_what_restic_refuses_is_refused_and_named(bad: str) -> None:
    with pytest.raises(PatternError, match="is not valid") as caught:
        PatternList(["fine", bad])
    assert repr(bad) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("AbC", "abc"),
        ("ÄÉ", "äé"),
        ("ΑΣ", "ασ"),
        ("İx", "ix"),
        ("\udcff\udcc3Z", "\ufffd\ufffdz"),
    ],
)
def test_case_is_folded_as_go_does_it(name: str, folded: str) -> None:
    assert fold(name.encode("utf-8", "surrogateescape")) == folded.encode()


@pytest.mark.parametrize(
    ("path", "cleaned"), [(b"//a", b"/a"), (b"", b"."), (b"a/../..", b".."), (b"/..", b"/"), (b"/", b"/")]
)
def test_a_path_is_cleaned_as_go_does_it(path: bytes, cleaned: bytes) -> None:
    assert clean(path) == cleaned


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/a/b", "/a", (False, True)),
        ("/a/b", "/a/b", (True, True)),
        ("/a/b", "/a/b/c", (True, True)),
        ("/a/b", "/c", (False, False)),
        ("/a/**/c", "/a/x/y", (False, True)),
        ("b", "/a", (False, True)),
    ],
)
def test_an_include_tells_where_to_go_on(pattern: str, path: str, expected: tuple[bool, bool]) -> None:
    assert PatternList([pattern]).select(path.encode()) == expected


NAMES = st.sampled_from([b"a", b"b", b"ab", b"A", "é".encode(), b"\xff", b"a.b"])
PARTS = st.sampled_from([b"a", b"b", b"*", b"?", b"**", b"a*", b"*b", b"[^a]", b"a.*", b"*.b", b"."])
PATTERNS = st.builds(
    lambda negated, anchored, parts: negated + anchored + b"/".join(parts),
    st.sampled_from([b"", b"", b"!"]),
    st.sampled_from([b"", b"/"]),
    st.lists(PARTS, min_size=1, max_size=5),
)


def plainly(patterns: list[bytes], names: list[bytes]) -> bool:
    """Do what restic's code does, one pattern after the other."""
    matched = False
    for pattern in map(parse, patterns):
        hit = _matches(pattern, names)
        matched = matched and not hit if pattern.negated else matched or hit
    return matched


@given(st.lists(PATTERNS, min_size=1, max_size=4), st.lists(NAMES, min_size=1, max_size=6))
def test_the_fast_way_gives_what_the_plain_one_gives(patterns: list[bytes], names: list[bytes]) -> None:
    found = PatternList(patterns).match(b"/" + b"/".join(names))
    assert (found is not None) == plainly(patterns, names)
