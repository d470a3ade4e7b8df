"""What a config of type config reads: configuration files, and a document of a machine's environment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from core import settings
from core.configs import source_files
from core.configs.source_files import Lines, TreeSource
from core.hosts import host_environment, hosts
from repository.entries import Source
from sources.config_bundle.environment import Document, EnvironmentOptions
from sources.config_bundle.offers import find_offers
from sources.config_bundle.source import DOCUMENT, EnvironmentSource, config_source, file_rules
from sources.local import LocalSource


def _check_name(name: str) -> str:
    if "=" in name or "/" in name or not name.isprintable():
        raise ValueError(f"{name!r} is not the name of a variable or unit")
    return name


Names = Annotated[Lines, AfterValidator(lambda names: [_check_name(name) for name in names])]


class ConfigSource(TreeSource):
    """Files, chosen variables of the worker (on a host: of the login shell), `Environment=` of chosen units,
    packages, enabled services."""

    type: Literal["config"] = "config"
    variables: Names = []
    units: Names = []
    packages: bool = True
    services: bool = True


def open_source(source: ConfigSource) -> Source:
    """Return the files and the document beside them. Secrets are kept: every repository is encrypted.

    Of a host, nothing is sent yet. Raises NotFound, Refused.
    """
    if source.host_id:
        return host_environment.open_source(source, source.variables, _options(source))
    options = _options(source)
    files = LocalSource(
        source.paths,
        rules=file_rules(source_files.rules_of(source), options),
        always_excluded=source_files.always_excluded(source.paths),
    )
    return config_source(files, EnvironmentSource(options))


def document_now(source: ConfigSource) -> Document:
    """Return the document as a backup would write it now. Raises SourceUnavailable, NotFound, Refused."""
    if source.host_id:
        return host_environment.open_environment(source, source.variables, _options(source)).document
    return EnvironmentSource(_options(source)).document


def _options(source: ConfigSource) -> EnvironmentOptions:
    here = {} if source.host_id else settings.variables(source.variables)
    return EnvironmentOptions(here, source.units, source.packages, source.services, secrets="keep")


def offered_paths() -> list[str]:
    """Return where this machine keeps its configuration, without what lies below another of them."""
    found: list[str] = []
    for offer in find_offers():
        if not any(offer.path.startswith(f"{path}/") for path in found):
            found.append(offer.path)
    return found


def what(source: ConfigSource) -> str:
    """Say in short what is backed up."""
    of_host = f" of {hosts.name_of(source.host_id)}" if source.host_id else ""
    which = "which tells of it" if source.host_id else "which tells of this machine"
    return f"{', '.join(source.paths)}{of_host} and {DOCUMENT.decode()}, {which}"
