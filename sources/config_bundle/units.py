"""The `Environment=` of systemd's units, from their files: that needs no running systemd."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

# The order in which systemd looks for units.
FOLDERS = (
    "etc/systemd/system",
    "run/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
_SETTING = re.compile(r"(Environment|EnvironmentFile)\s*=(.*)", re.S)


@dataclass(slots=True)
class Unit:
    """What a unit's files say: the files, in their order; variables; files with more variables (not read)."""

    files: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    environment_files: list[str] = field(default_factory=list)


def read_unit(name: str, root: str = "/") -> Unit | None:
    """Return a unit's environment; None if there is no such unit, or it is masked. Raises OSError."""
    main = _main_file(name, root)
    if main is None:
        return None
    unit = Unit()
    for path in [main, *_drop_ins(name, root)]:
        unit.files.append("/" + os.path.relpath(path, root))
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            _apply(unit, file.read())
    return unit


def enabled_services(root: str = "/") -> list[str]:
    """Return the units that others want or require, by the links that enabling makes. Raises OSError."""
    names: set[str] = set()
    folder = os.path.join(root, FOLDERS[0])
    for entry in os.listdir(folder) if os.path.isdir(folder) else []:
        if entry.endswith((".wants", ".requires")):
            names.update(os.listdir(os.path.join(folder, entry)))
    return sorted(names)


def _main_file(name: str, root: str) -> str | None:
    for each in _names(name):
        for folder in FOLDERS:
            path = os.path.join(root, folder, each)
            if os.path.lexists(path):
                return path if os.path.isfile(path) else None  # a link to /dev/null: masked
    return None


def _names(name: str) -> list[str]:
    """Return a unit's name and, of an instance such as `a@b.service`, its template's."""
    base, at, rest = name.partition("@")
    return [name, f"{base}@.{rest.rpartition('.')[2]}"] if at and not rest.startswith(".") else [name]


def _drop_ins(name: str, root: str) -> Iterator[str]:
    """Yield the drop-in files that count, by name: one of a folder looked at first hides those of others."""
    chosen: dict[str, str] = {}
    for each in reversed(_names(name)):
        for folder in reversed(FOLDERS):
            place = os.path.join(root, folder, f"{each}.d")
            for file in os.listdir(place) if os.path.isdir(place) else []:
                if file.endswith(".conf"):
                    chosen[file] = os.path.join(place, file)
    for file in sorted(chosen):
        if os.path.isfile(chosen[file]):
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
