"""How safe each config is: one state with its reason, the strip of days, and the verdict over all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from core import app_state, words
from core.alerting import alerts
from core.backups import copy_counts
from core.configs import configs, latest, state_looks
from core.configs.config_facts import Day as Day
from core.configs.config_facts import Facts as Facts
from core.configs.config_facts import facts as facts
from core.configs.config_facts import facts_of as facts_of
from core.configs.config_facts import strip as strip
from core.configs.config_facts import strips as strips
from core.configs.state_looks import GRACE as GRACE
from core.configs.state_looks import State as State
from core.configs.state_looks import Word as Word
from core.db import utc_now
from core.models import Config, Point
from core.schedules import pause
from core.storages import storages


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that needs a person, with what to link to."""

    text: str
    config_id: str | None = None
    job_id: int | None = None
    storage_id: str | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found of configs, by id; `newest`: the newest good point of each that has one."""

    states: Mapping[str, State]
    newest: Mapping[str, Point]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The first line of the Overview. `level`: good, warning (protected, but for what a backup left out),
    waiting (nothing is wrong, not all is protected yet), attention. `sentence` tells no times:
    `last_backup_at` is for the page to word."""

    level: Literal["good", "warning", "waiting", "attention"]
    sentence: str
    reasons: Sequence[Reason]
    last_backup_at: datetime | None


def state(config: Config, now: datetime | None = None) -> State:
    """Return the state of a config: the first that holds."""
    return look([config], now).states[config.id]


def states(shown: Sequence[Config], now: datetime | None = None) -> Mapping[str, State]:
    """Return the state of each config, by its id."""
    return look(shown, now).states


def look(shown: Sequence[Config], now: datetime | None = None) -> Looked:
    """Return the state and the newest good point of each config: a handful of queries for all."""
    now = now or utc_now()
    known, held = latest.of(shown, now), pause.active(now)
    found = {config.id: state_looks.first(config, known[config.id], now, held) for config in shown}
    # Asked for together, and only of those with which nothing else is the matter: it counts their copies.
    whole = copy_counts.whole(config for config in shown if found[config.id] is None)
    every = {
        config.id: found[config.id]
        or (None if config.id in whole else state_looks.lacking(config, now))
        or state_looks.calm(known[config.id])
        for config in shown
    }
    return Looked(every, {key: each.point for key, each in known.items() if each.point is not None})


def verdict(now: datetime | None = None) -> Verdict:
    """Return what the first line of the Overview says, over all configs and all storages."""
    now, every = now or utc_now(), configs.list_all()
    return verdict_of(every, look(every, now), now)


def verdict_of(every: Sequence[Config], looked: Looked, now: datetime) -> Verdict:
    """Return the same from what was found of all configs already."""
    shown, newest = [(config, looked.states[config.id]) for config in every], looked.newest
    last = max((point.taken_at for point in newest.values()), default=None)
    reasons = [*_storage_reasons(), *_config_reasons(shown), *_alert_reasons(shown)]
    if reasons:
        return Verdict("attention", _attention(shown, reasons), reasons, last)
    return _calm_verdict(shown, newest, last, now)


def _calm_verdict(
    shown: Sequence[tuple[Config, State]], newest: Mapping[str, Point], last: datetime | None, now: datetime
) -> Verdict:
    """Return the verdict where nothing needs a person."""
    if not shown:
        return Verdict("waiting", "Nothing is backed up yet.", [], last)
    if (held := pause.active(now)) is not None:
        until = held.words(app_state.settings().timezone)
        return Verdict("waiting", f"Nothing is backed up by itself: all is paused {until}.", [], last)
    incomplete, left_out = _left_out(shown, newest)
    degraded = [
        Reason(f"{config.name}: {found.reason}", config_id=config.id, job_id=found.job_id)
        for config, found in shown
        if found.word == "Degraded"
    ]
    open_ends = [config.name for config, found in shown if not _is_protected(config, found, newest)]
    if open_ends:
        return Verdict("waiting", _not_yet(open_ends, len(shown)), incomplete, last)
    if degraded:
        sentence = f"{_all(len(shown))} protected, but copies are missing."
        return Verdict("warning", sentence, [*degraded, *incomplete], last)
    if incomplete:
        missing = f"{words.count(left_out, 'thing')} that could not be read"
        return Verdict("warning", f"{_all(len(shown))} protected, except for {missing}.", incomplete, last)
    return Verdict("good", f"{_all(len(shown))} protected.", [], last)


def _storage_reasons() -> list[Reason]:
    return [
        Reason(state_looks.unreachable(storage.name, storage), storage_id=storage.id)
        for storage in storages.list_all()
        if storage.unreachable_since is not None
    ]


def _config_reasons(shown: Sequence[tuple[Config, State]]) -> list[Reason]:
    """Name each config that needs somebody; one whose storage is named already is not named again."""
    return [
        Reason(f"{config.name}: {found.reason}", config_id=config.id, job_id=found.job_id)
        for config, found in shown
        if found.needs_person and not state_looks.storage_of(config).unreachable_since
    ]


def _alert_reasons(shown: Sequence[tuple[Config, State]]) -> list[Reason]:
    """Name each open error that no state shows: a damaged or lost snapshot, a restore, retention."""
    named = {config.id for config, found in shown if found.needs_person}
    return [
        Reason(alert.what, config_id=alert.config_id, job_id=alert.job_id, storage_id=alert.storage_id)
        for alert in alerts.list_open()
        if alert.severity == "error" and alert.kind != "unreachable" and alert.config_id not in named
    ]


def _left_out(shown: Sequence[tuple[Config, State]], newest: Mapping[str, Point]) -> tuple[list[Reason], int]:
    """Name each config whose last good point lacks something; return how many things that are in all."""
    reasons, total = [], 0
    for config, _ in shown:
        point = newest.get(config.id)
        if point is not None and point.warnings:
            text = f"{config.name}: the last backup left out {words.count(point.warnings, 'thing')}."
            reasons.append(Reason(text, config_id=config.id, job_id=point.job_id))
            total += point.warnings
    return reasons, total


def _attention(shown: Sequence[tuple[Config, State]], reasons: Sequence[Reason]) -> str:
    number = sum(found.needs_person for _, found in shown)
    if number == 0:
        only_storages = all(reason.storage_id and not reason.config_id for reason in reasons)
        things = words.count(len(reasons), "storage" if only_storages else "thing")
        return f"{things} {'needs' if len(reasons) == 1 else 'need'} you."
    return f"{words.count(number, 'config')} {'needs' if number == 1 else 'need'} you."


def _not_yet(names: Sequence[str], total: int) -> str:
    if len(names) == 1:
        return f"{names[0]} is not protected yet." if total == 1 else f"All but {names[0]} are protected."
    if len(names) == total:
        return f"None of your {total} configs is protected yet."
    return f"{total - len(names)} of {total} configs are protected."


def _is_protected(config: Config, found: State, newest: Mapping[str, Point]) -> bool:
    if found.word in ("Running", "Degraded"):
        return config.id in newest
    return found.word == "Protected"


def _all(number: int) -> str:
    return "Your config is" if number == 1 else f"All {number} configs are"
