"""Metadata of a repository kept on this machine, sealed as on the storage: index, snapshots, trees, packs.

Nothing depends on it. A file that is damaged, foreign or gone is fetched from the storage again; whoever
takes something from here checks it against its id, as what comes from the storage.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Literal

from repository.ids import is_hex_id, parse_id

CachedKind = Literal["index", "snapshots", "trees", "packs"]

# packs: whole ones, of trees only; one file instead of the thousands that are in it.
KINDS: tuple[CachedKind, ...] = ("index", "snapshots", "trees", "packs")
LISTED = "listed"  # a note: see listing_log
MAX_BYTES = 1024 * 1024 * 1024
_ROOMY = 0.8  # how full it is after making room, so that this is not done each time

_TIDY_EVERY_S = 24 * 3600
_MUCH = 0.02  # of what is allowed

_PARTIAL = ".partial"

logger = logging.getLogger(__name__)


class MetadataCache:
    """A folder with one file for each object, named by id. Safe for several threads and processes.

    `folder` is that of one repository, `kinds` what is kept. An error of the disk is told once, and ends the
    use of the cache.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        max_bytes: int = MAX_BYTES,
        kinds: Collection[CachedKind] = KINDS,
    ) -> None:
        self._folder = Path(folder)
        self._max_bytes = max_bytes
        self._kinds = kinds
        self._grown_by = 0
        self._broken = False

    def get(self, kind: CachedKind, object_id: bytes) -> bytes | None:
        """Return what was put, or whatever stands in its place; None if there is nothing."""
        if self._broken or kind not in self._kinds:
            return None
        path = self._path(kind, object_id)
        try:
            data = path.read_bytes()
            os.utime(path)  # what was used last is the last to make room
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(error)
            return None
        return data

    def put(self, kind: CachedKind, object_id: bytes, data: bytes | memoryview) -> None:
        """Keep the sealed bytes of an object."""
        if self._broken or kind not in self._kinds:
            return
        self._write(self._path(kind, object_id), data)
        self._grown_by += len(data)

    def drop(self, kind: CachedKind, object_id: bytes) -> None:
        """Forget an object that turned out to be damaged."""
        self._remove(self._path(kind, object_id))

    def keep_only(self, kind: CachedKind, ids: Collection[bytes]) -> None:
        """Forget all objects of a kind but these: the repository has no others."""
        for path in self._files(kind):
            if not is_hex_id(path.name) or parse_id(path.name) not in ids:
                self._remove(path)

    def get_note(self, name: str) -> bytes | None:
        """Return what was put, or whatever stands in its place; None if there is nothing."""
        try:
            return None if self._broken else (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self._give_up(error)
            return None

    def put_note(self, name: str, data: bytes) -> None:
        """Keep something small about the repository itself."""
        if not self._broken:
            self._write(self._folder / name, data)

    def drop_note(self, name: str) -> None:
        """Forget what was put."""
        self._remove(self._folder / name)

    def make_room(self, is_wanted: Callable[[bytes], bool] = lambda tree: True) -> None:
        """Forget trees that nobody wants, then, if it has grown too large, what was not used for longest.

        Looking at thousands of files takes its time, so that is done once a day, and after much was put.
        """
        if self._broken or not self._grown_by or not self._is_time():
            return
        self._grown_by = 0
        for path in self._files("trees"):
            if not is_hex_id(path.name) or not is_wanted(parse_id(path.name)):
                self._remove(path)
        found = sorted(self._sizes())
        total = sum(size for _, size, _ in found)
        allowed = self._max_bytes if total <= self._max_bytes else _ROOMY * self._max_bytes
        for _, size, path in found:
            if total <= allowed:
                break
            self._remove(path)
            total -= size

    def _write(self, path: Path, data: bytes | memoryview) -> None:
        """Put a file in place, whole."""
        partial = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}{_PARTIAL}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(partial, "wb", opener=_open_private) as file:
                file.write(data)
            partial.replace(path)
        except OSError as error:
            self._give_up(error)

    def _is_time(self) -> bool:
        mark = self._folder / "tidied"
        try:
            last = mark.lstat().st_mtime if mark.exists() else 0.0
            due = time.time() - last > _TIDY_EVERY_S or self._grown_by > _MUCH * self._max_bytes
            if due:
                mark.touch(0o600)
        except OSError as error:
            self._give_up(error)
            return False
        return due

    def _sizes(self) -> Iterator[tuple[int, int, Path]]:
        for kind in KINDS:
            for path in self._files(kind):
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue  # another process made room
                yield status.st_mtime_ns, status.st_size, path

    def _files(self, kind: CachedKind) -> list[Path]:
        return list((self._folder / kind).glob("*/*"))

    def _path(self, kind: CachedKind, object_id: bytes) -> Path:
        name = object_id.hex()
        return self._folder / kind / name[:2] / name

    def _remove(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if not self._broken:
            logger.warning("the cache %s is not used, which costs time only: %s", self._folder, error)
        self._broken = True


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
