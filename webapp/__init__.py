"""The HTTP door: pages, fragments, logins and the commands of `flask`. Parse -> one core call -> answer."""

from __future__ import annotations

import os

from flask import Flask
from flask_wtf.csrf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter

from core import app_state, secrets
from core.db import db
from core.settings import PROJECT_DIR, Settings, SettingsError, load
from jobs import tasks
from webapp import (
    compression,
    equivalents,
    failures,
    formats,
    page_values,
    security,
    setup,
    shell_lines,
    wording,
)
from webapp.access import access, auditing, logins, second_factor, sessions, tokens
from webapp.access import audit as audit_page
from webapp.alerting import alert_words, alerts, channels
from webapp.api import routes as api
from webapp.commands import registry
from webapp.components import components
from webapp.configs import configs, pings
from webapp.hosts import here_map, host_gates, host_looks, host_rights, host_words, hosts
from webapp.jobs import job_many, job_numbers, job_words
from webapp.jobs import jobs as job_pages
from webapp.points import built_downloads, compare, copy_words, diffs, pins, points, removals, search, trash
from webapp.reports import metrics, overview, reports
from webapp.restores import leftovers, restores
from webapp.settings import settings as settings_pages
from webapp.settings import transfer, upkeep
from webapp.storages import storage_words, storages

LARGEST_ID = 2**63 - 1
_DIGITS = len(str(LARGEST_ID))
MOST_FORM_BYTES = 4 * 1024 * 1024

_PAGES = (
    overview,
    setup,
    sessions,
    configs,
    job_pages,
    job_many,
    points,
    built_downloads,
    search,
    diffs,
    removals,
    pins,
    trash,
    restores,
    storages,
    here_map,
    host_gates,
    host_looks,
    hosts,
    host_rights,
    alerts,
    channels,
    pings,
    reports,
    metrics,
    compare,
    leftovers,
    settings_pages,
    tokens,
    transfer,
    logins,
    second_factor,
    audit_page,
    api,
    upkeep,
    components,
)
_PARTS = (
    access,
    auditing,
    alert_words,
    compression,
    copy_words,
    equivalents,
    failures,
    formats,
    host_words,
    job_numbers,
    job_words,
    page_values,
    security,
    shell_lines,
    storage_words,
    upkeep,
    wording,
)


class RowIdConverter(IntegerConverter):
    """A number in an address. One beyond 64 bits is taken for the largest, which no row has: were it refused
    here, a method that another rule has would make it a 405."""

    def to_python(self, value: str) -> int:
        """See BaseConverter."""
        return LARGEST_ID if len(value) > _DIGITS else min(int(value), LARGEST_ID)


def create_app(given: Settings | None = None) -> Flask:
    """Prepare this process and return the app. `given`: instead of what the environment says.

    Raises core.settings.SettingsError with one sentence.
    """
    found = given or load()
    app_state.prepare(found)
    tasks.bind(found)
    app = Flask(__name__, template_folder=_templates())
    app.url_map.converters["int"] = RowIdConverter
    _configure(app, found)
    if found.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, found.proxies, found.proxies)  # type: ignore[method-assign]
    db.init_app(app)
    CSRFProtect(app)
    for part in _PARTS:
        part.register(app)
    for page in _PAGES:
        app.register_blueprint(page.blueprint)
    registry.register(app)
    return app


def create_app_or_exit() -> Flask:
    """Return the app for a server or `flask`; a setting that cannot be used ends the process, saying so."""
    try:
        return create_app()
    except SettingsError as error:
        raise SystemExit(str(error)) from error


def _configure(app: Flask, found: Settings) -> None:
    app.config.update(
        SECRET_KEY=secrets.derive("session"),
        SQLALCHEMY_DATABASE_URI=found.database_url,
        WTF_CSRF_SECRET_KEY=secrets.derive("csrf"),
        # Bound to the browser's session instead: a page left open over lunch must still work.
        WTF_CSRF_TIME_LIMIT=None,
        WTF_CSRF_CHECK_DEFAULT=False,  # webapp.access.access checks it: who comes with a token needs none
        SESSION_COOKIE_NAME="holdfast_form",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=MOST_FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=MOST_FORM_BYTES,
        MAX_FORM_PARTS=20_000,
    )
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True


def _templates() -> str:
    return os.path.join(PROJECT_DIR, "templates")
