"""What the pages of storages show, gathered from core."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flask import render_template
from flask.typing import ResponseReturnValue

from core import words
from core.configs import configs
from core.errors import HoldfastError, Invalid, Unreachable
from core.models import Config, Storage
from core.retention import pruning
from core.storages import providers, storage_setup, storage_usage, storage_uses, storages, usage_by_day
from webapp import charts
from webapp.forms import Form
from webapp.storages import storage_form

CHART_DAYS = 90
_NO_CONFIG = "No config"
_OTHERS = "Other configs"
_REST = "Indexes, trash, and the like"


@dataclass(frozen=True, slots=True)
class Card:
    """A storage in short; `trouble` says why it cannot be used now."""

    storage: Storage
    usage: storage_usage.Usage
    where: str
    copies: int
    configs: Sequence[Config]
    trouble: str


@dataclass(slots=True)
class Seen:
    """What a look at the place of a form has shown: the server's keys, what is there, or trouble."""

    keys: list[Any] = field(default_factory=list)
    ticked: set[str] = field(default_factory=set)
    look: storage_setup.Look | None = None
    probe: storage_setup.Probe | None = None
    trouble: str = ""
    advice: str = ""


def cards() -> list[Card]:
    """Return all storages in short, by name."""
    return [card_of(storage) for storage in storages.list_all()]


def card_of(storage: Storage, uses: storage_uses.Uses | None = None) -> Card:
    """Return one storage in short. One on this machine is looked at; of others the row says how it stands.

    `uses`: what depends on it, if that is known already.
    """
    trouble = _trouble(storage)
    used_by, copies = (uses.configs, uses.copies) if uses else storage_uses.in_short(storage.id)
    storage = storages.get(storage.id)  # the look may have changed its row
    return Card(storage, storage_usage.of(storage), providers.where(storage), copies, used_by, trouble)


def show_page(storage: Storage) -> ResponseReturnValue:
    """Render a storage's page."""
    return render_template(
        "storages/show.html",
        card=card_of(storage),
        chart=_chart(storage),
        by_config=storage_usage.by_config(storage),
        places={one.id: providers.restic_place(storage, one.prefix) for one in storage.repositories},
        prunes=[(one, pruning.last(one.id), pruning.pending(one.id)) for one in storage.repositories],
        pays_from=pruning.PAYS_FROM,
        own_password=_has_own_password(storage),
    )


def form_page(
    form: Form, storage: Storage | None = None, *, seen: Seen | None = None, status: int = 200
) -> ResponseReturnValue:
    """Render the form of a storage, new or changed, with what a look has shown."""
    if seen is None:
        seen = _keys_of(form, ask=bool(form.error("host_keys")))
    template = "storages/edit.html" if storage else "storages/new.html"
    provider = form.value("provider")
    page = render_template(template, form=form, provider=provider, storage=storage, seen=seen)
    return page, status


def delete_page(storage: Storage, status: int = 200) -> ResponseReturnValue:
    """Render what deleting a storage means, or why it cannot be."""
    uses = storage_uses.uses(storage.id)
    reasons = storage_uses.why_not_delete(storage.id, uses)
    page = render_template(
        "storages/delete.html",
        reasons=reasons,
        orphans=uses.orphans,
        alone=None if reasons else storage_uses.alone_on(storage.id),
        own_password=_has_own_password(storage),
        card=card_of(storage, uses),
    )
    return page, status


def replace_page(storage: Storage, form: Form, status: int = 200) -> ResponseReturnValue:
    """Render the form that names a new place for a lost storage."""
    seen = _keys_of(form, ask=bool(form.error("host_keys")))
    uses = storage_uses.uses(storage.id)
    page = render_template(
        "storages/replace.html", form=form, provider=storage.provider, storage=storage, seen=seen, uses=uses
    )
    return page, status


def _has_own_password(storage: Storage) -> bool:
    """Tell whether the recovery key does not open what is there: it was taken over with its password."""
    return any(storages.has_own_password(record) for record in storage.repositories)


def known_to(form: Form) -> Storage | None:
    """Return the storage that a form changes, if it is not a new one. Raises NotFound."""
    return storages.get(form.value("storage_id")) if form.value("storage_id") else None


def look_at(form: Form, known: Storage | None = None) -> Seen:
    """Look at the place that a form names and try it with a probe; what goes wrong is told, not raised."""
    seen = _keys_of(form, ask=not form.values("host_keys"))
    if seen.trouble or (seen.keys and not seen.ticked):
        return seen
    try:
        data = storage_form.to_input(_with_name(form), known)
        seen.look = storage_setup.look(data, form.value("password_there"))
        if seen.look.kind != "missing" and (seen.look.ok or known):
            seen.probe = storage_setup.probe(data)
    except HoldfastError as error:
        _tell(seen, form, error)
        if form.error("host_keys"):
            seen.keys = _keys_of(form, ask=True).keys  # another key answers: show it beside the pinned one
    return seen


def _with_name(form: Form) -> Form:
    """Let a place be looked at before the storage has a name."""
    return form if form.value("name").strip() else form.changed({"name": "New storage"})


def _keys_of(form: Form, *, ask: bool) -> Seen:
    """Return the keys that are ticked, beside those that the server shows, if it is asked."""
    if form.value("provider") != "sftp":
        return Seen()
    ticked = storage_form.pinned_keys(form)
    seen = Seen(ticked, {key.line for key in ticked})
    if not ask:
        return seen
    try:
        shown = storage_form.ask_host_keys(form)
        seen.keys = shown + [key for key in ticked if key.line not in {one.line for one in shown}]
    except HoldfastError as error:
        _tell(seen, form, error)
    return seen


def _tell(seen: Seen, form: Form, error: HoldfastError) -> None:
    form.refuse(error)
    fields = error.fields.values() if isinstance(error, Invalid) else [error.message]
    seen.trouble, seen.advice = " ".join(fields), error.advice


def _trouble(storage: Storage) -> str:
    if storage.provider != "local":
        why = words.ended(f"It is unreachable: {storage.unreachable_reason}")
        return why if storage.unreachable_since else ""
    try:
        storages.open_adapter(storage, providers.A_GLANCE).close()  # an unplugged disk is noticed at once
    except Unreachable as error:
        return str(error)
    return ""


def _chart(storage: Storage) -> charts.Chart | None:
    """Draw what was used, day by day, with the share of each config."""
    names = {one.id: one.name for one in configs.names()} | {usage_by_day.OTHERS: _OTHERS}
    days = [
        (day.day, shares(day.added, names, day.used_bytes))
        for day in usage_by_day.over_time(storage, CHART_DAYS)
        if day.used_bytes is not None
    ]
    return charts.stack(days, storage.quota_bytes, last=_REST)


def shares(added: Mapping[str, int], names: Mapping[str, str], used_bytes: int) -> dict[str, int]:
    """Divide what is used by what each config has ever added; the rest goes by a name of its own.

    What was added and freed again is not known by config: then all shares shrink alike.
    """
    found: dict[str, int] = {}
    for config_id, size in added.items():
        name = names.get(config_id, _NO_CONFIG)
        found[name] = found.get(name, 0) + size
    total = sum(found.values())
    if total > used_bytes:
        found = {name: size * used_bytes // total for name, size in found.items()}
    return found | {_REST: used_bytes - sum(found.values())}
