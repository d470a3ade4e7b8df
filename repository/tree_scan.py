"""Look at the source while the repository is opened: the fingerprint of each directory."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from repository.child import Child, become_child
from repository.entries import BriefedSource, ScannableSource, ScannedDir
from repository.pipe import Pipe
from repository.tree_cache_file import combine

logger = logging.getLogger(__name__)

MAX_DIRS = 500_000  # some 150 MB; what is beyond is listed as if there were no cache


class TreeScan:
    """A scan that is under way from its creation on. Stop it, unless its result was taken.

    `is_large`: have a process of its own do it, where that can: it is Python all through, as is loading the
    index meanwhile.
    """

    def __init__(self, source: ScannableSource, *, is_large: bool = False) -> None:
        self._source = source
        self._stopped = False
        self._child = _start(source) if is_large else None
        pool = ThreadPoolExecutor(1, "scan")
        self._result = pool.submit(self._run if self._child is None else partial(self._ask, self._child))
        pool.shutdown(wait=False)

    def result(self) -> dict[bytes, bytes]:
        """Wait; return tree path -> fingerprint of the directory and all below; b"" where that is unknown."""
        return self._result.result()

    def stop(self) -> None:
        """End it soon; its result will be empty."""
        self._stopped = True
        if self._child is not None and not self._result.done():
            self._child.end()

    def _run(self) -> dict[bytes, bytes]:
        return scanned(self._source, lambda: self._stopped)

    def _ask(self, child: Child) -> dict[bytes, bytes]:
        prints: dict[bytes, bytes] = {}
        try:
            child.pipe.send(self._source)
            prints = child.pipe.receive()
        except EOFError:
            if not self._stopped:
                logger.warning("every folder is listed: the process that compares them %s", child.death())
        finally:
            child.wait()
            child.pipe.close()
        return prints


def main(fd: int) -> None:
    """Scan the source that comes over the socket `fd`, and send back its fingerprints."""
    become_child()
    pipe = Pipe(socket.socket(fileno=fd))
    with contextlib.suppress(EOFError):  # the parent is gone, or has no use for it any more
        pipe.send(scanned(pipe.receive(), lambda: False))


def scanned(source: ScannableSource, is_stopped: Callable[[], bool]) -> dict[bytes, bytes]:
    """Return the fingerprints of a source; none if it cannot be scanned, is too large, or it was stopped."""
    found: list[ScannedDir] = []
    try:
        for each in source.scan():
            found.append(each)
            if is_stopped() or len(found) > MAX_DIRS:
                return {}
    except OSError as error:
        logger.debug("the source is not compared with the cache: %s", error)
        return {}
    return combined(found)


def _start(source: ScannableSource) -> Child | None:
    """Return a process for the scan, None if it must be done here."""
    # One that briefs its copies lists everything once, here.
    if not getattr(source, "splittable", False) or isinstance(source, BriefedSource):
        return None
    if len(os.sched_getaffinity(0)) < 2:
        return None
    try:
        return Child("repository.tree_scan")
    except OSError as error:
        logger.debug("the source is scanned in a thread: %s", error)
        return None


def combined(found: Iterable[ScannedDir]) -> dict[bytes, bytes]:
    """Return the fingerprint of each directory with all below it. Each comes before those in it."""
    prints: dict[bytes, bytes] = {}
    for path, fingerprint, folders in reversed(list(found)):
        prefix = path + b"/"
        prints[path] = combine(fingerprint, [prints.get(prefix + name, b"") for name in folders])
    return prints
