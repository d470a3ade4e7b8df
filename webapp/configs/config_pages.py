"""What the pages of one config show, gathered from core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flask import render_template, request
from flask.typing import ResponseReturnValue

from core.alerting import alerts
from core.backups import copying
from core.configs import config_source, configs, states
from core.configs.source_database import DatabasePreview
from core.configs.source_files import FilesSource, TreeSource
from core.errors import Invalid
from core.hosts import host_source, hosts
from core.jobs import jobs
from core.models import Config, Destination, Point
from core.points import points
from core.retention import retention, trash_contents
from webapp import formats
from webapp.configs import config_cards, config_form, config_words, folders
from webapp.forms import Form
from webapp.jobs import progress
from webapp.points import timeline

POINTS_AT_ONCE = 20
# What is proposed for a host, by type: a name, and paths.
_OF_A_HOST = {"files": ("Files", ""), "database": ("Databases", ""), "config": ("Configuration", "/etc")}

list_folders = folders.list_folders


def is_deleted(config_id: str) -> bool:
    """Tell whether this is the id of a config that was deleted."""
    return any(config.id == config_id for config in configs.names() if config.deleted_at)


def show_page(config: Config) -> ResponseReturnValue:
    """Render a config's page; of a deleted one, only its points."""
    formats.use_zone_of(config)
    pending = jobs.pending_of(config.id)
    return render_template(
        "configs/show.html",
        card=config_cards.card_of(config),
        job=pending,
        live=progress.of(pending) if pending else None,
        alerts=alerts.list_open(config_id=config.id),
        kept=config_words.kept_by(config),
        gaps=copying.gaps(config) if config.deleted_at is None else [],
        **points_part(config),
    )


def points_part(config: Config) -> dict[str, Any]:
    """Return the time axis and one page of points, each with what retention does with it and why."""
    formats.use_zone_of(config)
    found = points.list_for(config.id)
    # Decided from the rows that are here: a config may have thousands of points, read them once.
    plans = _plans(config, found)
    return {
        "config": config,
        "axis": timeline.draw(found, request.args.get("range", "30")),
        "ranges": timeline.RANGES,
        "page": points.list_page(
            config_id=config.id, page=request.args.get("page", 1, type=int), per_page=POINTS_AT_ONCE
        ),
        "reasons": _reasons(found, plans),
        "picked": points.latest(config.id),
        "removals": [
            (destination, retention.preview_of(plan))
            for destination, plan in plans
            if any(not one.keep for one in plan)
        ],
        "in_trash": trash_contents.count(config.id),
    }


def for_host(form: Form, host_id: str, paths: Sequence[str] = ()) -> Form:
    """Return the form of a new config for a host, if it is one: nothing of this machine's is proposed.

    `paths`: what somebody has chosen there already.
    """
    kind = form.value("type")
    if not host_id and paths and kind == "files":
        return form.changed({"paths": "\n".join(paths)})
    if not host_id or kind not in _OF_A_HOST:
        return form
    what, usual = _OF_A_HOST[kind]
    name = f"{hosts.get(host_id).name} {what}"
    return form.changed({"host_id": host_id, "name": name, "paths": "\n".join(paths) or usual})


def form_page(
    form: Form, config: Config | None = None, *, preview: object = None, status: int = 200
) -> ResponseReturnValue:
    """Render the form of a config, new or changed; as a step of set-up where it was sent from there."""
    template = "setup/config.html" if form.value("first") and config is None else "configs/form.html"
    summary = config_words.summarise(form, config)
    return render_template(template, form=form, config=config, summary=summary, preview=preview), status


def delete_page(config: Config) -> ResponseReturnValue:
    """Render what deleting a config means."""
    return render_template("configs/delete.html", config=config, facts=states.facts(config))


def config_of(form: Form) -> Config | None:
    """Return the config that a form changes, if it is not a new one. Raises NotFound."""
    return configs.get(form.value("config_id")) if form.value("config_id") else None


def summary_of(form: Form) -> config_words.Summary:
    """Return what a form says so far."""
    return config_words.summarise(form, config_of(form))


def preview_of(form: Form) -> object:
    """Look at what a form would back up. Raises Invalid."""
    try:
        data = config_form.to_input(form)
    except Invalid as error:
        # A preview needs no name and no schedule yet, only what to read.
        if error.fields.keys() & set(config_form.SOURCE_FIELDS.get(form.value("type") or "files", ("type",))):
            raise
        data = config_form.to_input(_with_defaults(form))
    return configs.preview(data, config_id=form.value("config_id") or None)


def require_present(form: Form, data: configs.ConfigInput, before: Config | None = None) -> None:
    """Raise Invalid (`missing`) for folders of this machine that are not there, unless a person said so.

    Those that `before`, the config as it is, names already were confirmed when it was made.
    """
    source = data.source
    if form.value("missing_is_meant") or not isinstance(source, FilesSource) or source.host_id:
        return
    known = before.source.get("paths", []) if before is not None else []
    if trouble := folders.missing([path for path in source.paths if path not in known]):
        raise Invalid({"missing": trouble})


def trouble_with(config: Config) -> str:
    """Say in a sentence what would keep a backup of a config from working now; empty if nothing is known."""
    source = config_source.as_stored(config)
    if isinstance(source, TreeSource) and source.host_id:
        trouble = host_source.trouble_with(source)
        return f"It is saved, but a backup would fail now. {trouble}" if trouble else ""
    if config.type != "database":
        return folders.missing(config.source["paths"])
    try:
        found = configs.preview(configs.to_input(config), config_id=config.id)
    except Invalid as error:
        return f"It is saved, but the test failed. {error.message}"
    if isinstance(found, DatabasePreview) and found.stops:
        why = found.room or "Its user may not read everything."
        return f"It is saved, but a backup would fail. {why} Test it under Change."
    return ""


def _with_defaults(form: Form) -> Form:
    kind = form.value("type") or "files"
    offered = config_form.from_input(configs.offered(kind))
    typed = {name: form.value(name) for name in (*config_form.SOURCE_FIELDS[kind], "config_id")}
    return Form(offered.all() | typed)


Plans = Sequence[tuple[Destination, Sequence[retention.Decision]]]


def _plans(config: Config, found: Sequence[Point]) -> Plans:
    """Return what retention does with the points of each destination."""
    if config.deleted_at is not None:
        return []
    good = [one for one in found if points.is_good(one)]
    return [(each, retention.plan(config, destination=each, good=good)) for each in config.destinations]


def _reasons(found: Sequence[Point], plans: Plans) -> dict[int, list[str]]:
    """Return, by point, why retention keeps it, will remove it, or has; a line a reason."""
    places: dict[int, dict[str, list[str]]] = {}
    for destination, plan in plans:
        for decision in plan:
            text = decision.reason if decision.keep else f"goes to the trash next: {decision.reason}"
            lines = places.setdefault(decision.point.id, {})
            lines.setdefault(text, []).append(destination.repository.storage.name)
    for point in found:
        for copy in point.copies:
            if points.is_in_trash(copy):
                lines = places.setdefault(point.id, {})
                lines.setdefault(f"in the trash: {copy.trash_reason}", []).append(
                    copy.repository.storage.name
                )
    return {key: _lines(each, len(plans)) for key, each in places.items()}


def _lines(places: dict[str, list[str]], storages: int) -> list[str]:
    """Return each reason once, after the storages it is true of; what is true of all names none."""
    return [
        text if len(names) >= storages else f"{' and '.join(names)}: {text}" for text, names in places.items()
    ]
