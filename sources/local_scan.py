"""Look at a whole local tree as fast as Python can: a fingerprint for each directory, and nothing else."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from repository.entries import ScannedDir
from sources.fingerprints import Row, fingerprint, folders_of, status_of
from sources.local_listing import ENCODING, ERRORS
from sources.roots import Branch
from sources.selection import DirSelection, Selection

_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def scan(root: Branch, selection: Selection) -> Iterator[ScannedDir]:
    """Yield every directory at or below the targets, each before those in it. Raises OSError at a target.

    The fingerprint is the one that list_directory gives, b"" where something could not be looked at. By path,
    not by way of open directories, so that it fails beyond PATH_MAX; then, too, it is b"".
    """
    for path, real in _tops(root, b""):
        if not stat.S_ISDIR(os.lstat(real).st_mode):
            continue
        stack = [(path, real)]
        while stack:
            path, place = stack.pop()
            scanned = _scan_dir(path, place, real, selection)
            yield scanned
            stack += [(path + b"/" + name, place + b"/" + name) for name in scanned.folders]


def _tops(branch: Branch, path: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield tree path and real path of each target that leads to no other one."""
    if branch.is_target and not branch.children:
        yield path, branch.real
        return
    names = set(branch.children)
    if branch.is_target:
        names.update(os.listdir(branch.real))
    for name in sorted(names):
        yield from _tops(branch.child(name), path + b"/" + name)


def _scan_dir(path: bytes, real: bytes, target: bytes, selection: Selection) -> ScannedDir:
    fd = -1
    try:
        fd = os.open(real, _DIR_FLAGS)
        rules = None if selection.lets_all_in else selection.in_dir(real, fd, target)
        rows = _rows(fd, rules)
    except OSError:
        return ScannedDir(path, b"", ())  # the listing, which follows, tells of it
    finally:
        if fd >= 0:
            os.close(fd)
    return ScannedDir(path, b"" if rules and rules.problems else fingerprint(rows), folders_of(rows))


def _rows(fd: int, rules: DirSelection | None) -> list[Row]:
    """Return name and status of each entry that the rules leave in, ascending. Raises OSError."""
    with os.scandir(fd) as found:
        if rules is None:
            return sorted(
                [
                    (entry.name.encode(ENCODING, ERRORS), status_of(entry.stat(follow_symlinks=False)))
                    for entry in found
                ]
            )
        rows = []
        for entry in found:
            name = entry.name.encode(ENCODING, ERRORS)
            if rules.by_name(name) is None:
                st = entry.stat(follow_symlinks=False)
                if rules.by_stat(name, st) is None:
                    rows.append((name, status_of(st)))
    return sorted(rows)
