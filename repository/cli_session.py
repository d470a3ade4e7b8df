"""One run of the command line: where the repository is, who may open it, how to answer.

What takes long to import is imported where it is used, after the search for the key has begun.
"""

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
from typing import TYPE_CHECKING, Protocol

from repository.cli_output import Output
from repository.cli_place import BadPlace, Place, parse_place
from repository.entries import Source
from repository.keys import KeySearch

if TYPE_CHECKING:
    from repository.locks import Lock
    from repository.repository import Repository
    from repository.tree_cache import TreeCache

# The others are about what the storage holds: a good copy elsewhere would hide that it is damaged there.
_WITH_CACHE = ("backup", "ls", "restore", "snapshots")

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
        self.place = ""  # how to call it to people, once it is open
        self._place = place
        self._ask_password = ask_password
        self._sought: KeySearch | None = None
        self._repo: Repository | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._repo is not None:
            self._repo.close()
        elif self._sought is not None:
            self._sought.storage.close()

    def init(self) -> Repository:
        """Make the repository, and the folder it goes to."""
        from repository.repository import Repository

        place = self._parse_place()
        password = self._ask_password(self.args, confirm=True)
        place.create()
        self._repo = Repository.init(place.open(), password)
        return self._repo

    def seek_key(self) -> KeySearch:
        """Begin to look for the key, if that has not begun; return the search."""
        if self._sought is None:
            storage = self._parse_place().open()
            self._sought = KeySearch(storage, self._ask_password(self.args))
        return self._sought

    def open(self) -> Repository:
        """Open the repository."""
        search = self.seek_key()
        from repository.repository import Repository

        self._repo = Repository.open(
            search.storage,
            search,
            compression=self.args.compression,
            cache_folder=self.cache_folder() if self.args.command in _WITH_CACHE else None,
        )
        return self._repo

    def _parse_place(self) -> Place:
        try:
            place = parse_place(self._place, self.environ, self.args.option or (), self._ca_file())
        except BadPlace as error:
            raise UsageError(str(error)) from error
        self.place = place.shown
        return place

    def _ca_file(self) -> str | None:
        return self.args.cacert or self.environ.get("RESTIC_CACERT")

    def tree_cache(self, source: Source) -> TreeCache:
        """Return the cache of unchanged trees, at work already; one that knows nothing with --no-cache."""
        folder = self.cache_folder()
        from repository.tree_cache import NO_TREE_CACHE, TreeCache

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
        from repository.locks import lock_repository

        with lock_repository(repo, exclusive) as lock:
            yield lock


def decode_password(data: bytes) -> str:
    """Return the password in a file as restic reads it: no BOM, UTF-16 converted, no white space around."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16").strip()
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape").strip()
