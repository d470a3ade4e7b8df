"""Numbers over all: how safe everything is, how backups went, what storages hold."""

from __future__ import annotations

from collections import Counter

from pydantic import ConfigDict

from core.configs import configs, states, success
from core.db import utc_now
from core.jobs import jobs, nodes
from core.storages import storages
from webapp.api import door
from webapp.api.answers import Out


class SuccessOut(Out):
    """How the backups that ended within so many days went. `rate`: 0 to 1, null if none ended."""

    days: int
    good: int
    bad: int
    missed: int
    rate: float | None

    model_config = ConfigDict(from_attributes=True)


class StorageStats(Out):
    """What a storage holds. Null: not measured yet."""

    id: str
    name: str
    provider: str
    used_bytes: int | None
    quota_bytes: int | None
    reachable: bool


class StatsOut(Out):
    """The verdict of the Overview, and numbers over all."""

    level: str
    verdict: str
    reasons: list[str]
    worker_running: bool
    configs: dict[str, int]
    good_points: int
    running_jobs: int
    success: list[SuccessOut]
    storages: list[StorageStats]


@door.operation("GET", "/backup/stats", "viewer", answer=StatsOut)
def get_stats() -> StatsOut:
    """Return whether all is safe, and numbers over all. `configs` counts them by state."""
    every, now = configs.list_all(), utc_now()
    looked = states.look(every, now)
    verdict = states.verdict_of(every, looked, now)
    by_state = Counter[str](state.word for state in looked.states.values())
    return StatsOut(
        level=verdict.level, verdict=verdict.sentence, reasons=[reason.text for reason in verdict.reasons],
        worker_running=nodes.worker_lives(), configs=dict(by_state), good_points=success.good_points(),
        running_jobs=jobs.count_running(),
        success=[SuccessOut.model_validate(each) for each in success.rates()],
        storages=[
            StorageStats(
                id=each.id, name=each.name, provider=each.provider, used_bytes=each.used_bytes,
                quota_bytes=each.quota_bytes, reachable=each.unreachable_since is None,
            )
            for each in storages.list_all()
        ],
    )  # fmt: skip
