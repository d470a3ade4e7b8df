"""Which entries of a local tree the rules leave out, and by which rule."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from repository.entries import Problem
from sources.patterns import PatternList
from sources.rules import Rules

_TAG_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Protected:
    """A place never backed up, and why, in words: "the application's data folder"."""

    path: bytes
    reason: str


class Selection:
    """Rules, made ready for trees on this machine. `targets` are real paths, for one-file-system."""

    def __init__(self, rules: Rules, targets: Sequence[bytes], protected: Iterable[Protected]) -> None:
        self._rules = rules
        self._exclude = PatternList(rules.exclude)
        self._iexclude = PatternList(rules.iexclude, ignore_case=True)
        self._protected = _Places(protected)
        self._devices = _device_of_each(targets) if rules.one_file_system else {}

    def in_dir(self, path: bytes, fd: int) -> DirSelection:
        """Return the rules for the entries of the directory `path` (its real name), open as `fd`."""
        tests = [p.in_dir(path) for p in (self._iexclude, self._exclude) if p]
        tag, problems = _find_tag(self._rules.tags, path, fd)
        return DirSelection(
            path=path,
            tests=tests,
            tag=tag,
            problems=problems,
            too_large=self._rules.exclude_larger_than,
            device=self._device_for,
            own_device=os.fstat(fd).st_dev if self._devices else 0,
            protected=self._protected,
            real=self._protected.real_dir(path),
        )

    def reason_above(self, path: bytes) -> str | None:
        """Return why a target is never backed up, being or lying in a protected place; None if it may be."""
        return self._protected.reason_above(path) if self._protected else None

    def _device_for(self, path: bytes) -> int | None:
        """Return the only device allowed at `path`: the one of the nearest target above it; None: any."""
        while path not in self._devices:
            if path == b"/":
                return None
            path = os.path.dirname(path)
        return self._devices[path]


@dataclass(slots=True)
class DirSelection:
    """The rules for one directory: ask `by_name` first, then, with what lstat says, `by_stat`."""

    path: bytes
    tests: list[Callable[[bytes], bytes | None]]
    tag: bytes | None
    problems: list[Problem]
    too_large: int | None
    device: Callable[[bytes], int | None]
    own_device: int
    protected: _Places
    real: bytes

    def by_name(self, name: bytes) -> str | None:
        """Return the rule that leaves out this name, None if there is none."""
        for test in self.tests:
            found = test(name)
            if found is not None:
                return os.fsdecode(found)
        if self.tag is not None and name != self.tag:
            return f"the folder holds {os.fsdecode(self.tag)}"
        return None

    def by_stat(self, name: bytes, st: os.stat_result) -> str | None:
        """Return the rule that leaves out a thing of this device, inode and size, None if there is none."""
        is_dir = stat.S_ISDIR(st.st_mode)
        if not is_dir and self.too_large is not None and st.st_size > self.too_large:
            return f"larger than {self.too_large} bytes"
        if self.own_device and self._crosses(name, st.st_dev, is_dir):
            return "on another file system"
        return self.protected.reason_for(self.real, name, st) if self.protected else None

    def _crosses(self, name: bytes, device: int, is_dir: bool) -> bool:
        allowed = self.device(os.path.join(self.path, name))
        if allowed is None or allowed == device:
            return False
        # The mount point itself is kept, as an empty directory.
        return not is_dir or self.own_device != self.device(self.path)


class _Places:
    """Protected places, found by their real path and by device and inode: a bind mount hides neither."""

    def __init__(self, protected: Iterable[Protected]) -> None:
        self._by_path: dict[bytes, str] = {}
        self._by_inode: dict[tuple[int, int], str] = {}
        for place in protected:
            self._by_path[os.path.realpath(place.path)] = place.reason
            try:
                st = os.stat(place.path)
            except FileNotFoundError:
                continue  # not there yet: its path is known, and that is all there is to know
            self._by_inode[st.st_dev, st.st_ino] = place.reason

    def __bool__(self) -> bool:
        return bool(self._by_path)

    def real_dir(self, path: bytes) -> bytes:
        """Return the real path of a directory; only where it matters, since it costs time."""
        return os.path.realpath(path) if self._by_path else path

    def reason_for(self, directory: bytes, name: bytes, st: os.stat_result) -> str | None:
        """Return why this entry of a real directory is never backed up, None if it may be."""
        reason = self._by_inode.get((st.st_dev, st.st_ino))
        return reason or self._by_path.get(os.path.join(directory, name))

    def reason_above(self, path: bytes) -> str | None:
        """Return why a directory, or one it lies in, is never backed up; None if it may be."""
        at = os.path.realpath(path)
        while True:
            try:
                st = os.stat(at)
            except OSError:
                reason = self._by_path.get(at)
            else:
                reason = self.reason_for(*os.path.split(at), st)
            if reason or at == b"/":
                return reason
            at = os.path.dirname(at)


def _device_of_each(targets: Sequence[bytes]) -> dict[bytes, int]:
    return {path: os.lstat(path).st_dev for path in targets}


def _find_tag(
    tags: Sequence[tuple[bytes, bytes]], path: bytes, fd: int
) -> tuple[bytes | None, list[Problem]]:
    """Return the first tag file that marks this directory, and what could not be told."""
    problems: list[Problem] = []
    for name, header in tags:
        try:
            if _is_tagged(name, header, fd):
                return name, problems
        except OSError as err:
            text = f"cannot read the tag file, so the folder is backed up: {err.strerror}"
            problems.append(Problem(os.path.join(path, name), "unsupported", text))
    return None, problems


def _is_tagged(name: bytes, header: bytes, fd: int) -> bool:
    try:
        os.lstat(name, dir_fd=fd)
    except OSError as err:
        if err.errno in (errno.ENOENT, errno.ENOTDIR):
            return False
        raise
    if not header:
        return True
    tag = os.open(name, _TAG_FLAGS, dir_fd=fd)
    try:
        return os.read(tag, len(header)) == header
    finally:
        os.close(tag)
