"""Listing directories of this machine: names, one lstat each, extended attributes, rules."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Container

from repository.entries import Entry, Excluded, Kind, Listing, Problem
from sources.fingerprints import Row, fingerprint, newest_ctime, status_of
from sources.local_file import problem_from
from sources.local_read import SmallFiles
from sources.metadata import KINDS, entry_from_stat, read_xattrs
from sources.roots import Branch
from sources.selection import DirSelection, Selection

# What os.fsencode does, without its price.
ENCODING, ERRORS = sys.getfilesystemencoding(), sys.getfilesystemencodeerrors()
_LONG_PATH = 4096 - 256  # PATH_MAX, less the longest name


def list_directory(fd: int, path: bytes, rules: DirSelection, small: SmallFiles | None = None) -> Listing:
    """List an open directory; `path` is its tree path, for problems. Raises OSError.

    What `small` reads is not among the entries, but counts for the fingerprint.
    """
    listing = Listing([], list(rules.problems))
    with os.scandir(fd) as found:
        names = sorted([(entry.name.encode(ENCODING, ERRORS), entry) for entry in found])
    prefix = _prefix(fd, rules.path)
    rows: list[Row] = []
    all_in = rules.lets_all_in
    for name, entry in names:
        try:
            if not all_in and (rule := rules.by_name(name)) is not None:
                listing.excluded.append(Excluded(name, _kind(entry), rule))
                continue
            st = entry.stat(follow_symlinks=False)
            if not all_in and (rule := rules.by_stat(name, st)) is not None:
                listing.excluded.append(Excluded(name, KINDS[st.st_mode & 0o170000], rule))
                continue
            status = status_of(st)
            rows.append((name, status))
            if small is not None and small.read(fd, name, st, status):
                continue
            _describe(listing, fd, prefix, path, (name, name), st)
        except OSError as err:
            listing.problems.append(problem_from(os.path.join(path, name), err))
    if not listing.problems:
        listing.fingerprint, listing.newest_ns = fingerprint(rows), newest_ctime(rows)
    return listing


def list_upper(branch: Branch, path: bytes, selection: Selection, asked: Container[bytes]) -> Listing:
    """List a node above or among the targets. Raises OSError if it is a target and cannot be read.

    `asked`: the places that were named. That one of them is left out, or is a mere link, is a problem.
    """
    listing = Listing([])
    names = set(branch.children)
    if branch.is_target:
        names.update(os.listdir(branch.real))
    for name in sorted(names):
        child = branch.child(name)
        try:
            if child.children:
                listing.entries.append(_way_down(name, child.real))
            else:
                _add_target(listing, name, child.real, path, selection)
                if child.real in asked:
                    listing.problems += _not_as_asked(child.real, os.path.join(path, name), selection)
        except OSError as err:
            listing.problems.append(problem_from(os.path.join(path, name), err))
    return listing


def _not_as_asked(real: bytes, path: bytes, selection: Selection) -> list[Problem]:
    """Return the problem with a place that was named and does not get into the backup, if there is one."""
    reason = selection.protected.reason_for_target(real)
    if reason is not None:
        return [Problem(path, "unreadable", f"this is, or lies in, {reason}, which is never backed up")]
    if os.path.islink(real):
        to = os.fsdecode(os.readlink(real))
        return [
            Problem(path, "unreadable", f"this is a link to {to}; only the link is stored. Name {to} itself")
        ]
    return []


def _way_down(name: bytes, real: bytes) -> Entry:
    """Return the entry of a folder above a target: rules do not apply, symbolic links are followed."""
    fd = os.open(real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_PATH)
    try:
        st = os.fstat(fd)
    finally:
        os.close(fd)
    return entry_from_stat(name, st, xattrs=read_xattrs(os.path.realpath(real)))


def _add_target(listing: Listing, name: bytes, real: bytes, path: bytes, selection: Selection) -> None:
    folder, real_name = os.path.split(real)
    st = os.lstat(real)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        rules = selection.in_dir(folder, fd, folder)
        rule = rules.by_name(real_name) or rules.by_stat(real_name, st)
        rule = rule or selection.protected.reason_for_target(real)
        if rule is not None:
            listing.excluded.append(Excluded(name, KINDS[st.st_mode & 0o170000], rule))
            return
        _describe(listing, fd, _prefix(fd, folder), path, (name, real_name), st)
    finally:
        os.close(fd)


def _describe(
    listing: Listing, fd: int, prefix: bytes, path: bytes, names: tuple[bytes, bytes], st: os.stat_result
) -> None:
    """Append the entry of one thing, known by its name in the tree and its real one. Raises OSError."""
    name, real_name = names
    if stat.S_ISSOCK(st.st_mode):
        return
    if stat.S_ISLNK(st.st_mode):
        # restic 0.14 keeps no attributes of links; with them, the same tree would get another id.
        listing.entries.append(entry_from_stat(name, st, os.readlink(real_name, dir_fd=fd)))
        return
    try:
        xattrs = read_xattrs(prefix + real_name)
    except OSError as err:
        text = f"its extended attributes cannot be read: {err.strerror}"
        listing.problems.append(Problem(os.path.join(path, name), "incomplete", text))
        xattrs = ()
    listing.entries.append(entry_from_stat(name, st, xattrs=xattrs))


def _prefix(fd: int, path: bytes) -> bytes:
    """Return what makes a name in an open directory a path for listxattr, which takes no dir_fd.

    By way of /proc that works at any depth, but costs 2.6 µs more a file.
    """
    return os.path.join(path, b"") if len(path) < _LONG_PATH else b"/proc/self/fd/%d/" % fd


def _kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_dir(follow_symlinks=False):
        return "dir"
    return (
        "file"
        if entry.is_file(follow_symlinks=False)
        else KINDS[entry.stat(follow_symlinks=False).st_mode & 0o170000]
    )
