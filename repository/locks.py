"""Locks by restic's protocol: taken, refreshed, given back (restic-format.md, section 10)."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from types import TracebackType

from repository.errors import Damaged, Locked, LockLost
from repository.files import FileStore, list_files, local_identity
from repository.gotext import UTC_ZONE, format_time
from repository.hangup import hangup
from repository.in_time import ends_within
from repository.lockfile import LockInfo, is_stale
from repository.repository import Repository
from storage_adapters.errors import ObjectNotFound, StorageError

SETTLE_S = 0.2  # between writing our lock and looking for others once more
REFRESH_S = 5 * 60.0
RETRY_S = 60.0  # after a refresh that failed
RELEASE_S = 120.0  # retries are over by then: a storage that hangs is not waited for any longer at the end
EXPIRES_S = 22.5 * 60  # others may remove a lock after 30 minutes; stop well before

logger = logging.getLogger(__name__)

Clock = Callable[[], float]


def boot_clock() -> float:
    """Return seconds that go on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lock:
    """A lock that is held. Leaving its `with` block removes it.

    A thread refreshes it every five minutes: writes a new lock file, then deletes the old. `on_lock_id` is
    called with the hex id of each lock file, before the one it replaces is deleted. SIGHUP is ignored
    meanwhile, because `restic unlock` sends it to see whether a holder lives; Python can set that in the
    main thread only, so whoever takes locks in another thread must ignore SIGHUP itself.
    """

    def __init__(
        self, files: FileStore, exclusive: bool, on_lock_id: Callable[[str], None], clock: Clock = boot_clock
    ) -> None:
        self.exclusive = exclusive
        self.id = b""
        self._files = files
        self._on_lock_id = on_lock_id
        self._clock = clock
        self._refreshed_at = 0.0
        self._lost = ""
        self._mutex = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lock", daemon=True)

    def __enter__(self) -> Lock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def acquire(self) -> None:
        """Take the lock. Raises Locked if somebody holds a conflicting one; nothing is left behind then."""
        hangup.ignore()
        atexit.register(self.release)  # a signal may come just before the caller's `with` has begun
        try:
            self._require_free()
            self._write()
            time.sleep(SETTLE_S)
            self._require_free()
            self._thread.start()
        except BaseException:
            self.release()
            raise

    def check(self) -> None:
        """Raise LockLost if the lock may no longer be relied on. Called before each write that matters."""
        if not self._lost and self._age() > EXPIRES_S:
            self.refresh()
        if self._lost:
            raise LockLost(self._lost)

    def confirm(self) -> None:
        """As `check`, and see that the lock file is still there: before what could not be taken back.

        Somebody whose clock is ahead may have taken us for dead long before a refresh would find out.
        Raises LockLost; StorageError may pass.
        """
        self.check()
        with self._mutex:
            self._require_ours(self.id)

    def refresh(self) -> None:
        """Put a new lock file in the place of the old one. Raises LockLost; StorageError may pass."""
        with self._mutex:
            if self._lost:
                raise LockLost(self._lost)
            try:
                self._replace()
            except StorageError as error:
                if self._age() <= EXPIRES_S:
                    raise
                self._lose(f"the lock could not be refreshed for {EXPIRES_S / 60:.1f} minutes: {error}")
                raise LockLost(self._lost) from error

    def release(self) -> None:
        """Stop refreshing and remove the lock file, if the storage answers in time. Again is fine."""
        if self._end.is_set():
            return
        self._end.set()
        try:
            if not ends_within(RELEASE_S, self._finish, "lock"):
                logger.warning("the storage does not answer; the lock %s may be left behind", self.id.hex())
        finally:
            hangup.restore()
            atexit.unregister(self.release)

    def _replace(self) -> None:
        old, late = self.id, self._age() > EXPIRES_S
        self._require_ours(old)
        self._write()
        if late:
            # The host slept: somebody may have taken us for dead while we were writing.
            time.sleep(SETTLE_S)
            self._require_ours(old)
        self._files.remove("locks", old)

    def _require_ours(self, lock_id: bytes) -> None:
        try:
            self._files.storage.stat(f"locks/{lock_id.hex()}")
        except ObjectNotFound as error:
            self._lose("our lock was removed by somebody else (restic unlock?)")
            raise LockLost(self._lost) from error

    def _lose(self, reason: str) -> None:
        self._lost = (
            f"{reason}; stopped, because a prune elsewhere may delete what is being written. Start again"
        )

    def _write(self) -> None:
        started = self._clock()
        hostname, username = local_identity()
        info = LockInfo(
            format_time(time.time_ns(), UTC_ZONE),
            self.exclusive,
            hostname,
            username,
            os.getpid(),
            os.getuid(),
            os.getgid(),
        )
        self.id = self._files.save("locks", info.encode()).id
        self._refreshed_at = started
        self._on_lock_id(self.id.hex())

    def _require_free(self) -> None:
        for lock_id, info in list_locks_of(self._files):
            if lock_id != self.id and (self.exclusive or info.exclusive):
                holder = describe(lock_id, info)
                raise Locked(
                    f"the repository is locked by {holder}. Wait until that is done; "
                    "if that process is dead, remove its lock with unlock",
                    holder,
                )

    def _age(self) -> float:
        return self._clock() - self._refreshed_at

    def _keep(self) -> None:
        wait = REFRESH_S
        while not self._end.wait(wait):
            wait = REFRESH_S
            try:
                self.refresh()
            except LockLost as error:
                logger.error("%s", error)
                return
            except StorageError as error:
                logger.warning("the lock could not be refreshed, trying again: %s", error)
                wait = RETRY_S

    def _finish(self) -> None:
        """End the refreshing and remove the lock file."""
        if self._thread.ident is not None:
            self._thread.join()
        if not self.id:
            return
        try:
            self._files.remove("locks", self.id)
        except StorageError as error:
            # What was done under the lock is done; the lock itself goes stale.
            logger.warning("the lock %s is left behind, unlock removes it: %s", self.id.hex(), error)


