"""Look into points: folders, single files, whole folders as archives."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal, TypeVar

from core.db import db
from core.errors import NotFound, Unreachable
from core.models import Copy, Point
from core.points import opened, points
from core.points.downloads import Download
from core.points.opened import Opened
from core.points.tokens import printable, token_from_path
from core.restores.restore_source import UNREADABLE
from repository import browse as engine
from repository.errors import BlobNotFound, PathNotFound, SnapshotNotFound
from repository.gotext import parse_time
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tree import Node, linktarget
from storage_adapters.errors import ObjectNotFound, StorageUnavailable

T = TypeVar("T")

_GONE = (BlobNotFound, ObjectNotFound, SnapshotNotFound, StorageUnavailable)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a folder. `name` is printable, maybe escaped; `token` names its whole path exactly."""

    name: str
    kind: str  # repository.entries.Kind
    size: int | None  # bytes, of files only
    mtime: datetime | None
    linktarget: str
    path: bytes
    token: str


def copy_in_use(point: Point, copy_id: int | None = None) -> Copy:
    """Return the copy that is read: the one chosen, or the best whose storage answers.

    Raises NotFound, and Unreachable if none answers, as everything here.
    """
    return _held(point, copy_id)[0]


def list_dir(point: Point, path: bytes = b"/", copy_id: int | None = None) -> list[Row]:
    """Return a folder's entries, folders first, each by name.

    Raises NotFound, Unreachable, RepositoryError, StorageError.
    """
    nodes = _read(point, copy_id, lambda repo, snapshot: engine.list_dir(repo, snapshot, path), path)
    rows = [_row(path, node) for node in nodes]
    return sorted(rows, key=lambda row: (row.kind != "dir", row.path))


def find(point: Point, path: bytes, copy_id: int | None = None) -> Row:
    """Return one entry by its path. Raises as list_dir."""
    return _row(_parent(path), _find_node(point, copy_id, path))


def read_file(point: Point, path: bytes, copy_id: int | None = None) -> tuple[Row, Iterator[bytes]]:
    """Return a file's row and its content, piece by piece, under a shared lock that ends with the iterator.

    A damaged piece raises in mid-stream, so that a download is visibly cut. Raises NotFound if it is no file.
    """
    node = _find_node(point, copy_id, path)
    if node.type != "file":
        raise NotFound(f"{printable(path)} is no file in this point.")
    content = _download(point, copy_id, lambda repo, snapshot: engine.read_file(repo, node))
    return _row(_parent(path), node), content


def stream_folder(
    point: Point, path: bytes, form: Literal["tar", "zip"], copy_id: int | None = None
) -> Iterator[bytes]:
    """Return a folder (or one file) as an archive, piece by piece; as read_file in all else."""
    return stream_selection(point, [path], form, copy_id)


def stream_selection(
    point: Point, paths: Sequence[bytes], form: Literal["tar", "zip"], copy_id: int | None = None
) -> Iterator[bytes]:
    """Return files and folders as one archive, named from the folder on that holds them all.

    A zip says in a member of its own what is left out of it, or renamed.
    """
    stream = engine.stream_tar if form == "tar" else engine.stream_zip
    try:
        return _download(
            point, copy_id, lambda repo, snapshot: stream(repo, snapshot, *paths, made=engine.Made())
        )
    except PathNotFound as error:
        named = printable(paths[0]) if len(paths) == 1 else "Something of what was chosen"
        raise NotFound(f"{named} is not in this point.") from error


def look(
    point: Point, use: Callable[[Repository, Snapshot], T], path: bytes = b"/", copy_id: int | None = None
) -> T:
    """Return what `use` makes of the opened repository and the point's snapshot; it may be called twice.

    Raises as list_dir, about `path`.
    """
    return _read(point, copy_id, use, path)


def _find_node(point: Point, copy_id: int | None, path: bytes) -> Node:
    return _read(point, copy_id, lambda repo, snapshot: engine.find_node(repo, snapshot, path), path)


def _read(point: Point, copy_id: int | None, use: Callable[[Repository, Snapshot], T], path: bytes) -> T:
    """Use the opened repository; if something is gone from it, open it anew once and try again."""
    copy, held = _held(point, copy_id)
    try:
        return use(held.repo, _snapshot(copy, held))
    except PathNotFound as error:
        raise NotFound(f"{printable(path)} is not in this point.") from error
    except _GONE:
        copy, held = _anew(point, copy_id, copy, held)
    return use(held.repo, _snapshot(copy, held))


def _download(
    point: Point, copy_id: int | None, make: Callable[[Repository, Snapshot], Iterator[bytes]]
) -> Iterator[bytes]:
    """Begin a stream; if its first piece is gone, a prune may have moved it: open anew once.

    If the storage fails on the way, the stream goes on from the next copy.
    """
    copy, held = _held(point, copy_id)
    try:
        return _start(point, copy_id, copy, held, make)
    except _GONE:
        copy, held = _anew(point, copy_id, copy, held)
    return _start(point, copy_id, copy, held, make)


def _start(
    point: Point,
    copy_id: int | None,
    copy: Copy,
    held: Opened,
    make: Callable[[Repository, Snapshot], Iterator[bytes]],
) -> Download:
    others = [each.id for each in points.in_order(point) if copy_id is None and each.id != copy.id]
    return Download(*_stream(copy, held, make), (partial(_begin, other, make) for other in others))


def _begin(
    copy_id: int, make: Callable[[Repository, Snapshot], Iterator[bytes]]
) -> tuple[Repository, Callable[[], Iterator[bytes]]]:
    copy = db.session.get_one(Copy, copy_id)
    return _stream(copy, opened.get(copy.repository), make)


def _stream(
    copy: Copy, held: Opened, make: Callable[[Repository, Snapshot], Iterator[bytes]]
) -> tuple[Repository, Callable[[], Iterator[bytes]]]:
    snapshot = _snapshot(copy, held)
    return held.repo, partial(make, held.repo, snapshot)


def _snapshot(copy: Copy, held: Opened) -> Snapshot:
    snapshot = held.snapshot(bytes.fromhex(copy.snapshot_id))
    points.require_same(copy.point, snapshot)
    return snapshot


def _anew(point: Point, copy_id: int | None, copy: Copy, stale: Opened) -> tuple[Copy, Opened]:
    """Open the same copy anew; if its storage went away since it was opened, the next one."""
    try:
        return copy, opened.reload(copy.repository, stale)
    except Unreachable:
        return _held(point, copy_id)


def _held(point: Point, copy_id: int | None) -> tuple[Copy, Opened]:
    """Return the first copy whose storage answers; of them all, what is wrong with the best is raised."""
    best = points.best_copy(point, copy_id)
    first: Exception | None = None
    for copy in [best] if copy_id is not None else points.in_order(point):
        try:
            return copy, opened.get(copy.repository)
        except UNREADABLE as error:
            first = first or error
    raise first or NotFound(f"Point {point.id} is gone.")


def _parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"


def _row(parent: bytes, node: Node) -> Row:
    path = parent.rstrip(b"/") + b"/" + node.name
    size = node.size if node.type == "file" else None
    link = printable(linktarget(node)) if node.type == "symlink" else ""
    return Row(printable(node.name), node.type, size, _moment(node.mtime), link, path, token_from_path(path))


def _moment(text: str) -> datetime | None:
    with suppress(ValueError, OverflowError):
        return datetime.fromtimestamp(parse_time(text) // 1_000_000_000, UTC)
    return None  # years that Python's calendar does not have
