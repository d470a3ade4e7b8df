"""A config whose files are on a host: the Source, a preview, and folders to choose from."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.configs import source_files
from core.configs.source_files import TreeSource, always_excluded, rules_of
from core.errors import HoldfastError, Invalid, Refused, Unreachable
from core.hosts import host_here, host_login, host_trouble, hosts
from core.jobs.outcomes import sentence
from core.models import Host
from repository.entries import SourceUnavailable
from sources.preview import Preview
from sources.preview import preview as preview_tree

if TYPE_CHECKING:
    from sources.ssh.source import SshSource

PREVIEW_S = 30.0
NO_PROGRAMS = (
    "runs no programs for this login, so it cannot be asked for its environment. Allow that there, or back "
    "its files up with a config of type files."
)


@dataclass(frozen=True, slots=True)
class HostPreview:
    """What a backup would read on a host; `counted` None: the host was still listing when time was up."""

    host: str
    counted: Preview | None
    limits: Sequence[str]
    waited_s: float = PREVIEW_S


def open_source(source: TreeSource) -> SshSource:
    """Return the trees to read; nothing is sent yet. Raises NotFound, Refused, SealBroken."""
    return _open(source, hosts.get(source.host_id or ""))


def check(source: TreeSource) -> None:
    """Raise Invalid (`host_id`) for a host that is gone.

    One whose key is not confirmed yet will do: an import makes hosts and their configs in one go, and a
    backup says what is missing.
    """
    hosts.require(source.host_id or "")


def left_out(source: TreeSource) -> list[tuple[str, str]]:
    """Return the places on the host that are never backed up, with the reasons."""
    return _never(source, hosts.get(source.host_id or ""))


def trouble_with(source: TreeSource) -> str:
    """Ask the host; say in a sentence what would keep a backup from working now, "" if nothing is known."""
    try:
        opened = open_source(source)
        try:
            opened.check()
        finally:
            opened.close()
    except (SourceUnavailable, HoldfastError) as error:
        return sentence(str(error))
    return ""


def preview(source: TreeSource, limit_s: float = PREVIEW_S, *, needs_shell: bool = False) -> HostPreview:
    """Return what a backup would read. Raises Invalid by field: a path is missing, the host refuses us, or
    runs no programs for us where that is needed."""
    check(source)
    host = hosts.get(source.host_id or "")
    try:
        opened, name = _open(source, host), host.name
    except Refused as error:
        raise Invalid({"host_id": str(error)}) from error
    try:
        opened.check()
        if needs_shell and not opened.splittable:
            raise Invalid({"host_id": f"{name} {NO_PROGRAMS}"})
        return HostPreview(name, _counted(opened, limit_s), opened.limits, limit_s)
    except SourceUnavailable as error:
        field = "host_id" if host_trouble.advice_for(error) else "paths"
        advice = host_trouble.advice_for(error)
        raise Invalid({field: f"{sentence(f'{name}: {error}')} {advice}".strip()}) from error
    finally:
        opened.close()


def folders(host_id: str, path: str) -> list[str]:
    """Return the names of the folders in a folder of a host. Raises NotFound, Refused, Unreachable."""
    from sources.ssh import folders as listing
    from sources.ssh.host import SshHost

    host = SshHost(host_login.settings_of(hosts.get(host_id), quick=True))
    try:
        return [os.fsdecode(name) for name in listing.list_folders(host, os.fsencode(path))]
    except OSError as error:
        raise Refused(f"{path} cannot be listed: {error.strerror}.") from error
    except SourceUnavailable as error:
        raise Unreachable(sentence(str(error)), host_trouble.advice_for(error)) from error
    finally:
        host.close()


def _open(source: TreeSource, host: Host) -> SshSource:
    from sources.ssh.source import SshSource  # slow to import: paramiko

    return SshSource(
        host_login.settings_of(host),
        source.paths,
        rules=rules_of(source),
        never=_never(source, host),
    )


def _never(source: TreeSource, host: Host) -> list[tuple[str, str]]:
    """Return what is never backed up there: what the kernel makes; on this very machine also what is ours."""
    if host_here.is_here(host):
        return always_excluded(source.paths)
    return source_files.kernel_folders(source.paths)


def _counted(opened: SshSource, limit_s: float) -> Preview | None:
    """Return what was counted; None if the host had not listed all in time. Raises SourceUnavailable."""
    found: list[Preview | BaseException] = []

    def count() -> None:
        try:
            found.append(preview_tree(opened, limit_s=limit_s))
        except Exception as error:  # noqa: BLE001  (raised again, in the thread that waits)
            found.append(error)

    counting = threading.Thread(target=count, name="preview", daemon=True)
    counting.start()
    counting.join(limit_s)
    if not found:
        return None
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]
