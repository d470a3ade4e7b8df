"""Which entries of a local tree the rules leave out, and by which rule."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from repository.entries import Problem
from sources.patterns import PatternList
from sources.protected import Protected, ProtectedPlaces
from sources.rules import Rules

_TAG_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Selection:
    """Rules, made ready for trees on this machine. `targets` are real paths, for one-file-system."""

    def __init__(self, rules: Rules, targets: Sequence[bytes], protected: Iterable[Protected]) -> None:
        self._rules = rules
        self._exclude = PatternList(rules.exclude)
        self._iexclude = PatternList(rules.iexclude, ignore_case=True)
        self.protected = ProtectedPlaces(protected)
        self._devices = _device_of_each(targets) if rules.one_file_system else {}

    @property
    def lets_all_in(self) -> bool:
        """Tell whether no rule can leave anything out anywhere."""
        return not (
            self._exclude
            or self._iexclude
            or self._rules.tags
            or self._rules.exclude_larger_than is not None
            or self._devices
            or self.protected
        )

    def in_dir(self, path: bytes, fd: int, target: bytes) -> DirSelection:
        """Return the rules for the entries of a directory, open as `fd`, at or below the path `target`."""
        tests = [p.in_dir(path) for p in (self._iexclude, self._exclude) if p]
        tags, problems = _find_tags(self._rules.tags, path, fd)
        return DirSelection(
            path=path,
            tests=tests,
            tags=tags,
            problems=problems,
            too_large=self._rules.exclude_larger_than,
            device=self._device_for,
            own_device=os.fstat(fd).st_dev if self._devices else 0,
            protected=self.protected,
            protected_names=self.protected.names_in(target, path),
        )

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
    tags: list[bytes]
    problems: list[Problem]
    too_large: int | None
    device: Callable[[bytes], int | None]
    own_device: int
    protected: ProtectedPlaces
    protected_names: Mapping[bytes, str]

    @property
    def lets_all_in(self) -> bool:
        """Tell whether no rule can leave anything out here."""
        rules = self.tests, self.tags, self.own_device, self.protected, self.protected_names
        return self.too_large is None and not any(rules)

    def by_name(self, name: bytes) -> str | None:
        """Return the rule that leaves out this name, None if there is none."""
        for test in self.tests:
            found = test(name)
            if found is not None:
                return os.fsdecode(found)
        for tag in self.tags:
            if name != tag:
                return f"the folder holds {os.fsdecode(tag)}"
        return self.protected_names.get(name)

    def by_stat(self, name: bytes, st: os.stat_result) -> str | None:
        """Return the rule that leaves out a thing of this device, inode and size, None if there is none."""
        is_dir = stat.S_ISDIR(st.st_mode)
        if not is_dir and self.too_large is not None and st.st_size > self.too_large:
            return f"larger than {self.too_large} bytes"
        if self.own_device and self._crosses(name, st.st_dev, is_dir):
            return "on another file system"
        return self.protected.reason_by_inode(st)

    def _crosses(self, name: bytes, device: int, is_dir: bool) -> bool:
        allowed = self.device(os.path.join(self.path, name))
        if allowed is None or allowed == device:
            return False
        # The mount point itself is kept, as an empty directory.
        return not is_dir or self.own_device != self.device(self.path)


def _device_of_each(targets: Sequence[bytes]) -> dict[bytes, int]:
    return {path: os.lstat(path).st_dev for path in targets}


def _find_tags(
    tags: Sequence[tuple[bytes, bytes]], path: bytes, fd: int
) -> tuple[list[bytes], list[Problem]]:
    """Return the tag files that mark this directory, and what could not be told."""
    found: list[bytes] = []
    problems: list[Problem] = []
    for name, header in tags:
        try:
            if _is_tagged(name, header, fd):
                found.append(name)
        except OSError as err:
            text = f"cannot read the tag file, so the folder is backed up: {err.strerror}"
            problems.append(Problem(os.path.join(path, name), "unsupported", text))
    return found, problems


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
