"""From the JSON of a config to core's input: the short shape, and what stays where nothing is said."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from core import inputs
from core.configs import config_ids, configs, destinations
from core.configs.configs import ConfigInput
from core.db import db
from core.errors import Invalid
from core.models import Config
from core.retention.retention_rules import RetentionRule
from core.storages import recovery
from webapp.api import short_storage
from webapp.api.config_shape import FACTS, Encryption, ShortStorage

_RENAMED = {"cron": "schedule", "repository_id": "storage"}


def new(data: Mapping[str, Any]) -> ConfigInput:
    """Return the input of a new config; a storage that is named and not there is made, if all else is fine.

    Raises Invalid by field, Conflict for an id that is taken, and what making a storage raises.
    """
    config_ids.require_free(db.session(), data.get("id"))
    sent = _decided(data)
    kind = sent.get("type", "files")
    usual = configs.offered(kind if isinstance(kind, str) else "files")
    for name in ("source", "timezone", "retention"):
        sent.setdefault(name, usual[name])
    short = _short(data)
    if "destinations" not in sent and short is None:
        sent["destinations"] = [{**each, "retention": sent["retention"]} for each in usual["destinations"]]
    return _settled(sent, short, None)


def replacement(config: Config, data: Mapping[str, Any]) -> ConfigInput:
    """Return the input that changes a config to what is sent; what is not named stays as it is.

    Raises Invalid by field, and what making a storage raises.
    """
    return _settled(_decided(data), _short(data), config)


def patched(config: Config, data: Mapping[str, Any]) -> ConfigInput:
    """Do the same with a merge patch (RFC 7396): a nested object changes only what it names."""
    before = _stored(config)
    return replacement(config, {name: _merged(before.get(name), value) for name, value in data.items()})


def source_alone(data: Mapping[str, Any]) -> ConfigInput:
    """Return an input that only says what is read, to be looked at. Raises Invalid by field."""
    unknown = [name for name in data if name not in ("type", "source", "config_id")]
    if unknown:
        raise Invalid({unknown[0]: "This field is not known."})
    if not isinstance(data.get("config_id"), str | None):
        raise Invalid({"config_id": "An id is a text."})
    given = {name: value for name, value in data.items() if name != "config_id"}
    return _parse({"name": "preview", **given})


def _decided(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is sent as core's fields, but for the storage; null is as if it were not sent."""
    given = {name: value for name, value in data.items() if name not in FACTS and value is not None}
    for name in ("cron", "repository_id"):
        if name in given:
            raise Invalid({name: "This field is not known."})
    if data.get("schedule", "") is None:
        given["schedule"] = ""
    for name in ("id", "storage"):
        given.pop(name, None)
    _check_encryption(given.pop("encryption", None))
    if "schedule" in given:
        given["cron"] = given.pop("schedule")
    if isinstance(mode := given.get("compression"), bool):
        given["compression"] = "auto" if mode else "off"
    if given.get("destinations") == []:
        raise Invalid({"destinations": "Name at least one, or leave them out."})
    return given


def _short(data: Mapping[str, Any]) -> ShortStorage | None:
    storage = data.get("storage")
    if storage is None:
        return None
    if not isinstance(storage, dict):
        raise Invalid({"storage": "Send an object with provider and config."})
    try:
        return inputs.validate(ShortStorage, storage)
    except Invalid as error:
        raise Invalid({f"storage.{name}": text for name, text in error.fields.items()}) from None


def _check_encryption(given: Any) -> None:
    """Refuse what this version cannot do, before anything is stored as it was not meant."""
    if given is None:
        return
    if not isinstance(given, dict):
        raise Invalid({"encryption": "Send an object with enabled."})
    wanted = inputs.validate(Encryption, given)
    if not wanted.enabled:
        text = (
            "Nothing is stored unencrypted here: every repository is encrypted with the recovery key. "
            "Leave `encryption` out, or send true."
        )
        raise Invalid({"encryption.enabled": text})
    known = (recovery.stored() or "").encode()
    if wanted.key is not None and not hmac.compare_digest(wanted.key.encode(), known):
        text = "This is not the recovery key that was set up, which encrypts all. Leave it out."
        raise Invalid({"encryption.key": text})


def _settled(sent: dict[str, Any], short: ShortStorage | None, config: Config | None) -> ConfigInput:
    listed = sent.pop("destinations", None)
    rule_sent = "retention" in sent
    stored = _stored(config) if config is not None else {}
    stored.pop("destinations", None)
    fields = {**stored, **sent}
    base = _parse(fields)  # all of it, before a storage is made: nothing is left half done
    full = base if listed is None else _parse({**fields, "destinations": listed})
    _check_new(full, config, fields)
    record = short_storage.find_or_make(short, base) if short is not None else None
    chosen = record.id if record is not None else None
    if listed is None:
        return base.model_copy(update={"repository_id": chosen})
    return _agree(full, base.retention if rule_sent else None, chosen, config)


def _check_new(full: ConfigInput, config: Config | None, fields: Mapping[str, Any]) -> None:
    try:
        configs.check_new(full, config.id if config else None)
    except Invalid as error:
        named = {_name_of(field, fields): text for field, text in error.fields.items()}
        raise Invalid(named) from None


def _agree(
    full: ConfigInput, rule: RetentionRule | None, chosen: str | None, config: Config | None
) -> ConfigInput:
    """Return the input whose first destination is what `retention` and `storage` say, if sent too.

    A client that reads a config, changes one of the two and sends all back means what it changed. Raises
    Invalid where both say something new.
    """
    first = full.destinations[0]
    before = destinations.inputs_of(config)[0] if config is not None else None
    rule = _changed("retention", rule, first.retention, before.retention if before else None)
    chosen = _changed("storage", chosen, first.repository_id, before.repository_id if before else None)
    if rule is None and chosen is None:
        return full
    kept = rule or first.retention or RetentionRule()
    return full.model_copy(update={"destinations": destinations.with_first(full.destinations, chosen, kept)})


def _changed(name: str, short: Any, listed: Any, before: Any) -> Any:
    """Return the short value if it counts; None if the listed one does."""
    if short is None or short == listed or (listed is not None and short == before):
        return None
    if listed is None or listed == before:
        return short
    raise Invalid({name: "This says something else than destinations.0: say it once."})


def _stored(config: Config) -> dict[str, Any]:
    return configs.to_input(config).model_dump(mode="json", exclude={"repository_id"})


def _merged(before: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(before, dict):
        return patch
    kept = {name: value for name, value in before.items() if name not in patch}
    return kept | {
        name: _merged(before.get(name), value) for name, value in patch.items() if value is not None
    }


def _parse(fields: Mapping[str, Any]) -> ConfigInput:
    """Check the fields, and say what is wrong with them by the names that clients know."""
    try:
        return configs.parse(fields)
    except Invalid as error:
        named = {_name_of(field, fields): text for field, text in error.fields.items()}
        raise Invalid(named) from None


def _name_of(field: str, sent: Mapping[str, Any]) -> str:
    """Return what a client calls a field of core's: those of the source come by their own names."""
    first = field.partition(".")[0]
    if first in _RENAMED:
        return _RENAMED[first]
    return field if first in ConfigInput.model_fields or first in sent else f"source.{field}"
