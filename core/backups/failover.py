"""Failover: a backup whose destination is down goes to the next one that may take its place, as a warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from core import words
from core.db import db
from core.errors import Unreachable
from core.jobs.attempts import Attempt
from core.jobs.outcomes import Outcome
from core.models import Config
from core.storages import storages
from storage_adapters.errors import StorageError


def candidates(config_id: str) -> list[str]:
    """Return the repositories that a backup may go to: the first, then those encrypted no worse."""
    config = db.session.get_one(Config, config_id)
    first = config.destinations[0].repository
    return [row.repository_id for row in config.destinations if row.repository.encrypted >= first.encrypted]


def to_first_that_answers(
    attempt: Attempt, record_ids: Sequence[str], back_up: Callable[[str, str], Outcome]
) -> Outcome:
    """Call `back_up` with a repository and why it is not the first, until one's storage is not down.

    What is wrong with the first is raised if all are down; any other error is raised at once.
    """
    passed: list[str] = []
    first: Exception | None = None
    for record_id in record_ids:
        try:
            return back_up(record_id, _why(record_id, passed))
        except (Unreachable, StorageError) as error:
            gone = _gone(record_id, error)
            if gone is None:
                raise
            first = first or error
            passed.append(gone.message)
            attempt.log.add("warning", gone.message)
    assert first is not None  # a config has a destination
    raise first


def told(outcome: Outcome, passed_over: str) -> Outcome:
    """Return an outcome that says so, if a backup went elsewhere than it should; never "completed" then."""
    if not passed_over:
        return outcome
    return replace(
        outcome,
        status="warning",
        summary=f"{outcome.summary} {passed_over}",
        meaning=f"{outcome.meaning} The point is missing where it should be until it is copied there, which "
        "happens by itself.",
        advice=outcome.advice or "See why that storage is down. Nothing else has to be done.",
    )


def _gone(record_id: str, error: Exception) -> Unreachable | None:
    """Return that the storage is down, if that is behind the error."""
    db.session.rollback()
    storage = storages.get_repository(record_id).storage
    found = storages.gone_behind([storage], error)
    return found if isinstance(found, Unreachable) else None


def _why(record_id: str, passed: Sequence[str]) -> str:
    if not passed:
        return ""
    name = storages.get_repository(record_id).storage.name
    return words.ended(f"It went to {name} instead. {' '.join(passed)}")
