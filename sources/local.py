"""A tree on this machine, as a Source."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from repository.entries import Listing, Problem, ScannedDir, SourceUnavailable
from sources.dirfds import DirStack
from sources.local_file import LocalFile, open_file, problem_from
from sources.local_listing import list_directory, list_upper
from sources.local_read import SmallFiles, TakeFile
from sources.local_scan import scan
from sources.patterns import clean
from sources.protected import Protected
from sources.roots import Branch, build
from sources.rules import Rules
from sources.selection import Selection

_DIR_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_RULES = Rules()


class LocalSource:
    """Files and folders of this machine.

    `targets` may be relative (to `cwd`); they stand in the tree as restic puts them there. Symbolic links
    above a target are followed, none at or below it. `always_excluded` are places and why they are left out.
    A pickled copy opens everything anew. Raises SourceUnavailable if there is no target.
    """

    def __init__(
        self,
        targets: Sequence[str | bytes],
        *,
        rules: Rules = _NO_RULES,
        hostname: str | None = None,
        always_excluded: Iterable[tuple[str | bytes, str]] = (),
        cwd: bytes | None = None,
    ) -> None:
        if not targets or not all(targets):
            raise SourceUnavailable("no path was given to back up; name at least one file or folder")
        self._cwd = cwd or os.getcwdb()
        self._targets = [os.fsencode(target) for target in targets]
        self._real = [clean(os.path.join(self._cwd, target)) for target in self._targets]
        self._rules = rules
        self._hostname = hostname or socket.gethostname()
        self._excluded = [(os.fsencode(path), reason) for path, reason in always_excluded]
        self._upper: tuple[Branch, Selection] | None = None
        self._dirs = _Dirs()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self._targets, self._rules, self._hostname, self._excluded, self._cwd)

    @property
    def paths(self) -> Sequence[str]:
        """The absolute paths that the snapshot names, in the order given."""
        return [os.fsdecode(path) for path in self._real]

    @property
    def hostname(self) -> str:
        """The machine the data is on."""
        return self._hostname

    @property
    def splittable(self) -> bool:
        """Tell whether a pickled copy reads what this object reads: that of a subclass would not."""
        return type(self) is LocalSource

    def check(self) -> None:
        """Raise SourceUnavailable if any of the paths is missing, with what to do."""
        for path in self._real:
            try:
                os.lstat(path)
            except OSError as err:
                raise SourceUnavailable(_missing_text(path, err)) from err

    def list_dir(self, path: bytes) -> Listing:
        """List one directory of the tree, exclude rules applied. Raises OSError if it cannot be read."""
        return self._list(path, None)

    def read_dir(self, path: bytes, most_bytes: int, most_files: int, take: TakeFile) -> Listing:
        """List a directory, but hand on its small files, which `take` gets with their content."""
        return self._list(path, SmallFiles(most_bytes, most_files, take))

    def _list(self, path: bytes, small: SmallFiles | None) -> Listing:
        root, selection = self._prepare()
        branch, below = root.find(path)
        if branch.children or not branch.is_target:
            return list_upper(branch, path, selection, frozenset(self._real))
        fd = self._dirs.open(branch.real, below)
        real = os.path.join(branch.real, *below)
        return list_directory(fd, path, selection.in_dir(real, fd, branch.real), small)

    @property
    def identity(self) -> bytes:
        """What the listings depend on besides the files: targets, rules, and who is looking."""
        who = os.geteuid(), os.getegid(), sorted(os.getgroups())
        return repr((self._targets, self._real, self._rules, self._hostname, self._excluded, who)).encode()

    @property
    def tree_paths(self) -> Mapping[bytes, bytes]:
        """The tree path of each target, with the target; `/`, `.` and `..` have none. Raises OSError."""
        asked = frozenset(self._real)
        return {path: real for path, real in self._prepare()[0].targets() if real in asked}

    def scan(self) -> Iterator[ScannedDir]:
        """Yield the fingerprint of every directory below the targets; may run beside all else."""
        root, selection = self._build()
        return scan(root, selection)

    def open_files(self, paths: Sequence[bytes]) -> Iterator[LocalFile | Problem]:
        """Open each of these files once, in the order given; close one before asking for the next."""
        root, _ = self._prepare()
        dirs = _Dirs()
        try:
            for path in paths:
                yield _open(root, dirs, path)
        finally:
            dirs.close()

    def close(self) -> None:
        """Let go of the folder listed last, so that its disk can be unmounted; it may be used again."""
        self._dirs.close()

    def real_path(self, path: bytes) -> bytes:
        """Return the place on this machine that a tree path stands for."""
        branch, below = self._prepare()[0].find(path)
        return os.path.join(branch.real, *below)

    def _prepare(self) -> tuple[Branch, Selection]:
        if self._upper is None:
            self._upper = self._build()
        return self._upper

    def _build(self) -> tuple[Branch, Selection]:
        protected = [Protected(path, reason) for path, reason in self._excluded]
        return build(self._targets, self._cwd), Selection(self._rules, self._real, protected)


def _rebuild(
    targets: Sequence[bytes],
    rules: Rules,
    hostname: str,
    always_excluded: Sequence[tuple[bytes, str]],
    cwd: bytes,
) -> LocalSource:
    return LocalSource(targets, rules=rules, hostname=hostname, always_excluded=always_excluded, cwd=cwd)


class _Dirs:
    """Directories below one target at a time, reached without following a link below it."""

    def __init__(self) -> None:
        self._base: tuple[bytes, int] | None = None
        self._stack: DirStack | None = None

    def open(self, base: bytes, below: Sequence[bytes], flags: int = os.O_NOFOLLOW) -> int:
        if self._stack is None or self._base != (base, flags):
            self.close()
            self._base = base, flags
            self._stack = DirStack(lambda: os.open(base, _DIR_FLAGS | flags))
        return self._stack.open(below)

    def close(self) -> None:
        if self._stack is not None:
            self._stack.close()


def _open(root: Branch, dirs: _Dirs, path: bytes) -> LocalFile | Problem:
    branch, below = root.find(path)
    try:
        if below:
            return open_file(dirs.open(branch.real, below[:-1]), below[-1], path)
        folder, name = os.path.split(branch.real)
        return open_file(dirs.open(folder, (), flags=0), name, path)
    except OSError as err:
        return problem_from(path, err)


def _missing_text(path: bytes, err: OSError) -> str:
    shown = os.fsdecode(path)
    if isinstance(err, FileNotFoundError | NotADirectoryError):
        return f"{shown} does not exist. Is its disk mounted? Else correct the path, or take it out."
    return f"{shown} cannot be looked at: {err.strerror}. Run the backup as a user who may read it."
