"""A storage in words: its state, its first line, what it costs."""

from __future__ import annotations

from flask import Flask, url_for

from core import app_state
from core.models import Storage
from core.storages import limit_hours, storage_usage
from webapp.access import access
from webapp.storages import storage_form, storage_pages
from webapp.wording import Look

NEARLY_FULL = 0.8


def look(card: storage_pages.Card) -> Look:
    """Return how a storage stands: unreachable, full, nearly full, reachable."""
    if card.trouble:
        return Look("bad", "unplug", "Unreachable")
    share = card.usage.quota_share or 0
    if share >= 1:
        return Look("bad", "circle-alert", "Full")
    if share >= NEARLY_FULL:
        return Look("warn", "triangle-alert", "Nearly full")
    return Look("good", "circle-check", "Reachable")


def sentence(card: storage_pages.Card) -> str:
    """Return the first line of a storage's page."""
    endings = {
        "Unreachable": "cannot be reached",
        "Full": "is full: new backups there wait",
        "Nearly full": "answers, and is nearly full",
        "Reachable": "answers",
    }
    return f"{card.storage.name} {endings[look(card).word]}"


def money(usage: storage_usage.Usage) -> str:
    """Say what a month costs: "1.20 EUR"."""
    if usage.cost_per_month is None:
        return "unknown"
    if 0 < usage.cost_per_month < 0.01:
        return f"less than 0.01 {usage.currency}".strip()
    return f"{usage.cost_per_month:,.2f} {usage.currency}".strip()


def hours(storage: Storage) -> str:
    """Say at which hours a storage's limits hold."""
    return limit_hours.words_of(storage.limit_hours, app_state.settings().timezone)


def url(storage_id: str | None) -> str:
    """Return the address of a storage's page; of its place in the list for those who may not open it."""
    if storage_id and access.may("admin"):
        return url_for("storages.show", storage_id=storage_id)
    return url_for("storages.index", _anchor=f"storage-{storage_id}" if storage_id else None)


def register(app: Flask) -> None:
    """Give the templates these words, and the kinds of storages."""
    app.add_template_filter(look, "storage_look")
    app.add_template_filter(sentence, "storage_sentence")
    app.add_template_filter(money)
    app.add_template_filter(hours, "limit_hours")
    app.jinja_env.globals.update(
        storage_url=url,
        storage_providers=storage_form.PROVIDERS,
        storage_icons=storage_form.ICONS,
        storage_labels={one.key: one.label for one in storage_form.PROVIDERS},
        storage_media=storage_form.MEDIA,
        storage_path_styles=storage_form.PATH_STYLES,
    )
