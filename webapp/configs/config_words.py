"""A config in words: the live summary beside its form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flask import g

from core.configs import config_source, timing
from core.configs.destinations import AFTER
from core.configs.source_database import DatabaseSource
from core.configs.source_files import TreeSource
from core.db import utc_now
from core.errors import Invalid
from core.hosts import hosts
from core.models import Config
from core.retention import retention, retention_rules
from core.schedules import cron_words, fire_times, run_times
from webapp import formats
from webapp.configs import config_form, destination_form, timing_form
from webapp.forms import Form

RUNS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Target:
    """One destination in words; `when` is empty if it is written at each backup."""

    storage: str
    when: str
    kept: str


@dataclass(slots=True)
class Summary:
    """What the form says so far. A part that cannot be said yet carries its reason instead.

    `removals`: by storage, what its rule would remove there. `left`: storages whose points no rule looks at
    any more.
    """

    paths: list[str]
    rules: str
    schedule: str
    targets: list[Target]
    zone: str = "UTC"
    runs: list[datetime] = field(default_factory=list)
    timing: list[str] = field(default_factory=list)
    removals: list[tuple[str, retention.Preview]] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


def summarise(form: Form, config: Config | None = None) -> Summary:
    """Say what a form means; with the `config` it changes, also which of its points would go."""
    zone = form.value("timezone") or "UTC"
    summary = Summary(_what(form), _rules(form), "", _targets(form), zone)
    try:
        cron = fire_times.validate(config_form.cron_of(form), zone)
        summary.schedule = cron_words.describe(cron, zone)
        fields = _timing(form)
        summary.timing = timing.words_of(fields)
        times = run_times.given(cron, zone, fields, config.id if config else "")
        summary.runs = run_times.upcoming(times, RUNS_SHOWN, utc_now())
    except Invalid as error:
        summary.schedule = str(error)
    if config is not None:
        summary.removals, summary.left = _removals(form, config)
    return summary


def _timing(form: Form) -> timing.TimingFields:
    """Return what is said beside the schedule; nothing while it cannot be read."""
    try:
        return timing.TimingFields.model_validate(timing_form.to_input(form))
    except ValueError:
        return timing.TimingFields()


def _what(form: Form) -> list[str]:
    if form.value("type") != "database":
        host_id = form.value("host_id")
        before = f"{_host_name(host_id)}:" if host_id else ""
        return [before + path for path in form.lines("paths")]
    through = f" by way of {_host_name(form.value('host_id'))}" if form.value("host_id") else ""
    where = f" on {form.value('host')}{through}" if form.value("host") else through
    chosen = form.value("which") == "chosen"
    return [name + where for name in form.lines("databases")] if chosen else [f"all databases{where}"]


def what_of(config: Config, most: int | None = None) -> str:
    """Say what a config backs up; of its folders or databases, `most` by name."""
    source = config_source.as_stored(config)
    if most is not None and isinstance(source, TreeSource):
        host_id = config_source.host_of(source)
        return formats.listing(source.paths, most) + (f" of {_host_name(host_id)}" if host_id else "")
    if most is not None and isinstance(source, DatabaseSource):
        names = formats.listing(source.databases, most) if source.which == "chosen" else "all databases"
        through = f" by way of {_host_name(source.host_id)}" if source.host_id else ""
        return f"{names} on {source.host}{through}"
    return config_source.what(source)


def type_icon(config: Config) -> str:
    """Return the icon of a config's type."""
    return {"database": "server", "config": "file-cog"}.get(config.type, "folder")


def kept_by(config: Config) -> str:
    """Say the rule of a config's first destination as a sentence."""
    return _kept(retention.rule_of(config))


def _kept(rule: retention_rules.Rule) -> str:
    words = retention_rules.words_of(rule)
    if words == "everything":
        return "Every point is kept for ever."
    return f"{words[:1].upper()}{words[1:]}; the last good point always."


def _rules(form: Form) -> str:
    names = ("exclude", "iexclude", "exclude_if_present")
    number = sum(len(form.lines(name)) for name in names)
    number += sum(
        bool(form.value(name)) for name in ("exclude_caches", "exclude_larger_than", "one_file_system")
    )
    return f"{formats.count(number, 'rule')} of yours" if number else "nothing by rules of yours"


def _targets(form: Form) -> list[Target]:
    """Return where the points would go, each with what is kept there, as far as the form can be read."""
    names = dict(destination_form.repositories())
    return [_target(one, names, form, place) for place, one in enumerate(destination_form.to_input(form))]


def _target(given: Mapping[str, Any], names: Mapping[str, str], form: Form, place: int) -> Target:
    try:
        rule = retention_rules.rule_from(retention_rules.RetentionRule.model_validate(given["retention"]))
        text = _kept(rule)
    except ValueError:
        text = "The numbers of how long to keep are not numbers yet."
    when = "" if place == 0 or given["when"] == AFTER else _own_schedule(given["when"], form)
    return Target(names.get(given["repository_id"], "no storage yet"), when, text)


def _own_schedule(cron: str, form: Form) -> str:
    zone = form.value("timezone") or "UTC"
    try:
        return f"Copied {cron_words.describe(fire_times.validate(cron, zone), zone)}."
    except Invalid as error:
        return str(error)


def _removals(form: Form, config: Config) -> tuple[list[tuple[str, retention.Preview]], list[str]]:
    try:
        given = {each.repository_id: each for each in config_form.to_input(form).destinations}
    except Invalid:
        return [], []  # the form says what is wrong as soon as it is sent
    removals, left = [], []
    for row in config.destinations:
        name, after = row.repository.storage.name, given.get(row.repository_id)
        if after is None:
            left.append(name)
        elif after.retention is not None:
            found = retention.preview(config, retention_rules.rule_from(after.retention), row)
            removals += [(name, found)] if found.removed else []
    return removals, left


def _host_name(host_id: str) -> str:
    """Return a host's name, all being looked up once a page."""
    if "host_names" not in g:
        g.host_names = {host.id: host.name for host in hosts.list_all()}
    names: dict[str, str] = g.host_names
    return names.get(host_id) or hosts.name_of(host_id)
