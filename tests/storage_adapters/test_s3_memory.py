"""What is sent to S3 is not copied on its way: five packs at once are 80 MiB."""

from __future__ import annotations

import os
import tracemalloc

from storage_adapters.s3 import S3Adapter, S3Settings

MIB = 1 << 20


def test_a_view_is_sent_as_it_lies_in_memory(s3_settings: S3Settings) -> None:
    adapter = S3Adapter(s3_settings)
    whole = bytearray(os.urandom(16 * MIB))
    adapter.put("data/first", b"opens the connection")
    tracemalloc.start()
    try:
        adapter.put("data/pack", memoryview(whole)[MIB:])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * MIB
    assert adapter.get("data/pack") == whole[MIB:]
    whole.pop()  # nobody looks at it any more
    adapter.close()
