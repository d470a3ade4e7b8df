"""What an SSH server's refusals mean for a storage."""

from __future__ import annotations

from ssh import errors as ssh_errors
from ssh import sftp_wire as wire
from ssh.sftp_channel import SftpStatus
from storage_adapters.errors import (
    InvalidSettings,
    PermissionDenied,
    StorageError,
    StorageFull,
    StorageUnavailable,
    StorageUnreachable,
    TransientStorageError,
)

_FULL = (wire.NO_SPACE, wire.QUOTA_EXCEEDED)


class HostKeyRefused(StorageUnavailable):
    """The server is not the one that was confirmed, or was never confirmed. Holds the fingerprints."""

    def __init__(self, error: ssh_errors.HostKeyRefused) -> None:
        super().__init__(str(error))
        self.found = error.found
        self.pinned = error.pinned


def not_connected(error: ssh_errors.SshError) -> StorageError:
    """Return what a failed connection or login means."""
    if isinstance(error, ssh_errors.HostKeyRefused):
        return HostKeyRefused(error)
    if isinstance(error, ssh_errors.LoginRefused):
        return PermissionDenied(str(error))
    if isinstance(error, ssh_errors.BadPrivateKey | ssh_errors.BadHostKey):
        return InvalidSettings(str(error))
    if isinstance(error, ssh_errors.Unreachable):
        return StorageUnreachable(str(error))
    return StorageUnavailable(str(error))


def failed(error: ssh_errors.SshError, place: str) -> StorageError:
    """Return what an error means that came while something was done at `place`."""
    if isinstance(error, SftpStatus):
        return _refused(error, place)
    if isinstance(error, ssh_errors.Unreachable):
        return TransientStorageError(f"{error}, at {place}")
    return not_connected(error)


def _refused(error: SftpStatus, place: str) -> StorageError:
    text = str(error) or f"status {error.code}"
    if error.code in _FULL:
        return StorageFull(f"no space or quota left for {place}: {text}")
    if error.code == wire.PERMISSION_DENIED:
        return PermissionDenied(f"not allowed at {place}: {text}")
    return StorageError(f"the server could not access {place}: {text}")
