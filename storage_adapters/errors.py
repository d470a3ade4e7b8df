"""One tree of errors for every storage; each class says whether trying again can help."""

from __future__ import annotations


class StorageError(Exception):
    """Say what a storage could not do. `retryable`: the same call may succeed a moment later."""

    retryable = False


class ObjectNotFound(StorageError):
    """The key does not exist."""

    def __init__(self, key: str) -> None:
        super().__init__(f"no object {key!r} on the storage")
        self.key = key


class ObjectTruncated(StorageError):
    """A read returned fewer bytes than the object must have at that place."""


class InvalidKey(StorageError):
    """The key is not of the allowed form; a fault of the caller or a foreign file."""


class StorageUnavailable(StorageError):
    """The storage, or its root, is not there: not mounted, emptied, refused. Nothing was written."""


class StorageUnreachable(StorageUnavailable):
    """Nobody answers at its address, or not as a storage does. It may be back a moment later."""

    retryable = True


class NoBucket(StorageUnavailable):
    """The bucket does not exist, so far as its server tells."""


class InvalidSettings(StorageError):
    """The settings of a storage cannot be right; says which one, before anything is sent."""


class StorageFull(StorageError):
    """No space or quota left. Whatever was being written is not visible."""


class PermissionDenied(StorageError):
    """The storage refuses the operation for these credentials or file permissions."""


class TransientStorageError(StorageError):
    """A fault that may pass: time-out, connection reset, server busy, I/O error."""

    retryable = True
