"""A config in words: the live summary beside its form."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from core import cron_words, retention, schedules, storages
from core.configs import ConfigInput
from core.db import utc_now
from core.errors import Invalid
from core.models import Config
from webapp import config_form, formats
from webapp.forms import Form

RUNS_SHOWN = 5


@dataclass(slots=True)
class Summary:
    """What the form says so far. A part that cannot be said yet carries its reason instead."""

    paths: list[str]
    rules: str
    schedule: str
    kept: str
    target: str
    zone: str = "UTC"
    runs: list[datetime] = field(default_factory=list)
    removal: retention.Preview | None = None


def summarise(form: Form, config: Config | None = None) -> Summary:
    """Say what a form means; with the `config` it changes, also which of its points would go."""
    zone = form.value("timezone") or "UTC"
    summary = Summary(form.lines("paths"), _rules(form), "", _kept_of(form), _target(form), zone)
    try:
        cron = schedules.validate(config_form.cron_of(form), zone)
        summary.schedule = cron_words.describe(cron, zone)
        summary.runs = schedules.next_runs(cron, zone, RUNS_SHOWN, utc_now())
    except Invalid as error:
        summary.schedule = str(error)
    if config is not None:
        summary.removal = _removal(form, config)
    return summary


def kept(days: int | None, max_backups: int | None) -> str:
    """Say a retention rule as a sentence."""
    if days is None and max_backups is None:
        return "Every point is kept for ever."
    if max_backups is None:
        return f"Points are kept for {formats.count(days, 'day')}; the last good one always."
    newest = "The newest point is" if max_backups == 1 else f"The newest {max_backups} points are"
    if days is None:
        return f"{newest} kept; the last good one always."
    return f"{newest} kept, none longer than {formats.count(days, 'day')}; the last good one always."


def kept_by(config: Config) -> str:
    """Say the retention rule of a config as a sentence."""
    return kept(config.retention.get("days"), config.retention.get("max_backups"))


def of_rule(data: ConfigInput) -> retention.Rule:
    """Return a config input's rule as retention takes it."""
    return retention.Rule(data.retention.days, data.retention.max_backups)


def _rules(form: Form) -> str:
    names = ("exclude", "iexclude", "exclude_if_present")
    number = sum(len(form.lines(name)) for name in names)
    number += sum(
        bool(form.value(name)) for name in ("exclude_caches", "exclude_larger_than", "one_file_system")
    )
    return f"{formats.count(number, 'rule')} of yours" if number else "nothing by rules of yours"


def _kept_of(form: Form) -> str:
    try:
        return kept(_limit(form, "retention.days"), _limit(form, "retention.max_backups"))
    except ValueError:
        return "The numbers under “How long to keep” are not numbers yet."


def _limit(form: Form, name: str) -> int | None:
    text = form.value(name).strip()
    return int(text) if text else None


def _target(form: Form) -> str:
    records = storages.list_repositories()
    chosen = [one for one in records if one.id == form.value("repository_id")] or list(records[:1])
    return chosen[0].storage.name if chosen else "no storage yet"


def _removal(form: Form, config: Config) -> retention.Preview | None:
    try:
        return retention.preview(config, of_rule(config_form.to_input(form)))
    except Invalid:
        return None  # the form says what is wrong as soon as it is sent
