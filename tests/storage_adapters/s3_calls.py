"""Each call of a storage, and how the tests look at its errors."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from storage_adapters.base import StorageAdapter
from storage_adapters.errors import (
    StorageError,
)
from storage_adapters.s3 import S3Adapter, S3Settings

SECRET = "a-secret-that-nobody-may-see"
Call = Callable[[StorageAdapter], object]

CALLS: dict[str, Call] = {
    "put": lambda storage: storage.put("object", b"0123456789"),
    "get": lambda storage: storage.get("object"),
    "range": lambda storage: storage.get("object", 2, 3),
    "stat": lambda storage: storage.stat("object"),
    "list": lambda storage: list(storage.list("")),
    "delete": lambda storage: storage.delete("object"),
}


def fails(settings: S3Settings, call: Call) -> StorageError:
    """Return the error that the call raises; no secret is in it, nor in what led to it."""
    adapter = S3Adapter(settings)
    with pytest.raises(StorageError) as caught:
        call(adapter)
    adapter.close()
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error} {error!r}"
        error = None if error.__suppress_context__ and not error.__cause__ else error.__cause__
    return caught.value
