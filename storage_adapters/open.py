"""Open each kind of storage with the wrappers that it needs; slow imports only where they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage_adapters.base import StorageAdapter
from storage_adapters.local import LocalAdapter
from storage_adapters.retry import RetryingAdapter, RetryPolicy
from storage_adapters.throttle import Limit, ThrottledAdapter

if TYPE_CHECKING:
    from storage_adapters.s3 import S3Settings
    from storage_adapters.sftp import SftpSettings

# A server restarts, or asks to slow down, for longer than a disk hiccups: about a minute in all.
NETWORK_RETRIES = RetryPolicy(attempts=9, first_wait_s=0.5, longest_wait_s=20.0)


def open_local(path: str) -> StorageAdapter:
    """Return a folder of this machine as a storage."""
    return RetryingAdapter(LocalAdapter(path))


def open_s3(
    settings: S3Settings, upload: Limit | None = None, download: Limit | None = None
) -> StorageAdapter:
    """Return a bucket as a storage, within limits in bytes a second. Raises InvalidSettings."""
    from storage_adapters.s3 import S3Adapter

    return over_network(S3Adapter(settings), upload, download)


def open_sftp(
    settings: SftpSettings, upload: Limit | None = None, download: Limit | None = None
) -> StorageAdapter:
    """Return a folder of an SFTP server as a storage, within limits in bytes a second."""
    from storage_adapters.sftp import SftpAdapter

    return over_network(SftpAdapter(settings), upload, download)


def over_network(
    adapter: StorageAdapter,
    upload: Limit | None = None,
    download: Limit | None = None,
    policy: RetryPolicy = NETWORK_RETRIES,
) -> StorageAdapter:
    """Return the adapter with retries and, where given, within limits; what is repeated counts again."""
    if upload or download:
        adapter = ThrottledAdapter(adapter, upload or _unlimited, download or _unlimited)
    return RetryingAdapter(adapter, policy)


def _unlimited() -> None:
    return None
