"""No secret lies in the project: what is tracked is searched for what keys and tokens look like."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.conftest import PROJECT

LOOKS_LIKE = {
    "private key": re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{40}"),
    "AWS key": re.compile(rb"\bAKIA(?!IOSFODNN7EXAMPLE)[0-9A-Z]{16}\b"),
    "token of ours": re.compile(rb"\bholdfast_[A-Za-z0-9_-]{43}\b"),
    "GitHub token": re.compile(rb"\b(ghp|gho|ghs|github_pat)_[A-Za-z0-9_]{30,}\b"),
    "Slack token": re.compile(rb"\bxox[abprs]-[0-9A-Za-z-]{20,}"),
    "sealed value": re.compile(rb"\bv1\.[0-9a-f]{8}\.[A-Za-z0-9_-]{40,}"),
}


def tracked() -> Iterator[str]:
    """Yield what git knows of, or, where this is no clone, every file of the project."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=False)
    if done.returncode == 0:
        yield from done.stdout.decode().strip("\0").split("\0")
        return
    skipped = {".venv", ".git", "data", "backups", "node_modules"}
    for path in PROJECT.rglob("*"):
        if path.is_file() and not skipped & set(path.relative_to(PROJECT).parts):
            yield str(path.relative_to(PROJECT))


def found_in(content: bytes) -> list[str]:
    return [name for name, pattern in LOOKS_LIKE.items() if pattern.search(content)]


def test_nothing_that_is_tracked_looks_like_a_secret() -> None:
    names = list(tracked())
    assert len(names) > 300
    found = {}
    for name in names:
        path = PROJECT / name
        if path.is_file() and not path.is_symlink() and (kinds := found_in(path.read_bytes())):
            found[name] = kinds
    assert found == {}


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN OPENSSH " + b"PRIVATE KEY-----\n" + b"A" * 70,
        b"key = AKIA" + b"Q" * 16,
        b"holdfast_" + b"a" * 43,
        b"ghp_" + b"a" * 36,
        b"v1.0123abcd." + b"A" * 60,
    ],
)
def test_the_search_finds_what_it_should(content: bytes) -> None:
    assert found_in(content)


def test_no_file_holds_the_marks_of_a_merge() -> None:
    """Outside Python nothing else would notice: a script breaks where it is needed first."""
    marks = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)
    assert [name for name in tracked() if marks.search((PROJECT / name).read_bytes())] == []
