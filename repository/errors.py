"""Errors of the engine. Storage faults keep their own tree (storage_adapters.errors)."""

from __future__ import annotations


class RepositoryError(Exception):
    """Anything the engine refuses or cannot do; the message says what happened and what to do."""


class NoRepository(RepositoryError):
    """There is no repository (no `config`) at this place."""


class RepositoryExists(RepositoryError):
    """`init` found a config, a key or a snapshot already there; nothing was written."""


class WrongPassword(RepositoryError):
    """No key file opens with this password."""


class Locked(RepositoryError):
    """Somebody else holds a conflicting lock. `holder` names who, since when, and the lock's id."""

    def __init__(self, message: str, holder: str) -> None:
        super().__init__(message)
        self.holder = holder


class LockLost(RepositoryError):
    """Our lock could not be refreshed in time or was removed: nothing more may be written."""


class Damaged(RepositoryError):
    """Stored bytes are not what they must be: truncated, altered, or not of the format."""


class SourceSpoilt(Damaged):
    """What was to be copied cannot be read where it is; where it was to go, nothing is wrong."""


class DamagedKey(Damaged):
    """A key file is not of the format, or its scrypt parameters are outside the allowed range."""


class BlobNotFound(RepositoryError):
    """The index knows no place for a blob, or no place could be read."""


class SnapshotNotFound(RepositoryError):
    """No snapshot, or more than one, fits the id given."""


class NothingToBackUp(RepositoryError):
    """The source is there, but empty where it was full before, or nothing in it can be read."""


class Cancelled(RepositoryError):
    """The caller asked to stop. Nothing that refers to unfinished work was written."""


class NothingToRestore(RepositoryError):
    """The selection fits nothing in the snapshot, or the snapshot holds nothing: nothing was written."""


class PathNotFound(RepositoryError):
    """A snapshot holds nothing at this path, or not a folder (a file) where one is needed."""


class WorkerFailed(RepositoryError):
    """A helper process could not be started, or ended early: what it was for is not done."""
