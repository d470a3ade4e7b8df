"""Write a snapshot, or a part of it, to a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from repository.entries import Entry, Problem, Target, TargetError, TargetFull
from repository.errors import BlobNotFound, Damaged, NothingToRestore
from repository.lookup import find_node
from repository.prefetch import Prefetch
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.restore_plan import (
    Action,
    Conflict,
    Existing,
    LeaveDir,
    MakeDir,
    MakeLink,
    MakeSpecial,
    Planner,
    Root,
    Selection,
    WriteFile,
    join,
)
from repository.snapshot import Snapshot
from repository.tree import entry_from_node

Include = Selection | Callable[[bytes, bool], bool] | Sequence[bytes] | None


@runtime_checkable
class MeasuringTarget(Protocol):
    """A target that tells sizes faster than `existing` does."""

    def size(self, path: bytes) -> int | None:
        """Return the size of the file at `path`, None if nothing stands there. Raises TargetError."""


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """What to restore, and how.

    `include`: tree paths, each with all below it; or a function (path, is folder) that is asked for
    everything, and alone decides; None is all. `strip`: the folder of the tree whose *content* goes to the
    target's root; everything outside it is left out. Folders that only lead to something included are made
    when missing, and left as they are otherwise.

    `conflict`, where something other than a folder stands already: `replace` it; `keep` it;
    `replace-if-older` replaces it if its mtime is before the snapshot's; `rename` writes beside it, as
    `<name>.restored`. With `keep` and `rename`, folders that exist keep their metadata, too.

    `verify`: ask the target for the size of each file written. (Content is checked in any case: it comes from
    blobs that fit their hash, and must be as long as the snapshot says.)
    """

    include: Include = None
    conflict: Conflict = "replace"
    strip: bytes = b"/"
    verify: bool = True


@dataclass(slots=True)
class RestoreResult:
    """What a restore did. `kept`: left alone by the conflict rule; `failed`: files and others not written."""

    files: int = 0
    dirs: int = 0
    others: int = 0
    bytes: int = 0
    kept: int = 0
    renamed: int = 0
    failed: int = 0
    problems: int = 0


def restore(
    repo: Repository,
    snapshot: Snapshot,
    target: Target,
    options: RestoreOptions = RestoreOptions(),
    progress: ProgressCallback = ignore_progress,
    report: Callable[[Problem], None] = lambda problem: None,
) -> RestoreResult:
    """Restore to `target`; the index must be loaded. Whatever could not be restored whole is reported.

    Raises NothingToRestore if the selection fits nothing; Damaged or BlobNotFound if the snapshot's root
    cannot be read; TargetFull; StorageError; Cancelled from `progress`. A damaged file is a problem and the
    rest goes on.
    """
    result = RestoreResult()

    def count_and_report(problem: Problem) -> None:
        result.problems += 1
        report(problem)

    planner = plan(repo, snapshot, target.existing, options, count_and_report)
    prefetch: Prefetch[Action] = Prefetch(repo, _with_blobs(planner.walk()))
    try:
        writer = _Writer(repo, target, options, result, progress, count_and_report)
        writer.run(prefetch)
    finally:
        prefetch.close()
    result.kept, result.renamed = planner.counts.kept, planner.counts.renamed
    if not planner.counts.matched:
        raise NothingToRestore("nothing in the snapshot fits the selection, so nothing was restored")
    return result


def plan(
    repo: Repository,
    snapshot: Snapshot,
    existing: Existing,
    options: RestoreOptions,
    report: Callable[[Problem], None],
) -> Planner:
    """Return what will say what is to be written where; `existing` tells what stands at the target."""
    tree, own = _root(repo, snapshot, options.strip)
    root = Root(tree, clean_path(options.strip), own)
    return Planner(repo, root, existing, select(options.include), options.conflict, report)


def select(include: Include) -> Selection:
    """Return the selection that an `include` means."""
    if include is None:
        return Selection(lambda path, is_dir: True, lambda path: True)
    if isinstance(include, Selection):
        return include
    if callable(include):
        return Selection(include, lambda path: True)
    wanted = [clean_path(path) for path in include]
    return Selection(
        lambda path, is_dir: any(_is_within(path, each) for each in wanted),
        lambda path: any(_is_within(path, each) or _is_within(each, path) for each in wanted),
    )


def clean_path(path: bytes) -> bytes:
    """Return a tree path with one slash before each name, and none at the end."""
    return b"/" + b"/".join(part for part in path.split(b"/") if part not in (b"", b"."))


def _is_within(path: bytes, folder: bytes) -> bool:
    return path == folder or folder == b"/" or path.startswith(folder + b"/")


def _root(repo: Repository, snapshot: Snapshot, strip: bytes) -> tuple[bytes, Entry | None]:
    if clean_path(strip) == b"/":
        return snapshot.tree, None
    node = find_node(repo, snapshot, strip)
    if node.subtree is None:
        raise NothingToRestore(f"{strip!r} is no folder in the snapshot; name the folder that the file is in")
    return node.subtree, entry_from_node(node)


def _with_blobs(actions: Iterator[Action]) -> Iterator[tuple[Action, Sequence[bytes]]]:
    for action in actions:
        yield action, action.content if isinstance(action, WriteFile) else ()


class _Writer:
    """Carry out the actions of a plan."""

    def __init__(
        self,
        repo: Repository,
        target: Target,
        options: RestoreOptions,
        result: RestoreResult,
        progress: ProgressCallback,
        report: Callable[[Problem], None],
    ) -> None:
        self._repo = repo
        self._target = target
        self._verify = options.verify
        self._root = clean_path(options.strip)
        self._result = result
        self._progress = progress
        self._report = report
        self._written: set[bytes] = set()  # files with several names, that links may be made to
        self._blocked: bytes | None = None  # a folder that could not be made

    def run(self, stream: Prefetch[Action]) -> None:
        """Do everything, in order. Raises TargetFull."""
        for action in stream:
            self._tell(action.path)
            if self._blocked is not None and _is_within(action.path, self._blocked):
                self._result.failed += isinstance(action, WriteFile | MakeLink | MakeSpecial)
                continue
            try:
                self._do(action, stream)
            except TargetFull:
                raise
            except (TargetError, Damaged, BlobNotFound) as error:
                self._fail(action, error)

    def _do(self, action: Action, stream: Prefetch[Action]) -> None:
        if isinstance(action, MakeDir):
            self._target.start_dir(action.path)
            self._result.dirs += action.path != b"/"
        elif isinstance(action, LeaveDir):
            if action.entry is not None:
                self._report_all(self._target.finish_dir(action.path, action.entry))
        elif isinstance(action, WriteFile):
            self._write(action.path, action.entry, stream.blobs(len(action.content)))
        elif isinstance(action, MakeLink):
            self._link(action)
        else:
            self._report_all(self._target.make_special(action.path, action.entry))
            self._result.others += 1

    def _write(self, path: bytes, entry: Entry, chunks: Iterator[bytes]) -> None:
        counted = _Counted(chunks, entry.size, lambda: self._tell(path))
        self._report_all(self._target.write_file(path, entry, counted))
        if self._verify:
            self._require_size(path, counted.size)
        self._result.files += 1
        self._result.bytes += counted.size
        if entry.links > 1:
            self._written.add(path)

    def _link(self, action: MakeLink) -> None:
        if action.first not in self._written:
            blobs = (self._repo.load_blob("data", blob) for blob in action.content)
            self._write(action.path, action.entry, blobs)
            return
        self._target.make_link(action.path, action.first)
        self._result.files += 1

    def _require_size(self, path: bytes, size: int) -> None:
        there = _size_there(self._target, path)
        if there != size:
            found = "is not there" if there is None else f"has {there} bytes"
            raise TargetError(f"{path!r} was written with {size} bytes, and now it {found}")

    def _fail(self, action: Action, error: Exception) -> None:
        if isinstance(action, MakeDir):
            self._blocked = action.path
        if not isinstance(action, MakeDir | LeaveDir):
            self._result.failed += 1
        self._report(Problem(self._tree_path(action.path), "unreadable", str(error)))

    def _report_all(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            self._report(replace(problem, path=self._tree_path(problem.path)))

    def _tree_path(self, path: bytes) -> bytes:
        """Return the path in the snapshot: problems name that, wherever things are put."""
        return join(self._root, path[1:]) if self._root != b"/" else path

    def _tell(self, path: bytes) -> None:
        result = self._result
        done = result.files + result.others + result.failed
        self._progress(Progress("restoring", done, None, result.bytes, None, 0, path))


def _size_there(target: Target, path: bytes) -> int | None:
    """Return the size of a file at the target, None if there is none. Raises TargetError."""
    if isinstance(target, MeasuringTarget):
        return target.size(path)
    there = target.existing(path)
    return None if there is None else there.size


class _Counted:
    """Chunks of one file, counted; raises Damaged at the end if they are not as long as the snapshot says."""

    def __init__(self, chunks: Iterator[bytes], expected: int, tell: Callable[[], None]) -> None:
        self._chunks = chunks
        self._expected = expected
        self._tell = tell
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self.size:
                self._tell()  # the start of the file was told already, and most have one chunk only
            self.size += len(chunk)
            yield chunk
        if self.size != self._expected:
            raise Damaged(
                f"its content has {self.size} bytes, but the snapshot says {self._expected}; not restored"
            )
