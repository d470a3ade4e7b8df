"""Verify whole packs: in the process that asks, or as a helper process of a check.

A helper process holds the master key, which came over its pipe, and neither storage nor index. It ends when
its pipe ends.
"""

from __future__ import annotations

import contextlib
import socket
from typing import NamedTuple

from repository.child import become_child
from repository.crypto import MasterKey
from repository.errors import Damaged
from repository.ids import hash_bytes
from repository.packer import read_header
from repository.packfile import PackedBlob, encode_header
from repository.pipe import Pipe
from repository.sealing import open_sealed


class Verdict(NamedTuple):
    """What is wrong with a pack, in words, and which of its blobs are bad.

    `header` is its plaintext, as `encode_header` makes it; empty if it cannot be read. Then no blob was
    looked at.
    """

    errors: list[str]
    bad: list[PackedBlob]
    header: bytes


class Failed(NamedTuple):
    """The helper's last message: what went wrong."""

    text: str


def verify_pack(key: MasterKey, pack: bytes, data: bytes | bytearray) -> Verdict:
    """Compare a pack's bytes with its id, and each blob in it with its own."""
    verdict = Verdict([], [], b"")
    if hash_bytes(data) != pack:
        verdict.errors.append("its content does not fit its name")
    try:
        blobs = read_header(key, memoryview(data))
    except Damaged as error:
        verdict.errors.append(f"its header cannot be read: {error}")
        return verdict
    verify_blobs(key, data, blobs, verdict)
    return verdict._replace(header=encode_header(blobs))


def verify_blobs(key: MasterKey, data: bytes | bytearray, blobs: list[PackedBlob], verdict: Verdict) -> None:
    """Open each of these blobs, and add what is wrong to the verdict."""
    view = memoryview(data)
    for blob in blobs:
        sealed = view[blob.offset : blob.offset + blob.length]
        try:
            open_sealed(key, blob.id, sealed, blob.uncompressed_length)
        except Damaged as error:
            verdict.errors.append(f"the {blob.type} blob {blob.id.hex()} is damaged: {error}")
            verdict.bad.append(blob)


def main(fd: int) -> None:
    """Serve the process at the other end of the socket `fd` until it is gone: first the key, then packs.

    Each pack is two messages, its id and its bytes; a Verdict goes back.
    """
    become_child()
    pipe = Pipe(socket.socket(fileno=fd))
    with contextlib.suppress(EOFError):  # the parent is gone, or has no use for us any more
        key: MasterKey = pipe.receive()
        while True:
            pack: bytes = pipe.receive()
            pipe.send(_verify(key, pack, pipe.receive_bytes()))


def _verify(key: MasterKey, pack: bytes, data: bytearray) -> Verdict | Failed:
    try:
        return verify_pack(key, pack, data)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent must hear of it and stop
        return Failed(f"{type(error).__name__}: {error}")
