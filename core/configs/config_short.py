"""All that is known of many configs, for reports and monitoring: a handful of queries, however many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from core.configs import objectives, states
from core.configs.objectives import Age
from core.configs.states import Facts, Looked, State
from core.models import Config


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a config; the time to restore is among its facts."""

    config: Config
    state: State
    facts: Facts
    rpo: Age


def of_all(every: Sequence[Config], looked: Looked, now: datetime) -> Iterator[Known]:
    """Yield what is known of each config, in their order; `looked`: their states."""
    facts = states.facts_of(every, now, looked.newest)
    restores = objectives.latest_of(every)
    for config in every:
        own = replace(facts[config.id], restore_time=restores.get(config.id))
        age = objectives.age_of(config, looked.newest.get(config.id), now)
        yield Known(config, looked.states[config.id], own, age)
