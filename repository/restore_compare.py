"""Compare what stands at a target with what a snapshot says, and tell what a restore would do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import BinaryIO, Literal, NamedTuple, Protocol, runtime_checkable

from repository.entries import Entry, Problem, Target, TargetError
from repository.ids import hash_bytes
from repository.repository import Repository
from repository.restore_options import EVERYTHING, RestoreOptions, plan, require_match
from repository.restore_plan import Action, Holds, LeaveDir, LeaveFile, MakeDir, MakeLink, WriteFile
from repository.snapshot import Snapshot

Verb = Literal["make", "write", "replace", "unchanged", "keep"]


@runtime_checkable
class ReadableTarget(Protocol):
    """A target whose files can be read and left as they are."""

    def open_file(self, path: bytes) -> BinaryIO:
        """Open the regular file at `path` for reading. Raises TargetError, also if it is none."""

    def describe_file(self, path: bytes, entry: Entry) -> list[Problem]:
        """Set the metadata of the regular file at `path`. Raises TargetError."""


@runtime_checkable
class HashingTarget(Protocol):
    """A target that can compare its files with hashes itself, where to read them all would take long."""

    def has_content(self, path: bytes, entry: Entry, chunks: Sequence[tuple[int, bytes]]) -> bool:
        """Tell whether the file at `path` is just this one, with its metadata.

        `chunks` are the lengths and the SHA-256 hashes of its content, piece by piece. Raises TargetError.
        """


class Step(NamedTuple):
    """What a restore would do with one path of the target; for `make` (a folder) there is no entry."""

    verb: Verb
    path: bytes
    entry: Entry | None


def holder(repo: Repository, target: Target, *, linked: bool = False) -> Holds:
    """Return what tells whether a file of the target holds given content; for some targets: never.

    A file with several names is said to only if `linked`: metadata set on it would change the others as well.
    """
    if isinstance(target, HashingTarget):
        return _hash_holder(repo, target)
    if not isinstance(target, ReadableTarget):
        return lambda path, entry, content: False

    def holds(path: bytes, entry: Entry, content: Sequence[bytes]) -> bool:
        there = target.existing(path)
        if there is None or there.kind != "file" or there.size != entry.size:
            return False
        if there.links > 1 and not linked:
            return False
        try:
            with closing(target.open_file(path)) as file:
                return has_content(repo, file, content)
        except (OSError, TargetError):
            return False  # what cannot be read is written anew

    return holds


def _hash_holder(repo: Repository, target: HashingTarget) -> Holds:
    def holds(path: bytes, entry: Entry, content: Sequence[bytes]) -> bool:
        lengths = [repo.index.plain_length("data", blob) for blob in content]
        if None in lengths or sum(length or 0 for length in lengths) != entry.size:
            return False
        pieces = [(length or 0, blob) for length, blob in zip(lengths, content, strict=True)]
        try:
            return target.has_content(path, entry, pieces)
        except TargetError:
            return False  # what cannot be compared is written anew

    return holds


def has_content(repo: Repository, file: BinaryIO, content: Sequence[bytes]) -> bool:
    """Tell whether a file, from here to its end, consists of just these blobs. Raises OSError."""
    for blob in content:
        length = repo.index.plain_length("data", blob)
        if length is None or hash_bytes(file.read(length)) != blob:
            return False
    return not file.read(1)


def verify(
    repo: Repository,
    snapshot: Snapshot,
    target: ReadableTarget,
    options: RestoreOptions,
    report: Callable[[Problem], None],
) -> int:
    """Read every file of a restore back and compare it with the ids of its blobs; return how many differ.

    For a restore that replaced what was there: one that a conflict rule left alone would differ. Each file
    that differs, or cannot be read, is reported by its path at the target.
    """
    differing = 0
    for action in plan(repo, snapshot, lambda path: None, options, lambda problem: None).walk():
        if not isinstance(action, WriteFile | MakeLink):
            continue
        if reason := _difference(repo, target, action.path, action.content):
            differing += 1
            report(Problem(action.path, "unreadable", reason))
    return differing


def _difference(repo: Repository, target: ReadableTarget, path: bytes, content: Sequence[bytes]) -> str:
    """Return how a file differs from these blobs, "" if it does not."""
    try:
        with closing(target.open_file(path)) as file:
            return "" if has_content(repo, file, content) else "its content is not what was written"
    except TargetError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read back: {error.strerror}"


def preview(
    repo: Repository,
    snapshot: Snapshot,
    target: Target,
    options: RestoreOptions = EVERYTHING,
    report: Callable[[Problem], None] = lambda problem: None,
) -> Iterator[Step]:
    """Yield what `restore` would do, in its order; nothing is written. Raises as restore."""
    kept: list[Step] = []
    holds = holder(repo, target) if options.delta else None
    planner = plan(
        repo,
        snapshot,
        target.existing,
        options,
        report,
        holds,
        lambda path, entry: kept.append(Step("keep", path, entry)),
    )
    for action in planner.walk():
        yield from kept
        kept.clear()
        step = _step(action, target)
        if step is not None:
            yield step
    yield from kept
    require_match(planner)


def _step(action: Action, target: Target) -> Step | None:
    if isinstance(action, LeaveDir):
        return None
    if isinstance(action, LeaveFile):
        return Step("unchanged", action.path, action.entry)
    there = target.existing(action.path)
    if isinstance(action, MakeDir):
        return Step("make", action.path, None) if there is None else None
    return Step("write" if there is None else "replace", action.path, action.entry)
