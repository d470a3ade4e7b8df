"""Find snapshots: list them all, or the one that is meant."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from repository.errors import Damaged, SnapshotNotFound
from repository.files import LOADERS, FileStore
from repository.gotext import lossy_text
from repository.snapshot import Snapshot
from storage_adapters.errors import ObjectNotFound

Found = tuple[bytes, Snapshot]
OnDamaged = Callable[[bytes, Damaged], None]


def load(files: FileStore, snapshot_id: bytes) -> Snapshot:
    """Return one snapshot. Raises SnapshotNotFound, Damaged."""
    try:
        text = files.load("snapshots", snapshot_id)
    except ObjectNotFound as error:
        raise SnapshotNotFound(f"there is no snapshot {snapshot_id.hex()}") from error
    try:
        return Snapshot.decode(text)
    except Damaged as error:
        raise Damaged(f"the file snapshots/{snapshot_id.hex()} is damaged: {error}") from error


def list_all(files: FileStore, on_damaged: OnDamaged | None = None) -> list[Found]:
    """Return all snapshots, oldest first.

    One that cannot be read raises Damaged; with `on_damaged`, that is called (id, error) instead.
    """
    stored = files.list("snapshots")
    with ThreadPoolExecutor(LOADERS, "snapshots") as pool:
        loaded = list(pool.map(lambda file: _try_load(files, file.id), stored))
    found = []
    for file, snapshot in zip(stored, loaded, strict=True):
        if isinstance(snapshot, Snapshot):
            found.append((file.id, snapshot))
        elif snapshot is not None:
            if on_damaged is None:
                raise snapshot
            on_damaged(file.id, snapshot)
    return sorted(found, key=lambda item: (item[1].time_ns, item[0]))


def find(
    files: FileStore, wanted: str, hostname: str | None, paths: Sequence[str], tags: Sequence[str]
) -> Found:
    """Return the snapshot whose hex id begins with `wanted`, or the newest that fits for "latest".

    The filters apply to "latest" only. Raises SnapshotNotFound if there is none, or more than one.
    """
    if wanted == "latest":
        return _find_latest(files, hostname, paths, tags)
    ids = [file.id for file in files.list("snapshots") if wanted and file.id.hex().startswith(wanted)]
    if len(ids) != 1:
        many = "several snapshots have ids that begin" if ids else "no snapshot has an id that begins"
        raise SnapshotNotFound(f"{many} with {wanted!r}; list the snapshots to see their ids")
    return ids[0], load(files, ids[0])


def fits(
    snapshot: Snapshot, hostname: str | None, paths: Sequence[str] = (), tags: Sequence[str] = ()
) -> bool:
    """Tell whether a snapshot is of this host, has all these paths and all these tags."""
    return (
        (hostname is None or snapshot.hostname == hostname)
        and {_as_stored(path) for path in paths} <= set(snapshot.paths)
        and set(tags) <= set(snapshot.tags or ())
    )


def _as_stored(path: str) -> str:
    """Return a path as a snapshot gives it back: JSON has no bytes that are not UTF-8."""
    return lossy_text(os.fsencode(path))


def _find_latest(files: FileStore, hostname: str | None, paths: Sequence[str], tags: Sequence[str]) -> Found:
    # A damaged one raises: another must not pass for the newest without anybody being told.
    fitting = [item for item in list_all(files) if fits(item[1], hostname, paths, tags)]
    if not fitting:
        raise SnapshotNotFound("no snapshot fits; list the snapshots without a filter to see what is there")
    return fitting[-1]


def _try_load(files: FileStore, snapshot_id: bytes) -> Snapshot | Damaged | None:
    try:
        return load(files, snapshot_id)
    except SnapshotNotFound:
        return None  # forgotten between listing and reading
    except Damaged as error:
        return error
