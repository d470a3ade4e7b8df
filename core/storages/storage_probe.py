"""Try a storage: write, read and delete a small object, and say how that went."""

from __future__ import annotations

import secrets as random
import time
from dataclasses import dataclass
from itertools import pairwise

from core.db import utc_now, write
from core.errors import Unreachable
from core.models import Storage
from core.storages import providers, storages
from storage_adapters.base import StorageAdapter
from storage_adapters.errors import StorageError

PROBE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Probe:
    """How long a small object took to be written, read and deleted."""

    write_ms: float
    read_ms: float
    delete_ms: float

    @property
    def text(self) -> str:
        """Say it."""
        total = self.write_ms + self.read_ms + self.delete_ms
        return f"Wrote, read and deleted a probe in {total:.0f} ms."


def test(storage: Storage) -> str:
    """Write, read and delete a probe, and note on the row how that went; return a sentence about it.

    Raises Unreachable.
    """
    storage_id = storage.id
    try:
        adapter = storages.open_adapter(storage, providers.AT_A_PAGE)
        try:
            text = probe(adapter).text
        except StorageError as error:
            reason = f"a probe could not be written, read and deleted: {error}"
            raise storages.unusable(storage, reason, sure=not error.retryable) from error
        finally:
            adapter.close()
    except Unreachable as error:
        _note_test(storage_id, ok=False, text=error.message)
        raise
    _note_test(storage_id, ok=True, text=text)
    return text


def probe(adapter: StorageAdapter) -> Probe:
    """Write, read and delete a small object. Raises StorageError."""
    key, data = f".holdfast-probe-{random.token_hex(8)}", random.token_bytes(PROBE_BYTES)
    times = [time.monotonic()]
    adapter.put(key, data)
    times.append(time.monotonic())
    try:
        if adapter.get(key) != data:
            raise StorageError("what was read back is not what was written")
        times.append(time.monotonic())
    finally:
        adapter.delete(key)
    times.append(time.monotonic())
    return Probe(*((after - before) * 1000 for before, after in pairwise(times)))


def _note_test(storage_id: str, *, ok: bool, text: str) -> None:
    with write() as session:
        storage = session.get_one(Storage, storage_id)
        storage.tested_at, storage.test_ok, storage.test_result = utc_now(), ok, text