def lock_repository(
    repo: Repository, exclusive: bool = False, on_lock_id: Callable[[str], None] = lambda lock_id: None
) -> Lock:
    """Take a lock on a repository and return it, to be used as a context manager. Raises Locked."""
    lock = Lock(repo.files, exclusive, on_lock_id)
    lock.acquire()
    return lock


def list_locks(repo: Repository) -> list[tuple[bytes, LockInfo]]:
    """Return all locks. Raises Damaged for one that cannot be read."""
    return list_locks_of(repo.files)


def list_locks_of(files: FileStore) -> list[tuple[bytes, LockInfo]]:
    """Return all locks that can be read; an empty file (a writer died) is no lock, as in restic."""
    found = []
    for file in files.list("locks"):
        if file.size_bytes == 0:
            continue
        try:
            found.append((file.id, LockInfo.decode(files.load("locks", file.id))))
        except ObjectNotFound:
            continue  # given back meanwhile
        except Damaged as error:
            raise Damaged(
                f"the lock {file.id.hex()} cannot be read, so it may be in the way ({error}). "
                "If nothing else uses the repository, remove all locks with unlock --remove-all"
            ) from error
    return found


def remove_lock(repo: Repository, lock_id: bytes) -> None:
    """Delete one lock file; a missing one is done."""
    repo.files.remove("locks", lock_id)


def remove_stale_locks(repo: Repository, remove_all: bool = False) -> list[bytes]:
    """Delete the locks that restic's `unlock` would delete, or every one; return their ids.

    Stale: older than 30 minutes, or of this hostname and of a process that is gone; processes are sent
    signal 0 only. A lock that cannot be read is kept unless `remove_all`.
    """
    removed = []
    for file in list_files(repo.storage, "locks"):
        if remove_all or _file_is_stale(repo, file.id):
            repo.files.remove("locks", file.id)
            removed.append(file.id)
    return removed


def describe(lock_id: bytes, info: LockInfo) -> str:
    """Say in words who holds a lock, since when, and its id."""
    who = f"{'exclusively ' if info.exclusive else ''}{info.username}@{info.hostname}, process {info.pid}"
    return f"{who}, since {info.time} (lock {lock_id.hex()[:8]})"


def _file_is_stale(repo: Repository, lock_id: bytes) -> bool:
    try:
        info = LockInfo.decode(repo.files.load("locks", lock_id))
    except (Damaged, ObjectNotFound) as error:
        logger.warning("the lock %s is left alone, it cannot be read: %s", lock_id.hex(), error)
        return False
    return is_stale(info, time.time_ns(), local_identity()[0], _pid_alive)


def _pid_alive(pid: int) -> bool:
    if pid <= 0:
        return True  # 0 and below name process groups; no lock of a process says that
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
