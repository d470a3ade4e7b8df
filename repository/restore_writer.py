"""Carry out the plan of a restore: here, or in worker processes where it is worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from repository.allocator import reuse_large_blocks
from repository.collector import rare_collections
from repository.data_packs import DataPacks
from repository.entries import Entry, Problem, Target, TargetError, TargetFull
from repository.errors import BlobNotFound, Damaged
from repository.prefetch import Prefetch
from repository.progress import Progress, ProgressCallback
from repository.repository import Repository
from repository.restore_compare import ReadableTarget
from repository.restore_crew import FileBatch, RestoreCrew, in_batches
from repository.restore_measure import measure, require_size
from repository.restore_options import RestoreOptions, clean_path, is_within
from repository.restore_plan import Action, LeaveDir, LeaveFile, MakeDir, MakeLink, WriteFile, join
from repository.restore_worker import Setup, Written
from repository.worker import affordable

_Step = Action | FileBatch


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


class RestoreWriter:
    """Carries out the actions of a plan; counts in `result`. Close it."""

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
        self._measure = measure(target) if options.verify else None
        self._root = clean_path(options.strip)
        self._result = result
        self._progress = progress
        self._report = report
        self._told: set[str] = set()  # problems that are told once
        self._written: set[bytes] = set()  # files with several names, that links may be made to
        self._blocked: list[bytes] = []  # folders that could not be made
        self._packs = DataPacks(repo)
        self._crew = self._new_crew(options)
        self._stream: Prefetch[_Step] | None = None

    def run(self, actions: Iterator[Action]) -> None:
        """Do everything, each folder before what is in it. Raises TargetFull, WorkerFailed."""
        steps: Iterator[_Step] = in_batches(actions) if self._crew else actions
        reuse_large_blocks()
        self._stream = Prefetch(self._repo, self._with_blobs(steps), self._packs, self._wait)
        with rare_collections():
            for step in self._stream:
                self._tell(step.path)
                self._step(step, self._stream)
            if self._crew:
                self._crew.drain(self._wait)

    def close(self) -> None:
        """Stop the threads and processes, whatever they are at."""
        self._packs.close()
        if self._crew:
            self._crew.stop()
        if self._stream:
            self._stream.close()

    def _new_crew(self, options: RestoreOptions) -> RestoreCrew | None:
        """Return the workers, none of them started yet, or None if this restore must do without."""
        workers = affordable() if options.workers is None else options.workers
        if not workers or not getattr(self._target, "splittable", False):
            return None
        setup = Setup(self._target, self._repo.key, options.verify)
        return RestoreCrew(self._packs, setup, workers, self._settle, self._leave_dir)

    def _step(self, step: _Step, stream: Prefetch[_Step]) -> None:
        if isinstance(step, FileBatch):
            self._write_batch(step)
        elif self._is_blocked(step):
            self._result.failed += not isinstance(step, MakeDir | LeaveDir)
        elif isinstance(step, LeaveDir) and self._crew:
            self._crew.leave(step)
        else:
            self._try(step, lambda: self._do(step, stream))

    def _try(self, action: Action, do: Callable[[], None]) -> None:
        """Do it; report what goes wrong, but for what ends everything."""
        try:
            do()
        except TargetFull:
            raise
        except (TargetError, Damaged, BlobNotFound) as error:
            self._fail(action, str(error))

    def _do(self, action: Action, stream: Prefetch[_Step]) -> None:
        if isinstance(action, MakeDir):
            self._target.start_dir(action.path)
            self._result.dirs += action.path != b"/"
        elif isinstance(action, LeaveDir):
            self._finish_dir(action)
        elif isinstance(action, WriteFile):
            self._write(action.path, action.entry, stream.blobs(len(action.content)))
        elif isinstance(action, LeaveFile):
            self._leave_file(action)
        elif isinstance(action, MakeLink):
            self._link(action)
        else:
            self._report_all(self._target.make_special(action.path, action.entry))
            self._result.others += 1

    def _write(self, path: bytes, entry: Entry, chunks: Iterator[bytes]) -> None:
        counted = _Counted(chunks, entry.size, lambda: self._tell(path))
        self._report_all(self._target.write_file(path, entry, counted))
        if self._measure:
            require_size(self._measure, path, counted.size)
        self._result.files += 1
        self._result.bytes += counted.size
        if entry.links > 1:
            self._written.add(path)

    def _write_batch(self, batch: FileBatch) -> None:
        assert self._crew, "only its plan has batches"
        files = [file for file in batch.files if not self._is_blocked(file)]
        self._result.failed += len(batch.files) - len(files)
        if files:
            self._crew.write(files, self._wait)
        for folder in batch.leaves:
            if not self._is_blocked(folder):
                self._crew.leave(folder)

    def _settle(self, files: list[WriteFile], written: Written) -> None:
        """Count what workers have written; write here what they could not read."""
        if written.full:
            raise TargetFull(written.full)
        refused, unread = dict(written.failed), set(written.unread)
        for number, file in enumerate(files):
            if number in unread:
                self._try(file, lambda file=file: self._write_alone(file))  # type: ignore[misc]
            elif number in refused:
                self._fail(file, refused[number])
            else:
                self._result.files += 1
                self._result.bytes += file.entry.size
        self._report_all(written.problems)
        self._tell(files[-1].path)

    def _write_alone(self, file: WriteFile | MakeLink) -> None:
        """Write a file whose content was not read ahead; every place of each blob is tried."""
        blobs = (self._repo.load_blob("data", blob) for blob in file.content)
        self._write(file.path, file.entry, blobs)

    def _leave_dir(self, folder: LeaveDir) -> None:
        self._try(folder, lambda: self._finish_dir(folder))

    def _finish_dir(self, folder: LeaveDir) -> None:
        if folder.entry is not None:
            self._report_all(self._target.finish_dir(folder.path, folder.entry))

    def _leave_file(self, action: LeaveFile) -> None:
        if isinstance(self._target, ReadableTarget):  # else it has been compared with its metadata
            self._report_all(self._target.describe_file(action.path, action.entry))
        self._result.files += 1
        self._result.unchanged += 1

    def _link(self, action: MakeLink) -> None:
        if action.first not in self._written:
            self._write_alone(action)
            return
        self._target.make_link(action.path, action.first)
        self._result.files += 1

    def _is_blocked(self, action: Action) -> bool:
        return bool(self._blocked) and any(is_within(action.path, folder) for folder in self._blocked)

    def _fail(self, action: Action, reason: str) -> None:
        if isinstance(action, MakeDir):
            self._blocked.append(action.path)
        if not isinstance(action, MakeDir | LeaveDir):
            self._result.failed += 1
        self._report(Problem(self.tree_path(action.path), "unreadable", reason))

    def _report_all(self, problems: Sequence[Problem]) -> None:
        for problem in problems:
            if problem.once not in self._told:
                self._report(replace(problem, path=self.tree_path(problem.path)))
            if problem.once:
                self._told.add(problem.once)

    def tree_path(self, path: bytes) -> bytes:
        """Return the path in the snapshot: problems name that, wherever things are put."""
        return join(self._root, path[1:]) if self._root != b"/" else path

    def _with_blobs(self, steps: Iterator[_Step]) -> Iterator[tuple[_Step, Sequence[bytes]]]:
        for step in steps:
            for file in step.files if isinstance(step, FileBatch) else ():
                self._packs.want(file.content)
            yield step, step.content if isinstance(step, WriteFile) else ()

    def _wait(self) -> None:
        self._tell(b"")

    def _tell(self, path: bytes) -> None:
        result = self._result
        done = result.files + result.others + result.failed
        self._progress(Progress("restoring", done, None, result.bytes, None, 0, path))


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
