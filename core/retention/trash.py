"""The trash of a repository: what lay in it for seven days is forgotten, unless it is needed after all."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select

from core import words
from core.alerting import alerts
from core.db import db, utc_now, write
from core.jobs import lock_holders
from core.jobs.attempts import Attempt
from core.jobs.dead_locks import remove_dead_locks
from core.models import Config, Copy, Point
from core.points import points
from core.retention import retention
from core.storages import storages
from repository.forget import forget
from repository.locks import lock_repository
from repository.progress import Progress
from repository.repository import Repository

# Why a copy lies there that nobody wants back, not even as the last of its config.
WITH_CONFIG = "deleted together with its config"
# Jobs of ours end, and the next run empties the trash; one that never ends must not go unnoticed.
MAY_WAIT = timedelta(hours=24)
_BY_HAND = "removed by "

_log = logging.getLogger(__name__)


def throw_in(repository_id: str, reasons: dict[int, str], config_id: str | None = None) -> int:
    """Put the live copies of points on a repository into the trash; `reasons` by point. Return how many.

    With `config_id`, only those that its rule lets go even now: a job on its other destination may have
    trashed the copies meanwhile that were to stay.
    """
    if not reasons:
        return 0
    now, number = utc_now(), 0
    with write() as session:
        leaving = set(reasons) if config_id is None else reasons.keys() & _leaving(config_id, repository_id)
        there = select(Copy).where(Copy.point_id.in_(leaving), Copy.repository_id == repository_id)
        for copy in session.scalars(there):
            if points.is_live(copy) and copy.point.pinned_at is None:  # pinned since it was decided
                copy.trashed_at, copy.trash_reason = now, reasons[copy.point_id]
                number += 1
    return number


def _leaving(config_id: str, repository_id: str) -> set[int]:
    config = db.session.get_one(Config, config_id)
    destination = next((each for each in config.destinations if each.repository_id == repository_id), None)
    decisions = retention.plan(config, destination=destination) if destination else []
    return {each.point.id for each in decisions if not each.keep}


def by_hand(name: str) -> str:
    """Return the reason for what a person put into the trash: that is not taken out to rescue anything."""
    return f"{_BY_HAND}{name}"


def is_by_hand(copy: Copy) -> bool:
    """Tell whether a person put a copy into the trash."""
    return copy.trashed_at is not None and copy.trash_reason.startswith(_BY_HAND)


def rescue(config_id: str) -> None:
    """Take the newest point out of the trash if no good one is left: the last good one is always kept.

    What a person put there stays: only an admin may, and was told that it is the last.
    """
    if points.latest(config_id) is not None:
        return
    query = select(Point).where(Point.config_id == config_id).order_by(Point.taken_at.desc())
    with write() as session:
        # Those from the future last: one of them may be all there is, but is no good point.
        for point in sorted(session.scalars(query), key=points.is_from_future):
            there = [copy for copy in point.copies if _may_come_back(copy)]
            for copy in there:
                copy.trashed_at, copy.trash_reason = None, ""
            if there:
                _log.warning("point %s was taken out of the trash: no other is left", point.id)
                return


def _may_come_back(copy: Copy) -> bool:
    return points.is_in_trash(copy) and copy.trash_reason != WITH_CONFIG and not is_by_hand(copy)


def empty(attempt: Attempt, repo: Repository, repository_id: str) -> tuple[int, list[str]]:
    """Remove the snapshots that were in the trash for seven days, under an exclusive lock.

    Return how many, and the name of the storage if that should have been done a day ago and could not.
    """
    if not _to_forget(repository_id):
        return 0, []
    remove_dead_locks(repo)
    if lock_holders.are_all_ours(repo):
        attempt.log.add("info", "The trash is emptied by a later run: another job is using the repository.")
        return 0, _tell_full(repository_id)
    with lock_repository(repo, exclusive=True, on_lock_id=attempt.hold_lock) as lock:
        # Again: a copy that held the repository until now may have taken some out.
        snapshot_ids = _to_forget(repository_id)
        attempt.report(Progress("forgetting", 0, len(snapshot_ids)))
        forget(repo, [bytes.fromhex(name) for name in snapshot_ids], lock)
        with write() as session:
            for copy in session.scalars(select(Copy).where(Copy.snapshot_id.in_(snapshot_ids))):
                if copy.repository_id == repository_id:
                    copy.forgotten_at = utc_now()
    alerts.resolve(f"trash:{repository_id}")
    return len(snapshot_ids), []


def _to_forget(repository_id: str) -> list[str]:
    """Return the snapshots that may go, after whatever is needed was taken out of the trash."""
    # Of every config, also of deleted ones and of those that this run is not about.
    for config_id in {copy.point.config_id for copy in _due(repository_id)}:
        if config_id is not None:
            rescue(config_id)
    _rescue_what_was_lost_elsewhere(repository_id)
    snapshot_ids = [copy.snapshot_id for copy in _due(repository_id) if not _is_all_that_answers(copy)]
    db.session.rollback()
    return snapshot_ids


def _rescue_what_was_lost_elsewhere(repository_id: str) -> None:
    """Take out what was trashed because another copy was to stay, if that one is lost or damaged by now."""
    needed = [copy.id for copy in _due(repository_id) if _should_have_stayed_elsewhere(copy.point)]
    if not needed:
        return
    with write() as session:
        for copy_id in needed:
            copy = session.get_one(Copy, copy_id)
            copy.trashed_at, copy.trash_reason = None, ""
            _log.warning("point %s was taken out of the trash: its other copy is gone", copy.point_id)


def _should_have_stayed_elsewhere(point: Point) -> bool:
    gone = [copy for copy in point.copies if copy.lost_at is not None or copy.damaged_at is not None]
    if any(is_by_hand(copy) for copy in point.copies):
        return False
    return not points.is_good(point) and any(copy.trashed_at is None for copy in gone)


def _is_all_that_answers(copy: Copy) -> bool:
    """Tell whether all that was to stay is on storages that do not answer: who knows what is left there."""
    live = [other for other in copy.point.copies if points.is_live(other)]
    return bool(live) and all(other.repository.storage.unreachable_since is not None for other in live)


def _due(repository_id: str) -> Sequence[Copy]:
    query = select(Copy).where(
        Copy.repository_id == repository_id,
        Copy.trashed_at <= utc_now() - retention.TRASH_FOR,
        Copy.forgotten_at.is_(None),
        Copy.lost_at.is_(None),
    )
    return db.session.scalars(query).all()


def _tell_full(repository_id: str) -> list[str]:
    """Alert if the trash should have been emptied a day ago; return the name of its storage then."""
    long_ago = utc_now() - retention.TRASH_FOR - MAY_WAIT
    may_go = [copy for copy in _due(repository_id) if not _is_all_that_answers(copy)]
    late = [copy for copy in may_go if copy.trashed_at and copy.trashed_at <= long_ago]
    if not late:
        return []
    storage = storages.get_repository(repository_id).storage
    name, storage_id = storage.name, storage.id
    alerts.raise_alert(
        f"trash:{repository_id}", "retention", "warning",
        f"The trash on {name} could not be emptied for more than a day: other jobs use it all the time.",
        f"{words.count(len(late), 'point')} in it go on using space. Nothing is lost.",
        "See which jobs run there. Cancel one that hangs, then run `flask backup cleanup`.",
        storage_id=storage_id,
    )  # fmt: skip
    return [name]
