"""Bytes that two processes share."""

from __future__ import annotations

import os
import socket

import pytest

from repository import shared_buffer
from repository.pipe import Pipe
from repository.shared_buffer import SharedBuffer, open_shared


def test_what_was_put_in_arrives_at_the_other_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_buffer, "_FIRST_BYTES", 4096)
    parts = [os.urandom(size) for size in (0, 1, 4000, 200, 100_000)]
    buffer = SharedBuffer()
    for part in parts:
        buffer.append(part)
    assert len(buffer) == 104_201
    ours, theirs = map(Pipe, socket.socketpair())
    ours.send_descriptor(buffer.fd)
    fd = theirs.receive_descriptor()
    data = open_shared(fd, len(buffer))
    assert buffer.view() == data == b"".join(parts)
    del buffer
    assert data == b"".join(parts), "it is still there when the one who made it is gone"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
    for end in (ours, theirs):
        end.close()


def test_less_than_was_said_is_noticed() -> None:
    buffer = SharedBuffer()
    os.ftruncate(buffer.fd, 10)
    with pytest.raises(ValueError, match="greater than file size"):
        open_shared(os.dup(buffer.fd), 11)


def test_it_is_cleared_only_when_nobody_sees_its_bytes() -> None:
    buffer = SharedBuffer()
    buffer.append(b"the first pack")
    view = buffer.view()
    assert not buffer.clear()
    assert view == b"the first pack"
    del view
    assert buffer.clear()
    buffer.append(b"second")
    assert buffer.view() == b"second"
