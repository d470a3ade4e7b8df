"""The document of a machine's environment in a point of type config: readable, secrets masked, compared."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.configs import config_source, source_config
from core.configs.source_config import ConfigSource
from core.errors import NotFound, Refused, Unreachable
from core.hosts import host_trouble, hosts
from core.jobs.outcomes import sentence
from core.models import Point
from core.points import browse
from core.points.tokens import printable
from repository.entries import SourceUnavailable
from sources.config_bundle.environment import FORMAT, VERSION, Document, without_secrets
from sources.config_bundle.source import DOCUMENT

PATH = DOCUMENT

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package that is of another version now, or there only then or only now; "" is not there."""

    name: str
    then: str
    now: str


@dataclass(frozen=True, slots=True)
class Since:
    """What is otherwise on a machine now: packages, services, variables of /etc/environment by name."""

    packages: list[PackageChange]
    services_gone: list[str]
    services_new: list[str]
    variables: list[str]

    @property
    def nothing(self) -> bool:
        """Tell whether all is as it was."""
        return not (self.packages or self.services_gone or self.services_new or self.variables)


def holds_document(point: Point, copy_id: int | None = None) -> bool:
    """Tell whether a point holds such a document. Raises as browsing does."""
    try:
        browse.find(point, DOCUMENT, copy_id)
    except NotFound:
        return False
    return True


def document_of(point: Point, copy_id: int | None = None, *, reveal: bool = False) -> Document:
    """Return a point's document; what looks like a secret is masked, unless `reveal`.

    Raises NotFound if it holds none, Refused if this version cannot read it, and as browsing does.
    """
    found = _read(point, copy_id)
    return found if reveal else without_secrets(found, "mask")


def is_comparable(point: Point) -> bool:
    """Tell whether the machine that a point's document tells of can be asked: this one, or a host."""
    config = point.config
    if config is None or config.type != "config":
        return False
    host_id = config_source.host_of(config_source.as_stored(config))
    return host_id is None or hosts.is_known(host_id)


def machine_of(point: Point) -> str:
    """Name the machine that a point's document tells of."""
    host_id = config_source.host_of(config_source.as_stored(point.config)) if point.config else None
    return hosts.name_of(host_id) if host_id else "this machine"


def changed_since(point: Point, copy_id: int | None = None) -> Since:
    """Return what is otherwise on the machine now; a host is asked.

    Raises Refused for a point of a machine that cannot be asked, Unreachable for a host that does not answer.
    """
    source = config_source.as_stored(point.config) if point.config is not None else None
    if not is_comparable(point) or not isinstance(source, ConfigSource):
        raise Refused(f"Point {point.id} tells of no machine that can be asked.", "Compare it by hand.")
    then = _read(point, copy_id)
    try:
        return compare(then, source_config.document_now(source))
    except SourceUnavailable as error:
        text = f"{machine_of(point)} cannot be asked now: {error}"
        raise Unreachable(sentence(text), host_trouble.advice_for(error)) from error


def compare(then: Document, now: Document) -> Since:
    """Return what differs between two documents. What one of them was not asked for is no difference."""
    before, after = set(then["services_enabled"] or ()), set(now["services_enabled"] or ())
    both = then["services_enabled"] is not None and now["services_enabled"] is not None
    return Since(
        _packages(_versions(then), _versions(now)) if then["packages"] and now["packages"] else [],
        sorted(before - after) if both else [],
        sorted(after - before) if both else [],
        _variables(then, now),
    )


def note_reveal(who: str, point: Point, path: bytes) -> None:
    """Take note that somebody has seen secrets of a point; the one place for every page and command."""
    _log.warning("%s revealed the secrets in %s of point %s", who, printable(path), point.id)


def _read(point: Point, copy_id: int | None) -> Document:
    _, content = browse.read_file(point, DOCUMENT, copy_id)
    try:
        found: Any = json.loads(b"".join(content))
    except ValueError as error:
        raise Refused("The document of the environment is no JSON.", "Download the file itself.") from error
    if not isinstance(found, dict) or (found.get("format"), found.get("version")) != (FORMAT, VERSION):
        raise Refused(
            "The document of the environment was written by a version of Holdfast that is not known here.",
            "Download the file itself.",
        )
    return found


def _versions(document: Document) -> Mapping[str, str]:
    """Return the version by package; one that is there for two architectures counts by each."""
    return {f"{name}:{arch}": version for name, version, arch in document["packages"]["installed"]}


def _packages(then: Mapping[str, str], now: Mapping[str, str]) -> list[PackageChange]:
    names = sorted(then.keys() | now.keys())
    return [
        PackageChange(name.rpartition(":")[0], then.get(name, ""), now.get(name, ""))
        for name in names
        if then.get(name) != now.get(name)
    ]


def _variables(then: Document, now: Document) -> list[str]:
    """Return the variables of /etc/environment that are otherwise now.

    Those of the worker are not compared: another process, with other variables, may be asking.
    """
    before, after = then["etc_environment"] or {}, now["etc_environment"] or {}
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
