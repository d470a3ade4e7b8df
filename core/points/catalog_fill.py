"""Fill the catalog: read the trees of points that are not in it yet, folders that are known but once.

A point counts as catalogued only when its whole tree is; what an earlier run came to before it was stopped or
killed is not read again. What fails here fails no backup: it is said, and tried again after the next one.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, select

from core import instance, words
from core.db import db, utc_now, write
from core.errors import HoldfastError
from core.jobs.flag import Flag
from core.models import Copy, JobLog, Point
from core.points import catalog_file
from core.points.catalog_rows import Writer
from core.storages import storages
from repository.errors import BlobNotFound, Damaged, RepositoryError
from repository.lookup import load_tree
from repository.repository import Repository
from repository.tree import Node
from storage_adapters.errors import ObjectNotFound, StorageError

# After a backup its own point is catalogued, however long that takes; others that lack for so long at most.
OTHERS_FOR_S = 60.0
_TROUBLE = "catalog_trouble"
_UNREADABLE = (Damaged, BlobNotFound, ObjectNotFound)

Load = Callable[[bytes], list[Node]]
GoOn = Callable[[], bool]
Told = Callable[[int, int], None]  # how many points are done, of how many

_log = logging.getLogger(__name__)


class _Enough(Exception):
    """It is to end now; what was read so far is kept."""


@dataclass(slots=True)
class Filled:
    """What a run came to. `unreadable`: why, by point; `left`: points that were not come to."""

    points: int = 0
    left: int = 0
    unreadable: dict[int, str] = field(default_factory=dict)


def after_backup(job_id: int, repo: Repository, record_id: str, stopped: Flag) -> None:
    """Catalogue the newest point of a repository, and what else lacks there; say in the log what fails.

    The job has ended: nothing is raised. `stopped`: the process was told to end.
    """
    try:
        filled = _after(repo, record_id, stopped)
        trouble = "".join(f"Point {number}: {words.ended(why)} " for number, why in filled.unreadable.items())
    except (HoldfastError, RepositoryError, StorageError) as error:
        trouble = str(error)
    except Exception as error:  # noqa: BLE001  (the backup has ended, and is good: only search lacks it)
        _log.exception("the catalog could not be filled after job %s", job_id)
        db.session.rollback()
        trouble = f"Holdfast itself failed ({type(error).__name__}): {error}"
    try:
        _tell(job_id, trouble.strip())
    except Exception:  # noqa: BLE001  (as above: what follows the backup is more than a line about search)
        _log.exception("what became of the catalog after job %s could not be noted", job_id)
        db.session.rollback()


def _after(repo: Repository, record_id: str, stopped: Flag) -> Filled:
    todo = lacking(Copy.repository_id == record_id)
    first = fill(repo, todo[:1], lambda: not stopped.is_set())
    end = time.monotonic() + OTHERS_FOR_S
    others = fill(repo, todo[1:], lambda: not stopped.is_set() and time.monotonic() < end)
    return Filled(
        first.points + others.points, first.left + others.left, first.unreadable | others.unreadable
    )


def fill_all(go_on: GoOn = lambda: True, told: Told = lambda done, total: None) -> Filled:
    """Catalogue every point that lacks, from whatever copy can be read. Raises CatalogUnusable."""
    total, result = len(lacking()), Filled()
    for record in storages.list_repositories():
        todo = lacking(Copy.repository_id == record.id)
        if not todo:
            continue
        before = result.points
        try:
            repo = storages.open_repository(record)
        except (HoldfastError, RepositoryError, StorageError) as error:
            result.unreadable |= {point_id: str(error) for point_id, _ in todo}
            continue
        found = _fill_from(repo, todo, go_on, lambda done, _: told(before + done, total))  # noqa: B023
        result.points += found.points
        result.unreadable |= found.unreadable
    lacks = {point_id for point_id, _ in lacking()}
    result.unreadable = {number: why for number, why in result.unreadable.items() if number in lacks}
    result.left = len(lacks) - len(result.unreadable)
    note_trouble(_first(result.unreadable))
    return result


def _fill_from(repo: Repository, todo: list[tuple[int, bytes]], go_on: GoOn, told: Told) -> Filled:
    """Fill from one repository and close it. What breaks off there stands in the result: it is the trouble of
    that one alone."""
    try:
        repo.load_index()
        return fill(repo, todo, go_on, told)
    except (RepositoryError, StorageError) as error:
        lacks = {point_id for point_id, _ in lacking()}
        broken = {point_id: str(error) for point_id, _ in todo if point_id in lacks}
        return Filled(len(todo) - len(broken), unreadable=broken)
    finally:
        repo.close()


def _first(unreadable: Mapping[int, str]) -> str:
    """Return why the first of these points could not be read; "" if there is none."""
    return next((f"Point {number}: {words.ended(why)}" for number, why in unreadable.items()), "")


def fill(
    repo: Repository,
    todo: Iterable[tuple[int, bytes]],
    go_on: GoOn = lambda: True,
    told: Told = lambda done, total: None,
) -> Filled:
    """Catalogue points, given as id and tree, until `go_on` says no. The index is loaded.

    A tree that cannot be read keeps its points out. Raises CatalogUnusable, StorageError.
    """
    waiting, result = list(todo), Filled()
    with catalog_file.filling(), catalog_file.opened() as connection:
        writer = Writer(connection)
        for number, (point_id, tree) in enumerate(waiting):
            try:
                _add(writer, lambda wanted: load_tree(repo, wanted), tree, go_on)
                writer.add_root(point_id, tree)
                result.points += 1
            except _UNREADABLE as error:
                result.unreadable[point_id] = str(error)
            except _Enough:
                writer.flush()
                result.left = len(waiting) - number
                break
            told(number + 1, len(waiting))
    return result


def lacking(where: ColumnElement[bool] | None = None) -> list[tuple[int, bytes]]:
    """Return id and tree of the points that are not catalogued, newest first, of copies that fit.

    Raises CatalogUnusable.
    """
    readable = Copy.forgotten_at.is_(None) & Copy.lost_at.is_(None) & Copy.damaged_at.is_(None)
    here = readable if where is None else readable & where
    query = select(Point.id, Point.tree).where(Point.id.in_(select(Copy.point_id).where(here)))
    rows = db.session.execute(query.order_by(Point.taken_at.desc(), Point.id.desc())).all()
    db.session.rollback()
    with catalog_file.opened() as connection:
        known = catalogued(connection)
    return [(point_id, bytes.fromhex(tree)) for point_id, tree in rows if point_id not in known]


def catalogued(connection: sqlite3.Connection) -> set[int]:
    """Return the ids of the points that stand in the catalog."""
    return {row[0] for row in connection.execute("SELECT point_id FROM roots")}


def trouble() -> str:
    """Return why the catalog was last not filled to the end; "" if it was."""
    return str((instance.get(_TROUBLE) or {}).get("why", ""))


def note_trouble(why: str) -> None:
    """Remember why the catalog could not be filled, for whoever searches; "": it could."""
    if why != trouble():
        instance.put(_TROUBLE, {"why": why, "at": utc_now().isoformat()})


def _tell(job_id: int, why: str) -> None:
    note_trouble(why)
    if not why:
        return
    line = f"Search does not know all of this point yet: {why} This changes nothing about the backup."
    with write() as session:
        session.add(JobLog(job_id=job_id, level="info", message=line))


def _add(writer: Writer, load: Load, root: bytes, go_on: GoOn) -> None:
    """Add a tree with all below it, each folder after those in it. Raises _Enough, and what `load` does."""
    if writer.is_whole(root):
        return
    walked = [(root, _below(writer, load, root))]
    while walked:
        if not go_on():
            raise _Enough
        tree, waiting = walked[-1]
        if not waiting:
            writer.note_whole(tree)
            walked.pop()
        elif not writer.is_whole(child := waiting.pop()):
            walked.append((child, _below(writer, load, child)))


def _below(writer: Writer, load: Load, tree: bytes) -> list[bytes]:
    """Return the folders in a tree, the first one last; it is read and added unless it was."""
    found = writer.below(tree)
    if found is None:
        nodes = load(tree)
        if any(node.type == "dir" and node.subtree is None for node in nodes):
            raise Damaged(f"the tree {tree.hex()} does not say what a folder in it holds")
        found = writer.add(tree, nodes)
    return found[::-1]
