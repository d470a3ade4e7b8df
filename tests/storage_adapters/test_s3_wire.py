"""What a wire does to requests to S3: never a part of an object, never a listing that lacks something."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from storage_adapters.errors import (
    StorageError,
    TransientStorageError,
)
from storage_adapters.s3 import S3Adapter, S3Settings
from tests.servers.wire import (
    CutReply,
    CutRequest,
    Fault,
    FlipReply,
    FlipRequest,
    Truncate,
    Wire,
    always,
)
from tests.storage_adapters.s3_calls import CALLS, fails


@pytest.mark.parametrize(
    "fault", [CutRequest(), CutRequest(5), FlipRequest(), CutReply()], ids=lambda fault: str(fault)
)
def test_an_upload_that_the_wire_spoils_is_refused(over_wire: S3Adapter, wire: Wire, fault: Fault) -> None:
    """A put that ends in an error may have been done, whole; one that was altered never is."""
    data = os.urandom(100_000)
    wire.plan = always(fault)
    with pytest.raises(StorageError) as caught:
        over_wire.put("object", data)
    assert caught.value.retryable
    wire.plan = lambda request: None
    assert over_wire.get("object") in (b"0123456789", data)


@pytest.mark.parametrize("fault", [CutReply(), CutReply(0), CutReply(2)], ids=lambda fault: str(fault))
def test_a_download_that_is_cut_can_be_repeated(over_wire: S3Adapter, wire: Wire, fault: Fault) -> None:
    wire.plan = always(fault)
    for read in ((), (2,), (2, 5)):
        with pytest.raises(StorageError) as caught:
            over_wire.get("object", *read)
        assert caught.value.retryable


def test_a_range_that_comes_shorter_than_it_is_can_be_repeated(over_wire: S3Adapter, wire: Wire) -> None:
    wire.plan = always(Truncate(2))
    with pytest.raises(TransientStorageError, match="sent 2 bytes only"):
        over_wire.get("object", 2, 5)


def test_a_listing_that_is_cut_is_an_error_and_never_shorter(over_wire: S3Adapter, wire: Wire) -> None:
    for number in range(20):
        over_wire.put(f"data/{number}", b"x")
    wire.restart_counting()
    size = len(list(over_wire.list(""))) and wire.received
    for fault in (*(Truncate(to) for to in range(0, size, 101)), CutReply(size // 2)):
        wire.plan = always(fault)
        with pytest.raises(StorageError):
            list(over_wire.list(""))


def test_a_listing_with_wrong_bytes_is_no_crash(over_wire: S3Adapter, wire: Wire) -> None:
    wire.plan = always(FlipReply())
    try:
        found = list(over_wire.list(""))
    except StorageError:
        return
    assert len(found) <= 1


def test_a_server_that_never_answers_is_given_up(
    s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage_adapters.s3_http.READ_TIMEOUT_S", 0.2)
    never = threading.Event()

    class Silent(BaseRequestHandler):
        def handle(self) -> None:
            never.wait(20)

    with ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_address[1]}"
        error = fails(replace(s3_settings, endpoint=endpoint), CALLS["get"])
        never.set()
        server.shutdown()
    assert isinstance(error, TransientStorageError)
    assert "stopped answering" in str(error)


def test_a_slow_line_is_no_reason_to_give_up(
    s3_settings: S3Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body takes longer than the time-out for a connection; each piece of it does not."""
    monkeypatch.setattr("storage_adapters.s3_http.CONNECT_TIMEOUT_S", 2)
    data = os.urandom(8_000_000)

    class Slow(BaseRequestHandler):
        def handle(self) -> None:
            left = len(data)
            while left > 0:
                left -= len(self.request.recv(300_000))
                threading.Event().wait(0.1)
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with ThreadingTCPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        adapter = S3Adapter(replace(s3_settings, endpoint=f"http://127.0.0.1:{server.server_address[1]}"))
        adapter.put("object", data)
        adapter.close()
        server.shutdown()
