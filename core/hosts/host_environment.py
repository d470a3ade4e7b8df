"""The configuration of a host: its files and the document of its environment, as one Source."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.configs.source_files import TreeSource
from core.hosts import host_login, host_source, hosts
from repository.entries import Source
from sources.config_bundle.environment import EnvironmentOptions
from sources.config_bundle.source import config_source

if TYPE_CHECKING:
    from sources.ssh.environment import HostEnvironment


def open_source(source: TreeSource, variables: Sequence[str], options: EnvironmentOptions) -> Source:
    """Return files and document; nothing is sent yet. Raises NotFound, Refused, SealBroken."""
    return config_source(host_source.open_source(source), open_environment(source, variables, options))


def open_environment(
    source: TreeSource, variables: Sequence[str], options: EnvironmentOptions
) -> HostEnvironment:
    """Return the document alone; `variables` are those of the login shell there. Raises as `open_source`."""
    from sources.ssh.environment import HostEnvironment  # slow to import: paramiko

    return HostEnvironment(host_login.settings_of(hosts.get(source.host_id or "")), variables, options)
