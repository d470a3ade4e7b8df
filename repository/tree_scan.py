"""Look at the source in a thread, while the repository is opened: the fingerprint of each directory."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from repository.entries import ScannableSource, ScannedDir
from repository.tree_cache_file import combine

logger = logging.getLogger(__name__)

MAX_DIRS = 500_000  # some 150 MB; what is beyond is listed as if there were no cache


class TreeScan:
    """A scan that is under way from its creation on. Stop it, unless its result was taken."""

    def __init__(self, source: ScannableSource) -> None:
        self._source = source
        self._stopped = False
        pool = ThreadPoolExecutor(1, "scan")
        self._result = pool.submit(self._run)
        pool.shutdown(wait=False)

    def result(self) -> dict[bytes, bytes]:
        """Wait; return tree path -> fingerprint of the directory and all below; b"" where that is unknown."""
        return self._result.result()

    def stop(self) -> None:
        """End it soon; its result will be empty."""
        self._stopped = True

    def _run(self) -> dict[bytes, bytes]:
        found: list[ScannedDir] = []
        try:
            found.extend(self._until_stopped())
        except OSError as error:
            logger.debug("the source is not compared with the cache: %s", error)
            return {}
        return {} if self._stopped or len(found) > MAX_DIRS else combined(found)

    def _until_stopped(self) -> Iterator[ScannedDir]:
        for count, scanned in enumerate(self._source.scan()):
            if self._stopped or count > MAX_DIRS:
                return
            yield scanned


def combined(found: Iterable[ScannedDir]) -> dict[bytes, bytes]:
    """Return the fingerprint of each directory with all below it. Each comes before those in it."""
    prints: dict[bytes, bytes] = {}
    for path, fingerprint, folders in reversed(list(found)):
        prefix = path + b"/"
        prints[path] = combine(fingerprint, [prints.get(prefix + name, b"") for name in folders])
    return prints
