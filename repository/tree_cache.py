"""The unchanged-tree cache: an unchanged directory's tree id, without listing it or decoding its tree.

For each directory it knows a hash of all that lstat told of everything in it and below, at the backup before.
A fast scan makes these hashes anew. The same hash means the same tree, if that tree is also what the parent
snapshot has there, and if the index files that listed its blobs are all still there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import TracebackType

from repository.entries import ScannableSource, Source
from repository.errors import Damaged
from repository.repository import Repository
from repository.tree_cache_file import Context, Known, Packed, decode, encode
from repository.tree_scan import MAX_DIRS, TreeScan

logger = logging.getLogger(__name__)

# A file written to within the same tick of the file system's clock keeps its ctime; network servers' clocks
# differ by little.
RACY_NS = 2_000_000_000

# Of a file of the cache: some 3,000 folders, which take longer to scan than a process takes to start.
_LARGE_BYTES = 300_000
_KEPT_FILES = 64  # of as many sources
_PARTIAL = ".partial"
_WEEK_S = 7 * 24 * 3600
_WEEKS = 3700  # of 1970 to 2040


class TreeCache:
    """What one backup of a source knows from the one before, and leaves for the next. A context manager.

    Make it before the repository is opened: it begins to look at the source at once, if it was backed up
    before. `folder` is for this repository or for several; it is made when needed. Nothing in it is trusted,
    nothing depends on it.
    For a source that cannot be scanned, and before `begin`, it knows nothing and keeps nothing.
    """

    def __init__(self, folder: str | os.PathLike[str], source: Source | None) -> None:
        self._folder = self._path = Path(folder)
        self._began_ns = time.time_ns()
        self._source = source if isinstance(source, ScannableSource) else None
        self._source_id = _source_id(self._source) if self._source is not None else ""
        self._scan = self._begin_scan()
        self._context: Context | None = None
        self._repo: Repository | None = None
        self._prints: dict[bytes, bytes] = {}
        self._old: Packed = {}
        self._new: Packed = {}

    def __enter__(self) -> TreeCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._scan is not None:
            self._scan.stop()

    @property
    def meets_new_source(self) -> bool:
        """Tell whether the source can be known by the cache, and is not: all of it must probably be read."""
        return self._source is not None and self._scan is None

    def begin(
        self, repo: Repository, parent: bytes | None, zone: tzinfo, *, program: str, read_all: bool = False
    ) -> None:
        """Get ready, with the index loaded and under a lock that keeps the parent where it is.

        Without a parent, or to `read_all`, nothing is taken from the cache, but the next backup can.
        """
        if self._source is None:
            return
        self._context = Context(repo.id, self._source_id, _zone_print(zone), program, "", self._began_ns, [])
        name = hashlib.blake2b(repo.id.encode(), digest_size=16).hexdigest()
        self._path, self._repo = self._folder / f"{self._source_id}-{name}", repo
        if self._scan is None:
            return
        if parent is not None and not read_all:
            self._old = self._load(repo, self._context, parent)
        if self._old:
            self._prints = self._scan.result()
        self._scan.stop()

    def find(self, path: bytes, tree: bytes) -> tuple[bytes, Known] | None:
        """Return a directory's fingerprint and contents if it is unchanged and was this tree before."""
        fingerprint = self._prints.get(path, b"")
        packed = self._old.get(fingerprint)
        if packed is None or self._repo is None:
            return None
        known = Known.unpack(packed)
        if known.tree != tree or not self._repo.index.has("tree", tree):
            return None
        return fingerprint, known

    def may_keep(self, newest_ns: int) -> bool:
        """Tell whether what changed last at this time can be told from a later change."""
        return self._context is not None and newest_ns < self._began_ns - RACY_NS

    def keep(self, fingerprint: bytes, known: Known) -> None:
        """Take note of a directory, all of which was listed and read without any trouble."""
        if len(self._new) <= MAX_DIRS:  # more will not be written
            self._new[fingerprint] = known.pack()

    def save(self, snapshot: bytes) -> None:
        """Leave all for the next backup, for which `snapshot` is the parent. A full disk is only logged."""
        if self._context is None or self._repo is None:
            return
        repo, old = self._repo, self._old
        records = {each: old[each] for each in self._prints.values() if each in old} | self._new
        if len(records) > MAX_DIRS:
            logger.info("%d folders are too many for the cache of unchanged ones", len(records))
            return
        # Both, so that one which is gone again counts as missing.
        index = repo.index.files | {file.id for file in repo.files.list("index")}
        context = replace(
            self._context,
            snapshot=snapshot.hex(),
            began_ns=min(self._began_ns, time.time_ns()),
            index=sorted(each.hex() for each in index),
        )
        try:
            _write(self._path, encode(repo.key, context, records))
        except OSError as error:
            logger.warning("the cache %s cannot be written, next time is slower: %s", self._path, error)

    def _begin_scan(self) -> TreeScan | None:
        """Look at the source, unless there is no file of an earlier backup to compare with."""
        if self._source is None:
            return None
        try:
            sizes = [each.lstat().st_size for each in self._folder.glob(f"{self._source_id}-*")]
        except OSError as error:
            logger.info("the cache in %s is not used: %s", self._folder, error)
            return None
        return TreeScan(self._source, is_large=max(sizes) >= _LARGE_BYTES) if sizes else None

    def _load(self, repo: Repository, now: Context, parent: bytes) -> Packed:
        """Return the records that hold for this backup; none, if for any reason there are none."""
        try:
            context, records = decode(repo.key, self._path.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, Damaged) as error:
            logger.info("the cache %s is not used: %s", self._path, error)
            return {}
        same = replace(now, snapshot=parent.hex(), began_ns=context.began_ns, index=context.index)
        listed = {bytes.fromhex(each) for each in context.index} <= repo.index.files
        # A clock that was set back could give a file the same ctime again.
        usable = context == same and listed and context.began_ns <= now.began_ns
        return records if usable else {}


NO_TREE_CACHE = TreeCache("", None)


def _source_id(source: ScannableSource) -> str:
    return hashlib.blake2b(source.identity, digest_size=16).hexdigest()


def _zone_print(zone: tzinfo) -> str:
    """Return what stands for a zone and its rules, which a new release of the time zone data may change."""
    if zone is UTC:
        return "UTC"
    moments = range(0, _WEEKS * _WEEK_S, _WEEK_S)
    offsets = [datetime.fromtimestamp(each, zone).utcoffset() for each in moments]
    rules = hashlib.blake2b(repr(offsets).encode(), digest_size=16).hexdigest()
    return f"{getattr(zone, 'key', None)} {rules}"


def _write(path: Path, data: bytes) -> None:
    """Put a file in place whole; those of the sources that were backed up longest ago make room."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(path.name + _PARTIAL)
    with open(partial, "wb", opener=_open_private) as file:
        file.write(data)
    partial.replace(path)
    files = sorted(path.parent.iterdir(), key=lambda each: each.lstat().st_mtime_ns, reverse=True)
    for each in files[_KEPT_FILES:]:
        each.unlink(missing_ok=True)


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
