"""The document of the environment: variables, units, packages, services. Only its reading does I/O."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sources.config_bundle.machine import Machine, ThisMachine
from sources.config_bundle.secret_values import MASK, SECRET_FILES, is_secret
from sources.config_bundle.units import enabled_services, read_unit

FORMAT = "holdfast-environment"
VERSION = 1
_HERE = ThisMachine()
Secrets = Literal["keep", "mask", "leave_out"]
Document = dict[str, Any]

_MANAGERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("dpkg-query", ("-W", "-f", "${binary:Package}\t${Version}\t${Architecture}\t${db:Status-Status}\n")),
    ("rpm", ("-qa", "--qf", "%{NAME}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\t%{ARCH}\tinstalled\n")),
    ("apk", ("list", "--installed")),
)


@dataclass(frozen=True, slots=True)
class EnvironmentOptions:
    """What the document holds. `variables`: those chosen, None where one is not set; `units`: names.

    `secrets`: values that look like secrets are kept, masked, or left out (and so are secret files); which,
    the document says.
    """

    variables: Mapping[str, str | None] = field(default_factory=dict)
    units: Sequence[str] = ()
    packages: bool = True
    services: bool = True
    secrets: Secrets = "keep"


@dataclass(slots=True)
class _Notes:
    absent: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def gather(
    options: EnvironmentOptions,
    hostname: str,
    machine: Machine = _HERE,
    missing: Sequence[str] = (),
) -> Document:
    """Return the document of a machine.

    What is not there is named under `absent`; what could not be read though it was asked for, under
    `missing`, after what the caller knows already.
    """
    document: Document = {"format": FORMAT, "version": VERSION, "hostname": hostname}
    notes = _Notes(missing=list(missing))
    document["os"] = _assignments("/etc/os-release", machine, notes)
    document["kernel"] = machine.kernel
    document["variables"] = {name: value for name, value in options.variables.items() if value is not None}
    notes.absent += [f"variable {name}" for name, value in options.variables.items() if value is None]
    document["etc_environment"] = _assignments("/etc/environment", machine, notes)
    document["units"] = _units(options.units, machine, notes)
    document["packages"] = _packages(machine, notes) if options.packages else None
    document["services_enabled"] = _services(machine, notes) if options.services else None
    document["absent"], document["missing"] = sorted(notes.absent), notes.missing
    return without_secrets(document, options.secrets)


def encode(document: Document) -> bytes:
    """Return the document as JSON; the same content gives the same bytes."""
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def without_secrets(document: Document, secrets: Secrets) -> Document:
    """Return a copy with the values that look like secrets kept, masked or left out; it says which."""
    document = copy.deepcopy(document)
    document["secrets"] = secrets
    document["secrets_not_kept"] = []
    document["files_not_kept"] = list(SECRET_FILES) if secrets == "leave_out" else []
    if secrets == "keep":
        return document
    for where, values in _places(document):
        for name in [name for name, value in values.items() if is_secret(name, value)]:
            document["secrets_not_kept"].append(f"{where}.{name}")
            if secrets == "mask":
                values[name] = MASK
            else:
                del values[name]
    document["secrets_not_kept"].sort()
    return document


def _places(document: Document) -> list[tuple[str, dict[str, str]]]:
    """Return every group of variables, with where it stands."""
    places = [("variables", document["variables"]), ("etc_environment", document["etc_environment"] or {})]
    places += [(f"units.{name}", unit["environment"]) for name, unit in document["units"].items()]
    return places


def _assignments(path: str, machine: Machine, notes: _Notes) -> dict[str, str] | None:
    """Return the NAME=value lines of a file, quotes taken off; None if it cannot be read."""
    try:
        lines = machine.text(path).splitlines()
    except OSError as err:
        if isinstance(err, FileNotFoundError):
            notes.absent.append(path)
        else:
            notes.missing.append(f"{path}: {err.strerror}")
        return None
    found = {}
    for line in lines:
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and not name.startswith("#"):
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
            found[name.strip()] = value[1:-1] if quoted else value
    return found


def _units(names: Sequence[str], machine: Machine, notes: _Notes) -> Document:
    units: Document = {}
    for name in names:
        try:
            unit = read_unit(name, machine)
        except OSError as err:
            notes.missing.append(f"unit {name}: {err.strerror}")
            continue
        if unit is None:
            notes.missing.append(f"unit {name}: there is none, or it is masked")
        else:
            units[name] = asdict(unit)
    return units


def _packages(machine: Machine, notes: _Notes) -> Document | None:
    for name, arguments in _MANAGERS:
        path = machine.find(name)
        if path is not None:
            lines = _run(machine, [path, *arguments], "the list of packages", notes)
            return None if lines is None else {"manager": name, "installed": parse_packages(name, lines)}
    notes.absent.append("the list of packages: neither dpkg-query nor rpm nor apk is there")
    return None


def parse_packages(manager: str, lines: Sequence[str]) -> list[list[str]]:
    """Return [name, version, architecture] of each package, by name, from what its manager writes."""
    if manager == "apk":  # name-version-release architecture {origin} (licence) [installed]
        words = [line.split() for line in lines]
        return sorted(
            [*parts[0].rsplit("-", 2)[:1], "-".join(parts[0].rsplit("-", 2)[1:]), parts[1]] for parts in words
        )
    rows = [line.split("\t") for line in lines]
    return sorted(row[:3] for row in rows if row[3] == "installed")


def _services(machine: Machine, notes: _Notes) -> list[str] | None:
    systemctl = machine.find("systemctl")
    if systemctl is None:
        return _or_missing(lambda: enabled_services(machine), "the services enabled", notes)
    # With --root it reads files only, and works where systemd does not run.
    arguments = [
        f"--root={machine.root}",
        "list-unit-files",
        "--state=enabled",
        "--no-legend",
        "--no-pager",
        "--plain",
    ]
    lines = _run(machine, [systemctl, *arguments], "the services enabled", notes)
    return None if lines is None else sorted(line.split()[0] for line in lines)


def _or_missing(ask: Callable[[], list[str]], what: str, notes: _Notes) -> list[str] | None:
    try:
        return ask()
    except OSError as err:
        notes.missing.append(f"{what}: {err.strerror}")
        return None


def _run(machine: Machine, command: Sequence[str], what: str, notes: _Notes) -> list[str] | None:
    """Return the lines that a program writes, None if it fails."""
    try:
        done = machine.run(command)
    except OSError as err:
        notes.missing.append(f"{what}: {err}")
        return None
    if done.code != 0:
        notes.missing.append(
            f"{what}: {os.path.basename(command[0])} failed: {done.stderr.decode('utf-8', 'replace')}"
        )
        return None
    return [line for line in done.stdout.decode("utf-8", "replace").splitlines() if line.strip()]
