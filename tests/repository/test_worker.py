"""One worker, in a thread here: what it says over its pipe, and how much it holds."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import worker
from repository.content_reader import Reading
from repository.crypto import new_master_key
from repository.entries import Entry
from repository.ids import hash_bytes
from repository.packer import read_header
from repository.pipe import Pipe
from repository.sealing import BlobSealer
from repository.shared_buffer import open_shared
from repository.worker import Batch, Claim, Ended, Files, Pack, ReadFile, Setup, Worker
from sources.local import LocalSource

KEY = new_master_key()


@pytest.fixture
def ends() -> Iterator[tuple[Pipe, Pipe]]:
    pipes = [Pipe(end) for end in socket.socketpair()]
    yield pipes[0], pipes[1]
    for pipe in pipes:
        pipe.shut_down()
        pipe.close()


def start(end: Pipe, top: Path) -> threading.Thread:
    source = LocalSource([os.fsencode(top)])
    setup = Setup(source, "3DA3358B4DC173", BlobSealer(KEY, 2))
    thread = threading.Thread(target=Worker(end, setup).run)
    thread.start()
    return thread


def test_it_asks_reads_packs_and_says_what_it_did(tmp_path: Path, ends: tuple[Pipe, Pipe]) -> None:
    for name, data in (("a", b"known"), ("b", b"new" * 99), ("c", b"new" * 99), ("d", b"")):
        (tmp_path / name).write_bytes(data)
    ours, theirs = ends
    thread = start(theirs, tmp_path)
    paths = [os.fsencode(tmp_path / name) for name in "abcd"]
    ours.send(Files(paths))
    known, new = hash_bytes(b"known"), hash_bytes(b"new" * 99)
    assert ours.receive() == Claim(known + new + new)
    ours.send_bytes(b"\0\1\0")
    batch = ours.receive()
    assert isinstance(batch, Batch)
    ours.send(None)
    pack = ours.receive()
    data, ended = open_shared(ours.receive_descriptor(), pack.size_bytes), ours.receive()
    thread.join()
    assert [(path, read.content, read.size) for path, read in batch.files if isinstance(read, ReadFile)] == [
        (paths[0], [known], 5),
        (paths[1], [new], 297),
        (paths[2], [new], 297),
        (paths[3], [], 0),
    ]
    assert isinstance(pack, Pack)
    assert isinstance(ended, Ended)
    (blob,) = pack.blobs
    assert read_header(KEY, data) == [blob]
    assert blob.id == new
    assert (batch.blobs, batch.plain_bytes, batch.stored_bytes) == (1, 297, blob.length)


def test_it_asks_early_rather_than_hold_much(
    tmp_path: Path, ends: tuple[Pipe, Pipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file may have grown by any amount since it was listed."""
    monkeypatch.setattr(worker, "HOLD_BYTES", 250)
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(b"%d" % number * 100)
    ours, theirs = ends
    thread = start(theirs, tmp_path)
    ours.send(Files([os.fsencode(tmp_path / f"{number}") for number in range(5)]))
    asked = []
    while isinstance(message := ours.receive(), Claim):
        asked.append(len(message.ids) // 32)
        ours.send_bytes(b"\1" * asked[-1])
    assert asked == [3, 2]
    assert (message.blobs, message.plain_bytes) == (5, 500)
    ours.send(None)
    pack = ours.receive()
    data = open_shared(ours.receive_descriptor(), pack.size_bytes)
    assert len(pack.blobs) == len(read_header(KEY, data)) == 5
    assert isinstance(ours.receive(), Ended)
    thread.join()


def test_a_pipe_carries_large_buffers_and_knows_its_end(ends: tuple[Pipe, Pipe]) -> None:
    ours, theirs = ends
    data = os.urandom(5_000_000)
    sender = threading.Thread(target=ours.send_bytes, args=(data,))
    sender.start()
    assert theirs.receive_bytes() == data
    sender.join()
    ours.send(("message", [b"", None]))
    assert theirs.receive() == ("message", [b"", None])
    ours.shut_down()
    for talk in (
        theirs.receive,
        theirs.receive_bytes,
        theirs.receive_descriptor,
        lambda: [theirs.send(data) for _ in range(3)],
    ):
        with pytest.raises(EOFError):
            talk()


def test_a_reading_says_whether_the_file_kept_still() -> None:
    entry = Entry(b"f", "file", 0o644, mtime_ns=5, ctime_ns=6, size=10)
    assert not Reading[bytes](entry, size=10, now=entry).altered
    for now in (
        Entry(b"f", "file", 0o644, mtime_ns=7, ctime_ns=6, size=10),
        Entry(b"f", "file", 0o644, mtime_ns=5, ctime_ns=7, size=10),
        Entry(b"f", "file", 0o644, mtime_ns=5, ctime_ns=6, size=11),
    ):
        assert Reading[bytes](entry, size=10, now=now).altered
    assert Reading[bytes](entry, size=9, now=entry).shrank
    assert not Reading[bytes](entry, size=9, error="broken").altered, "an error is told, and not tried again"
