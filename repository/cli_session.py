"""One run of the command line: where the repository is, who may open it, how to answer."""

from __future__ import annotations

import argparse
import codecs
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from types import TracebackType
from typing import Protocol

from repository.cache import CachedKind
from repository.cli_output import Output
from repository.entries import Source
from repository.errors import NoRepository
from repository.locks import Lock, lock_repository
from repository.repository import Repository
from repository.tree_cache import NO_TREE_CACHE, TreeCache
from storage_adapters.local import LocalAdapter, create_root
from storage_adapters.retry import RetryingAdapter

# The others are about what the storage holds: a good copy elsewhere would hide that it is damaged there.
_WITH_CACHE = ("backup", "ls", "restore", "snapshots")

# Trees are many and small: taking each from a folder of the cache is slower than from a local repository.
_CACHED: tuple[CachedKind, ...] = ("index", "snapshots")

# restic and others leave out a folder with this file (bford.info/cachedir).
_CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n"

logger = logging.getLogger(__name__)


class UsageError(Exception):
    """The command line cannot be understood; says what to write."""


class AskPassword(Protocol):
    """Get the password, wherever it is."""

    def __call__(self, args: argparse.Namespace, *, confirm: bool = False) -> str:
        """Return it; `confirm` asks twice on a terminal."""


class Session:
    """What the commands share. A context manager: it closes what it opened."""

    def __init__(
        self,
        args: argparse.Namespace,
        output: Output,
        ask_password: AskPassword,
        zone: tzinfo,
        environ: Mapping[str, str],
        place: str,
    ) -> None:
        self.args = args
        self.output = output
        self.zone = zone
        self.environ = environ
        self.place = place
        self._ask_password = ask_password
        self._repo: Repository | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._repo is not None:
            self._repo.close()

    def init(self) -> Repository:
        """Make the repository, and the folder it goes to."""
        path = _local_path(self.place)
        password = self._ask_password(self.args, confirm=True)
        create_root(path)
        self._repo = Repository.init(RetryingAdapter(LocalAdapter(path)), password)
        return self._repo

    def open(self) -> Repository:
        """Open the repository."""
        path = _local_path(self.place)
        if not os.path.isdir(path):
            raise NoRepository(f"there is no folder {path}, so no repository. Is its disk mounted?")
        storage = RetryingAdapter(LocalAdapter(path))
        password = self._ask_password(self.args)
        cache = self.cache_folder() if self.args.command in _WITH_CACHE else None
        self._repo = Repository.open(
            storage, password, compression=self.args.compression, cache_folder=cache, cached=_CACHED
        )
        return self._repo

    def tree_cache(self, source: Source) -> TreeCache:
        """Return the cache of unchanged trees, at work already; one that knows nothing with --no-cache."""
        folder = self.cache_folder()
        return NO_TREE_CACHE if folder is None else TreeCache(os.path.join(folder, "unchanged"), source)

    def cache_folder(self) -> str | None:
        """Make and return the folder for caches: --cache-dir, else the user's own; None with --no-cache."""
        if self.args.no_cache:
            return None
        home = self.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        folder = Path(self.args.cache_dir or os.path.join(home, "holdfast"))
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            tag = folder / "CACHEDIR.TAG"
            if not tag.exists():
                tag.write_text(_CACHE_TAG)
        except OSError as error:
            logger.warning("nothing is cached, so this takes longer: %s", error)
            return None
        return str(folder)

    @contextmanager
    def locked(self, repo: Repository, *, exclusive: bool = False) -> Iterator[Lock | None]:
        """Hold a lock; none with --no-lock, which only commands that write nothing offer."""
        if getattr(self.args, "no_lock", False):
            yield None
            return
        with lock_repository(repo, exclusive) as lock:
            yield lock


def decode_password(data: bytes) -> str:
    """Return the password in a file as restic reads it: no BOM, UTF-16 converted, no white space around."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16").strip()
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").strip()


def _local_path(place: str) -> str:
    """Return the folder that a place means. Raises UsageError for what is not served yet."""
    scheme, colon, rest = place.partition(":")
    if scheme == "local" and colon:
        return rest
    if colon and scheme in ("s3", "sftp", "gs", "azure", "b2", "rest", "rclone", "swift"):
        raise UsageError(f"repositories at {scheme}: cannot be opened by this command; name a folder")
    return os.path.expanduser(place)
