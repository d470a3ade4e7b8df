"""Whether what a host sends is packed on its way: where the link is slower than packing it is there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Literal

from sources.ssh.unpacked import Packer

if TYPE_CHECKING:
    from sources.ssh.worker import Worker

Compression = Literal["auto", "always", "never"]

# What one process of the host packs in a second, about: a link that is faster would wait for it.
_PACKS_BYTES_A_SECOND: dict[Packer, int] = {"zstd": 60_000_000, "gzip": 30_000_000}
# Less is packed without a question, which would cost more.
WORTH_MEASURING = 1024 * 1024
_FIRST_NOISE_BYTES = 64 * 1024
_NOISE_BYTES = 1024 * 1024
_LONG_S = 0.02  # for the first noise: less than 3 MB/s
_TOO_LONG_S = 0.1  # for more of it: no other try would find 30 MB/s
_TRIES = 3  # a busy machine makes a link look slow, never fast


def best_packer(compression: Compression, tools: Container[str]) -> Packer:
    """Return what a host packs best with; "" if it has no such program, or is not to pack."""
    if compression == "never":
        return ""
    return "zstd" if "zstd" in tools else "gzip" if "gzip" in tools else ""


class Packing:
    """What the answers of a host are packed by. For several threads.

    `listing` is for text, which shrinks to a tenth on any link. Files are packed if the link is measured to
    be slow, or `decided` says by what.
    """

    def __init__(self, listing: Packer = "", decided: Packer | None = None) -> None:
        self.listing = listing
        self._decided = decided if listing else ""
        self._asked_bytes = 0
        self._lock = threading.Lock()

    def of_files(self, size: int, is_fast: Callable[[int], bool]) -> Packer:
        """Return what to pack so many bytes of files by.

        `is_fast` tells whether a link moves so many bytes a second. It is asked once, when that is worth it,
        and may raise Unreachable.
        """
        with self._lock:
            self._asked_bytes += size
            if self._decided is None and self._asked_bytes >= WORTH_MEASURING:
                self._decided = "" if is_fast(_PACKS_BYTES_A_SECOND[self.listing]) else self.listing
            return self.listing if self._decided is None else self._decided


def is_fast(worker: Worker, bytes_a_second: int) -> bool:
    """Measure how fast what nobody can pack comes from a host; in doubt it is slow. Raises Unreachable."""
    if _noise_s(worker, _FIRST_NOISE_BYTES) > _LONG_S:
        return False
    for _ in range(_TRIES):
        took_s = _noise_s(worker, _NOISE_BYTES)
        if took_s < _NOISE_BYTES / bytes_a_second:
            return True
        if took_s > _TOO_LONG_S:
            break
    return False


def _noise_s(worker: Worker, size: int) -> float:
    """Return how long it took from the first to the last of so many bytes."""
    worker.ask("noise", b"", size)
    worker.read(1)
    began = time.monotonic()
    worker.finish()
    return time.monotonic() - began
