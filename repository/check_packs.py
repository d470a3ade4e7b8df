"""Read packs to the last byte and compare them with their name, their header and the index."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from repository.allocator import reuse_large_blocks
from repository.check_damage import Damage
from repository.check_index import PackFacts
from repository.check_worker import Failed, Verdict, verify_blobs, verify_pack
from repository.child import Child
from repository.errors import WorkerFailed
from repository.files import pack_key
from repository.index import Location
from repository.packfile import PackedBlob, encode_header, parse_header
from repository.progress import Progress, ProgressCallback
from repository.repository import Repository
from repository.worker import affordable
from storage_adapters.errors import ObjectNotFound, ObjectTruncated

THREADS = 2  # packs in memory
# Many small blobs keep one processor busy with Python; large ones are opened without it, in threads.
MANY_BLOBS = 64
# Before that, starting processes (a fifth of a second each) costs more than it saves.
START_BLOBS = 20_000
_TELL_EVERY_S = 0.5


@dataclass(slots=True)
class PackFindings:
    """What is wrong with one pack, in words, and which of its blobs are bad."""

    pack: bytes
    errors: list[str] = field(default_factory=list)
    bad: list[PackedBlob] = field(default_factory=list)


class PackReader:
    """Reads these packs (id -> size) in threads, from when it is entered; `collect` waits for them.

    Where there are many small blobs each thread has a helper process, `workers` at most; None is as many
    as the machine affords. The index must not change meanwhile.
    """

    def __init__(
        self,
        repo: Repository,
        packs: Mapping[bytes, int],
        facts: Mapping[bytes, PackFacts],
        workers: int | None = None,
    ) -> None:
        self._repo = repo
        self._packs = packs
        self._facts = facts
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[PackFindings | BaseException] = queue.SimpleQueue()
        many = sum(facts[pack].count for pack in packs) >= START_BLOBS
        self._workers = (affordable() if workers is None else workers) if many else 0
        self._helpers: list[_Helper] = []
        self._threads: list[threading.Thread] = []
        self._stopped = False

    def __enter__(self) -> PackReader:
        if not self._workers:  # those hold the packs
            reuse_large_blocks()
        for pack in sorted(self._packs):
            self._waiting.put(pack)
        try:
            for number in range(min(max(THREADS, self._workers), len(self._packs))):
                self._start(with_helper=number < self._workers)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def collect(self, damage: Damage, errors: list[str], progress: ProgressCallback) -> None:
        """Wait until all are read, and say what is wrong. Raises StorageError, WorkerFailed."""
        total, done, bytes_done = sum(self._packs.values()), 0, 0
        found: list[PackFindings] = []
        while done < len(self._packs):
            progress(Progress("checking", done, len(self._packs), bytes_done, total))
            try:
                each = self._done.get(timeout=_TELL_EVERY_S)
            except queue.Empty:
                continue
            if isinstance(each, BaseException):
                raise each
            if each.errors:
                found.append(each)
            done += 1
            bytes_done += self._packs[each.pack]
        progress(Progress("checking", done, len(self._packs), bytes_done, total))
        for each in sorted(found, key=lambda found: found.pack):
            errors += [f"pack {each.pack.hex()}: {error}" for error in each.errors]
            for blob in each.bad:
                damage.add_place(each.pack, blob)

    def _start(self, *, with_helper: bool) -> None:
        helper = None
        if with_helper:
            helper = _Helper(self._repo)
            self._helpers.append(helper)
        self._waiting.put(None)
        thread = threading.Thread(target=self._run, args=(helper,), name="check", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _stop(self) -> None:
        """End threads and processes, whatever they are at."""
        self._stopped = True
        for helper in self._helpers:
            helper.end()
        for thread in self._threads:
            thread.join()
        for helper in self._helpers:
            helper.close()

    def _run(self, helper: _Helper | None) -> None:
        try:
            while not self._stopped and (pack := self._waiting.get()) is not None:
                count = self._facts[pack].count
                self._done.put(read_pack(self._repo, pack, count, helper if count >= MANY_BLOBS else None))
        except BaseException as error:  # noqa: BLE001 - the thread that collects raises it
            self._done.put(error)


class _Helper:
    """A helper process that verifies packs, one after the other."""

    def __init__(self, repo: Repository) -> None:
        try:
            self._child = Child("repository.check_worker")
        except OSError as error:
            raise WorkerFailed(
                f"a helper process of the check could not be started: {error.strerror}; "
                "nothing is known of the content of the packs"
            ) from error
        self._repo = repo
        self._greeted = False

    def verify(self, pack: bytes) -> Verdict:
        """Have a pack read and verified. Raises WorkerFailed, StorageError."""
        pipe = self._child.pipe
        try:
            if not self._greeted:
                pipe.send(self._repo.key)
                self._greeted = True
            data = self._repo.storage.get(pack_key(pack))
            pipe.send(pack)
            pipe.send_bytes(data)
            del data  # the other process has it now
            verdict: Verdict | Failed = pipe.receive()
        except EOFError as error:
            raise _failure(self._child.death()) from error
        if isinstance(verdict, Failed):
            raise _failure(f"failed: {verdict.text}")
        return verdict

    def end(self) -> None:
        """Tell the process to end, whatever it is at."""
        self._child.end()

    def close(self) -> None:
        """Wait until it is gone."""
        self._child.wait()
        self._child.pipe.close()


def read_pack(repo: Repository, pack: bytes, count: int, helper: _Helper | None = None) -> PackFindings:
    """Read one pack, of which the index says that it holds `count` blobs."""
    try:
        verdict = helper.verify(pack) if helper else _verify_here(repo, pack)
        if not verdict.header:
            verify_blobs(repo.key, repo.storage.get(pack_key(pack)), repo.index.blobs_in(pack), verdict)
    except (ObjectNotFound, ObjectTruncated) as error:
        return PackFindings(pack, [f"cannot be read: {error}"], repo.index.blobs_in(pack))
    found = PackFindings(pack, verdict.errors, verdict.bad)
    if verdict.header:
        _compare_with_index(repo, found, verdict.header, count)
    return found


def _verify_here(repo: Repository, pack: bytes) -> Verdict:
    return verify_pack(repo.key, pack, repo.storage.get(pack_key(pack)))


def _compare_with_index(repo: Repository, found: PackFindings, header: bytes, count: int) -> None:
    listed = repo.index.blobs_in(found.pack)
    if len(listed) == count and _encoded(listed) == header:
        return
    blobs = parse_header(header)
    if len(blobs) != count:
        found.errors.append(f"its header lists {len(blobs)} blobs, the index {count}")
    for blob in blobs:
        place = Location(found.pack, blob.offset, blob.length, blob.uncompressed_length)
        if place not in repo.index.lookup(blob.type, blob.id):
            found.errors.append(
                f"the index does not say of the {blob.type} blob {blob.id.hex()} what its header says"
            )
            found.bad.append(blob)


def _encoded(blobs: list[PackedBlob]) -> bytes:
    """Return the header that a pack of these blobs has; empty where none is like that."""
    try:
        return encode_header(blobs)
    except ValueError:
        return b""


def _failure(what: str) -> WorkerFailed:
    return WorkerFailed(
        f"a helper process of the check {what}; start the check again, nothing is known of the rest"
    )
