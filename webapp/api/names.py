"""camelCase in JSON, snake_case in Python: one place that turns names, values and schemas into each other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from core.errors import Invalid

# What these hold belongs to who sent it: names in it stay as they are.
OPAQUE = frozenset({"metadata"})
_LARGEST = 2**63 - 1
_DEEPEST = 32

_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_GAP = re.compile(r"_([a-z0-9])")


def to_camel(name: str) -> str:
    """Return `max_backups` as `maxBackups`; also in a path with dots."""
    return _GAP.sub(lambda found: found[1].upper(), name)


def to_snake(name: str) -> str:
    """Return `maxBackups` as `max_backups`."""
    return _HUMP.sub(lambda found: "_" + found[1].lower(), name)


def camelize(value: Any) -> Any:
    """Return a value with all names in camelCase, except in what is opaque."""
    if isinstance(value, Mapping):
        return {
            to_camel(str(name)): item if name in OPAQUE else camelize(item) for name, item in value.items()
        }
    return [camelize(item) for item in value] if isinstance(value, list | tuple) else value


def snakify(value: Any, place: str = "") -> Any:
    """Return JSON that was sent with all names in snake_case, except in what is opaque.

    Raises Invalid for a name that no field has, and for what no database takes: cut surrogates, zero
    characters, numbers beyond 64 bits, endless ones.
    """
    if place.count(".") > _DEEPEST:
        raise Invalid({place.partition(".")[0]: "This is nested too deeply."})
    if isinstance(value, dict):
        return {_field(name, place): _inside(name, item, place) for name, item in value.items()}
    if isinstance(value, list):
        return [
            snakify(item, f"{place}.{number}" if place else str(number)) for number, item in enumerate(value)
        ]
    return _scalar(value, place)


def _field(name: str, place: str) -> str:
    if "_" in name or not name.isascii() or not name.isprintable() or to_camel(to_snake(name)) != name:
        where, shown = f"{place}." if place else "", ascii(name)[:80]
        raise Invalid({f"{where}{shown[1:-1]}": f"{shown} is not known: names are in camelCase."})
    return to_snake(name)


def _inside(name: str, item: Any, place: str) -> Any:
    here = f"{place}.{name}" if place else name
    if name in OPAQUE:
        return opaque(item, here)
    return snakify(item, here)


def opaque(value: Any, place: str, depth: int = 0) -> Any:
    """Return a value whose names stay as they are. Raises Invalid as `snakify`."""
    if depth > _DEEPEST:
        raise Invalid({place: "This is nested too deeply."})
    if isinstance(value, dict):
        return {_scalar(name, place): opaque(item, place, depth + 1) for name, item in value.items()}
    if isinstance(value, list):
        return [opaque(item, place, depth + 1) for item in value]
    return _scalar(value, place)


def _scalar(value: Any, place: str) -> Any:
    if isinstance(value, str) and not is_clean(value):
        raise Invalid({place: "This holds a character that cannot be stored."})
    if isinstance(value, int | float) and not -_LARGEST <= value <= _LARGEST:
        raise Invalid({place: "This number is too large."})
    return value


def is_clean(text: str) -> bool:
    """Tell whether every database and file can hold this text."""
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def camelize_schema(schema: Any) -> Any:
    """Return a JSON schema with the names of all properties in camelCase."""
    if isinstance(schema, list):
        return [camelize_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: camelize_schema(item) for name, item in schema.items()}
    if isinstance(properties := schema.get("properties"), dict):
        found["properties"] = {to_camel(name): camelize_schema(item) for name, item in properties.items()}
        if "required" in schema:
            found["required"] = [to_camel(name) for name in schema["required"]]
    if "default" in schema:
        found["default"] = camelize(schema["default"])
    return found
