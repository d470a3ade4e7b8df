"""Configs in short: the cards of the Overview and of the list of configs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from core.alerting import alerts
from core.configs import configs, states
from core.db import utc_now
from core.jobs import nodes
from core.jobs.jobs import Page
from core.models import Alert, Config
from core.storages import recovery

# A strip has thirty cells: more cards make a page that is slow to send and long to read.
CARDS_AT_ONCE = 24
# In this order where not all are shown.
_URGENT = ("Failing", "Late", "Degraded", "New", "Running", "Paused", "Protected")
_TROUBLE = ("Failing", "Late", "Degraded")


@dataclass(frozen=True, slots=True)
class Card:
    """A config in short."""

    config: Config
    state: states.State
    facts: states.Facts
    strip: Sequence[states.Day]


@dataclass(frozen=True, slots=True)
class Board:
    """The Overview: verdict, open alerts, cards of what matters most, how many configs are in each state.

    `active`: something runs, so it will change soon.
    """

    verdict: states.Verdict
    alerts: Sequence[Alert]
    cards: list[Card]
    by_state: Mapping[str, int]
    total: int
    active: bool
    key_unconfirmed: bool
    worker_lives: bool


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the list of configs is filtered by; "" for all."""

    name: str = ""
    state: str = ""
    type: str = ""

    def takes(self, config: Config, state: states.State) -> bool:
        """Tell whether a config is among them."""
        return (
            self.name.strip().casefold() in config.name.casefold()
            and self.state in ("", state.word)
            and self.type in ("", config.type)
        )


def board() -> Board:
    """Return the Overview's facts."""
    now, every = utc_now(), configs.list_all()
    looked = states.look(every, now)
    verdict = states.verdict_of(every, looked, now)
    return Board(
        verdict,
        [alert for alert in alerts.list_open() if not _is_said(alert, verdict)],
        cards(_first(every, looked.states), looked),
        by_state(looked.states),
        len(every),
        any(state.word == "Running" for state in looked.states.values()),
        not recovery.confirmed(),
        nodes.worker_lives(),
    )


def page_of(chosen: Chosen, number: int) -> tuple[Page[Card], Mapping[str, int]]:
    """Return one page of the configs that fit, by name, and how many of all are in each state."""
    every = configs.list_all()
    looked = states.look(every)
    fitting = [config for config in every if chosen.takes(config, looked.states[config.id])]
    last = max(1, -(-len(fitting) // CARDS_AT_ONCE))
    number = min(max(number, 1), last)
    shown = fitting[(number - 1) * CARDS_AT_ONCE : number * CARDS_AT_ONCE]
    return Page(cards(shown, looked), number, CARDS_AT_ONCE, len(fitting)), by_state(looked.states)


def card_of(config: Config) -> Card:
    """Return one config in short, with its measured time to restore."""
    return Card(config, states.state(config), states.facts(config), states.strip(config))


def cards(shown: Sequence[Config], looked: states.Looked) -> list[Card]:
    """Return these configs in short, whose states are found already."""
    facts, strips = states.facts_of(shown, newest=looked.newest), states.strips(shown)
    return [Card(each, looked.states[each.id], facts[each.id], strips[each.id]) for each in shown]


def by_state(found: Mapping[str, states.State]) -> dict[str, int]:
    """Count the configs in each state, the most urgent first."""
    counts = Counter[str](state.word for state in found.values())
    return {word: counts[word] for word in _URGENT if counts[word]}


def _rank_of_trouble(word: str) -> int:
    """Return the place among what needs somebody; one behind all for what does not."""
    return _TROUBLE.index(word) if word in _TROUBLE else len(_TROUBLE)


def _first(every: Sequence[Config], found: Mapping[str, states.State]) -> Sequence[Config]:
    """Return what fits on the Overview: trouble first, then by name; of too many what needs somebody most."""
    if len(every) <= CARDS_AT_ONCE:  # what only runs keeps its place: nothing moves without reason
        return sorted(every, key=lambda config: _rank_of_trouble(found[config.id].word))
    return sorted(every, key=lambda config: _URGENT.index(found[config.id].word))[:CARDS_AT_ONCE]


def _is_said(alert: Alert, verdict: states.Verdict) -> bool:
    """Tell whether the verdict's reasons name this trouble already."""
    if alert.kind not in ("failure", "missed", "interrupted", "unreachable"):
        return False
    about = {(reason.config_id, reason.storage_id) for reason in verdict.reasons}
    return (alert.config_id, None) in about or (None, alert.storage_id) in about
