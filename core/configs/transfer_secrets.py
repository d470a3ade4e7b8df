"""Secrets that are given beside an export, by section and name, so that nothing has to wait for them.

`{storages: {NAME: {access_key, secret_key}}, channels: {NAME: {url}}, configs: {NAME: {password}}}`
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import Invalid
from core.storages.storage_inputs import SECRETS

_KNOWN: Mapping[str, frozenset[str]] = {
    "storages": frozenset(SECRETS),
    "channels": frozenset({"url", "password"}),
    "configs": frozenset({"password"}),
}  # fmt: skip
# Where a document written by hand may hold secrets: by itself, and inside its parts.
_OWN = frozenset({*SECRETS, "url", "token", "headers"})
_INSIDE: Mapping[str, frozenset[str]] = {"target": _OWN, "source": _OWN}
_Given = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Secrets:
    """What was given, checked: names that stand in the document, fields that hold secrets, texts."""

    storages: _Given = field(default_factory=dict, repr=False)
    channels: _Given = field(default_factory=dict, repr=False)
    configs: _Given = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, given: Any, document: Mapping[str, Any]) -> Secrets:
        """Return the secrets for a document; None: there are none. Raises Invalid, and repeats no secret."""
        if given is None:
            return cls()
        if not isinstance(given, Mapping) or not set(given) <= set(_KNOWN):
            raise Invalid({"secrets": f"Give them by section and name; there are: {', '.join(_KNOWN)}."})
        problems: dict[str, str] = {}
        for section, things in given.items():
            problems |= _problems(section, things, _names(document, section))
        if problems:
            raise Invalid(problems)
        return cls(**given)

    def of_storage(self, name: str) -> Mapping[str, str] | None:
        """Return the credentials of a storage."""
        return self.storages.get(name)

    def of_channel(self, name: str) -> Mapping[str, str] | None:
        """Return what of a channel's target is secret."""
        return self.channels.get(name)

    def in_config(self, name: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Return the source of a config with its password; {} if none was given."""
        known, source = self.configs.get(name), document.get("source")
        return {"source": {**source, **known}} if known and isinstance(source, Mapping) else {}


def _names(document: Mapping[str, Any], section: str) -> set[str]:
    listed = document.get(section)
    found = listed if isinstance(listed, list) else []
    return {str(each.get("name")) for each in found if isinstance(each, Mapping)}


def _problems(section: str, things: Any, names: set[str]) -> dict[str, str]:
    if not isinstance(things, Mapping):
        return {f"secrets.{section}": "Give them by name."}
    found: dict[str, str] = {}
    for name, fields in things.items():
        where = f"secrets.{section}.{name}"
        if name not in names:
            found[where] = "Nothing in the export has this name."
        elif not isinstance(fields, Mapping) or not all(isinstance(text, str) for text in fields.values()):
            found[where] = "Give texts by field."
        elif unknown := set(fields) - _KNOWN[section]:
            known = ", ".join(sorted(_KNOWN[section]))
            found[where] = f"{min(map(str, unknown))} is no secret of these; there are: {known}."
    return found


def without(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a storage, config or channel without the secrets that were written into it.

    An export has none; whoever writes one by hand may put some there, and what waits is kept in plain text.
    """
    found = {name: value for name, value in document.items() if name not in _OWN}
    for part, names in _INSIDE.items():
        inner = found.get(part)
        if isinstance(inner, Mapping):
            found[part] = {name: value for name, value in inner.items() if name not in names}
    return found
