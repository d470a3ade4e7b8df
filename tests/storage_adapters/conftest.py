"""What the tests of the adapters share: an S3 server with a wire before it that can be told to do harm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from storage_adapters.s3 import S3Adapter, S3Settings
from tests.servers.s3 import S3Server
from tests.servers.wire import (
    Wire,
    wire_to,
)


@pytest.fixture
def wire(s3_server: S3Server) -> Iterator[Wire]:
    with wire_to(s3_server.settings.endpoint) as wire:
        yield wire


@pytest.fixture
def over_wire(wire: Wire, s3_settings: S3Settings) -> Iterator[S3Adapter]:
    adapter = S3Adapter(replace(s3_settings, endpoint=wire.url))
    adapter.put("object", b"0123456789")
    yield adapter
    adapter.close()
