"""What every template may use beside its own values: counts for the rail, theme, small look-ups."""

from __future__ import annotations

import shlex
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from zoneinfo import ZoneInfo

from flask import Flask, g, request, url_for

from core.alerting import alerts
from core.configs import objectives, timing
from core.jobs import jobs
from core.models import Config, Job, Point
from core.points import points, tokens
from core.restores import restores
from core.retention.retention_rules import TIERS
from core.schedules import cron_words
from core.storages import storages
from webapp import setup, wording
from webapp.access import sessions
from webapp.configs import config_cards, config_form, config_words, destination_form, timing_form

_SENTENCES = {
    "Paused": "{name} is paused.",
    "Running": "{name} is being backed up now.",
    "Failing": "{name} needs you: it is not being backed up.",
    "Late": "{name} needs you: its backup is late.",
    "Degraded": "{name} is degraded: it is backed up, but not every copy is where it should be.",
    "New": "{name} has no backup yet.",
    "Protected": "{name} is protected.",
}


@dataclass(frozen=True, slots=True)
class RailCounts:
    """Numbers on the rail."""

    running: int
    alerts: int
    storages: int


def register(app: Flask) -> None:
    """Give the templates these values and filters."""
    # Flask's own `config` would stand in for a config of ours wherever a page has none, and holds secrets.
    del app.jinja_env.globals["config"]
    app.jinja_env.globals.update(
        theme=sessions.chosen_theme,
        rail_counts=_rail_counts,
        here_page_url=_here_page_url,
        icons_url=_icons_url,
        log_page_url=_log_page_url,
        SETUP_STEPS=setup.STEPS,
        root_token=tokens.token_from_path(b"/"),
        restore_objective=objectives.rto_of,
        rpo_now=objectives.rpo_now,
        timing_words=lambda config: timing.words_of(timing.of(config)),
        config_types=config_form.TYPES,
        database_ssl_modes=config_form.SSL_MODES,
        config_schedules=config_form.SCHEDULES,
        config_weekdays=config_form.WEEKDAYS,
        config_compressions=config_form.COMPRESSIONS,
        config_zones=_zones,
        destination_places=destination_form.places,
        destination_can_add=destination_form.can_add,
        destination_repositories=destination_form.repositories,
        destination_tiers=TIERS,
        destination_whens=destination_form.WHEN_CHOICES,
        destination_keeps=destination_form.KEEPS,
        timing_is_open=timing_form.is_open,
        config_sentence=_config_sentence,
        points_page_url=_points_page_url,
        conflict_choices=[(key, text[:1].upper() + text[1:], "") for key, text in restores.CONFLICTS.items()],
    )
    app.add_template_filter(cron_words.describe, "in_words")
    app.add_template_filter(objectives.measured_by, "restore_time")
    app.add_template_filter(config_words.what_of, "what_of")
    app.add_template_filter(config_words.type_icon, "type_icon")
    app.add_template_filter(_point_look, "point_look")
    app.add_template_filter(_path_of_token, "path_of_token")
    app.add_template_filter(_clock, "clock")
    app.add_template_filter(tokens.printable, "printable")
    app.add_template_filter(shlex.quote, "shell")


def _rail_counts() -> RailCounts:
    away = sum(storage.unreachable_since is not None for storage in storages.list_all())
    return RailCounts(jobs.count_running(), alerts.count_open(), away)


def _icons_url() -> str:
    """Return the address of all icons, made once a page: some show a thousand."""
    if "icons_url" not in g:
        g.icons_url = url_for("static", filename="vendor/lucide-1.62.0.svg")
    return str(g.icons_url)


def _here_page_url(number: int) -> str:
    """Return the address of this page with another page number; its filters stay."""
    values = {**request.args.to_dict(), **(request.view_args or {}), "page": number}
    return url_for(str(request.endpoint), **values)


def _log_page_url(job: Job, problems_only: bool) -> Callable[[int], str]:
    lines = "problems" if problems_only else None
    show = partial(url_for, "jobs.show", job_id=job.id, lines=lines, _anchor="log")
    return lambda number: show(page=number)


@lru_cache(maxsize=1)
def _zones() -> list[str]:
    return sorted(name for name in zoneinfo.available_timezones() if "/" in name or name == "UTC")


def _point_look(point: Point) -> wording.Look:
    """Return how a point stands: good, with files missing, damaged, in the trash, gone."""
    if points.is_good(point):
        missing = wording.Look("warn", "triangle-alert", "Warning")
        return missing if point.warnings else wording.Look("good", "circle-check", "Good")
    if any(copy.damaged_at and not copy.forgotten_at and not copy.lost_at for copy in point.copies):
        return wording.Look("bad", "circle-x", "Damaged")
    if any(copy.trashed_at and not copy.forgotten_at and not copy.lost_at for copy in point.copies):
        return wording.Look("none", "trash-2", "In the trash")
    return wording.Look("bad", "circle-x", "Gone")


def _config_sentence(card: config_cards.Card) -> str:
    """Return the first line of a config's page."""
    name = card.config.name
    if card.config.deleted_at is not None:
        return f"{name} is deleted."
    return _SENTENCES[card.state.word].format(name=name)


def _points_page_url(config: Config) -> Callable[[int], str]:
    chosen = request.args.get("range")
    show = partial(url_for, "configs.show", config_id=config.id, range=chosen, _anchor="points")
    return lambda number: show(page=number)


def _path_of_token(token: str) -> str:
    return tokens.printable(tokens.path_from_token(token))


def _clock(moment: datetime, zone: str) -> str:
    """Return day and time on the wall clock of a zone: "Mon 23 Nov, 03:00"."""
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%a} {local.day} {local:%b, %H:%M}"
