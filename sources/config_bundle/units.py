"""The `Environment=` of systemd's units, from their files: that needs no running systemd."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from sources.config_bundle.machine import Machine

# The order in which systemd looks for units.
FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_SETTING = re.compile(r"(Environment|EnvironmentFile)\s*=(.*)", re.S)


@dataclass(slots=True)
class Unit:
    """What a unit's files say: the files, in their order; variables; files with more variables (not read)."""

    files: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    environment_files: list[str] = field(default_factory=list)


def read_unit(name: str, machine: Machine) -> Unit | None:
    """Return a unit's environment; None if there is no such unit, or it is masked. Raises OSError."""
    main = _main_file(name, machine)
    if main is None:
        return None
    unit = Unit()
    for path in [main, *_drop_ins(name, machine)]:
        unit.files.append(path)
        _apply(unit, machine.text(path))
    return unit


def enabled_services(machine: Machine) -> list[str]:
    """Return the units that others want or require, by the links that enabling makes. Raises OSError."""
    names: set[str] = set()
    for entry in machine.names(FOLDERS[0]):
        if entry.endswith((".wants", ".requires")):
            names.update(machine.names(f"{FOLDERS[0]}/{entry}"))
    return sorted(names)


def _main_file(name: str, machine: Machine) -> str | None:
    for each in _names(name):
        for folder in FOLDERS:
            kind = machine.kind(path := f"{folder}/{each}")
            if kind != "none":
                return path if kind == "file" else None  # a link to /dev/null: masked
    return None


def _names(name: str) -> list[str]:
    """Return a unit's name and, of an instance such as `a@b.service`, its template's."""
    base, at, rest = name.partition("@")
    return [name, f"{base}@.{rest.rpartition('.')[2]}"] if at and not rest.startswith(".") else [name]


def _drop_ins(name: str, machine: Machine) -> Iterator[str]:
    """Yield the drop-in files that count, by name: one of a folder looked at first hides those of others."""
    chosen: dict[str, str] = {}
    for each in reversed(_names(name)):
        for folder in reversed(FOLDERS):
            place = f"{folder}/{each}.d"
            chosen.update(
                {file: f"{place}/{file}" for file in machine.names(place) if file.endswith(".conf")}
            )
    for file in sorted(chosen):
        if machine.kind(chosen[file]) == "file":
            yield chosen[file]


def _apply(unit: Unit, text: str) -> None:
    """Take over the settings of one file; an empty one forgets those before."""
    section = ""
    for line in re.sub(r"\\\n", " ", text).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line
        match = _SETTING.fullmatch(line) if section == "[Service]" else None
        if match is None:
            continue
        value = match[2].strip()
        if match[1] == "EnvironmentFile":
            unit.environment_files = [*unit.environment_files, value] if value else []
        elif value:
            unit.environment.update(_assignments(value))
        else:
            unit.environment.clear()


def _assignments(text: str) -> Iterator[tuple[str, str]]:
    try:
        words = shlex.split(text)
    except ValueError:  # a quote that does not end; systemd ignores the line, a person may want to see it
        words = text.split()
    for word in words:
        name, equals, value = word.partition("=")
        if equals:
            yield name, value
