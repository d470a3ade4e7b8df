"""Trees for tests: walking a source, copying it to a target, comparing two folders with rsync."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository.entries import Entry, OpenFile, Problem, Source, Target

IS_ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not IS_ROOT, reason="only root may make devices and give files away")


def join(path: bytes, name: bytes) -> bytes:
    return path.rstrip(b"/") + b"/" + name


def walk(source: Source, *, may_complain: bool = False) -> dict[bytes, Entry]:
    """Return all entries by their tree path; unless it `may_complain`, problems fail the test."""
    found = {}
    waiting = [b"/"]
    while waiting:
        path = waiting.pop()
        listing = source.list_dir(path)
        assert may_complain or listing.problems == []
        assert [e.name for e in listing.entries] == sorted(e.name for e in listing.entries)
        for entry in listing.entries:
            found[join(path, entry.name)] = entry
            if entry.kind == "dir":
                waiting.append(join(path, entry.name))
    return found


def read_chunks(file: OpenFile, size: int = 1 << 20) -> Iterator[bytes]:
    buffer = memoryview(bytearray(size))
    while count := file.readinto(buffer):
        yield bytes(buffer[:count])


def copy(source: Source, target: Target, path: bytes = b"/", chunk: int = 1 << 20) -> list[Problem]:
    """Copy a tree as a restore would, but for hard links."""
    target.start_dir(path)
    listing = source.list_dir(path)
    problems = list(listing.problems)
    files = [join(path, entry.name) for entry in listing.entries if entry.kind == "file"]
    for file in source.open_files(files):
        assert not isinstance(file, Problem), file
        problems += target.write_file(file.path, file.entry, read_chunks(file, chunk))
        file.close()
    for entry in listing.entries:
        below = join(path, entry.name)
        if entry.kind == "dir":
            problems += copy(source, target, below, chunk)
            problems += target.finish_dir(below, entry)
        elif entry.kind != "file":
            problems += target.make_special(below, entry)
    return problems


def differences(one: Path, other: Path, *, links: bool = False) -> str:
    """Return what rsync would change in `other` to make it equal to `one`, "" if nothing.

    `links`: hard links count, too.
    """
    compare = [
        "-aHAXn" if links else "-aAXn",
        "--delete",
        "--checksum",
        "--modify-window=-1",
        "--itemize-changes",
    ]
    command = ["rsync", *compare, f"{one}/", f"{other}/"]
    return subprocess.run(command, check=True, capture_output=True, text=True, errors="replace").stdout
