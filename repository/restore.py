"""Write a snapshot, or a part of it, to a target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

from repository.entries import Entry, Problem, Target, TargetError, TargetFull
from repository.errors import BlobNotFound, Damaged
from repository.prefetch import Prefetch
from repository.progress import Progress, ProgressCallback, ignore_progress
from repository.repository import Repository
from repository.restore_compare import ReadableTarget, holder
from repository.restore_options import (
    EVERYTHING,
    RestoreOptions,
    clean_path,
    is_within,
    missing_paths,
    plan,
    require_match,
    select,
)
from repository.restore_plan import (
    Action,
    LeaveDir,
    LeaveFile,
    MakeDir,
    MakeLink,
    WriteFile,
    join,
)
from repository.snapshot import Snapshot

__all__ = ["RestoreOptions", "RestoreResult", "clean_path", "plan", "restore", "select"]


@runtime_checkable
class MeasuringTarget(Protocol):
    """A target that tells sizes faster than `existing` does."""

    def size(self, path: bytes) -> int | None:
        """Return the size of the file at `path`, None if nothing stands there. Raises TargetError."""


@dataclass(slots=True)
class RestoreResult:
    """What a restore did. `kept`: left alone by the conflict rule; `failed`: files and others not written.

    `files` counts the `unchanged` ones, which had their content already; `bytes` is what was written.
    """

    files: int = 0
    dirs: int = 0
    others: int = 0
    bytes: int = 0
    kept: int = 0
    renamed: int = 0
    failed: int = 0
    problems: int = 0
    unchanged: int = 0


def restore(
    repo: Repository,
    snapshot: Snapshot,
    target: Target,
    options: RestoreOptions = EVERYTHING,
    progress: ProgressCallback = ignore_progress,
    report: Callable[[Problem], None] = lambda problem: None,
) -> RestoreResult:
    """Restore to `target`; the index must be loaded. Whatever could not be restored whole is reported.

    Raises NothingToRestore if the selection fits nothing; Damaged or BlobNotFound if the snapshot's root
    cannot be read; TargetFull; TargetError if what was written cannot be put on the disk; StorageError;
    Cancelled from `progress`. A damaged file is a problem and the rest goes on; so is a path of `include`
    that the snapshot does not hold.
    """
    result = RestoreResult()

    def count_and_report(problem: Problem) -> None:
        result.problems += 1
        report(problem)

    for problem in missing_paths(repo, snapshot, options):
        result.failed += 1
        count_and_report(problem)
    holds = holder(repo, target) if options.delta else None
    planner = plan(repo, snapshot, target.existing, options, count_and_report, holds)
    prefetch: Prefetch[Action] = Prefetch(repo, _with_blobs(planner.walk()))
    try:
        writer = _Writer(repo, target, options, result, progress, count_and_report)
        writer.run(prefetch)
        target.flush()  # nothing is restored that a power cut can still take away
    finally:
        prefetch.close()
    result.kept, result.renamed = planner.counts.kept, planner.counts.renamed
    require_match(planner)
    return result


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
        self._size = _measure(target)
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
            if self._blocked is not None and is_within(action.path, self._blocked):
                self._result.failed += not isinstance(action, MakeDir | LeaveDir)
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
        elif isinstance(action, LeaveFile):
            self._leave(action)
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

    def _leave(self, action: LeaveFile) -> None:
        assert isinstance(self._target, ReadableTarget)  # or it would not have been compared
        self._report_all(self._target.describe_file(action.path, action.entry))
        self._result.files += 1
        self._result.unchanged += 1

    def _link(self, action: MakeLink) -> None:
        if action.first not in self._written:
            blobs = (self._repo.load_blob("data", blob) for blob in action.content)
            self._write(action.path, action.entry, blobs)
            return
        self._target.make_link(action.path, action.first)
        self._result.files += 1

    def _require_size(self, path: bytes, size: int) -> None:
        there = self._size(path)
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


def _measure(target: Target) -> Callable[[bytes], int | None]:
    """Return what tells the size of a file at the target, None if there is none."""
    if isinstance(target, MeasuringTarget):
        return target.size

    def size(path: bytes) -> int | None:
        there = target.existing(path)
        return None if there is None else there.size

    return size


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
