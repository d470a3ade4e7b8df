"""Which way a restore to a host goes, by what the host can."""

from __future__ import annotations

from repository.entries import Conflict, SourceUnavailable, TargetError
from sources.ssh.gate_target import GateTarget
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.in_place import SshInPlaceTarget
from sources.ssh.probe import probe
from sources.ssh.sftp_target import SftpTarget
from sources.ssh.target import SshTarget
from ssh.errors import SshError

HostTarget = SshTarget | SshInPlaceTarget | SftpTarget


def open_target(
    settings: SshHostSettings,
    root: str,
    *,
    in_place: bool = False,
    rule: Conflict = "replace",
    pinned: bool = False,
) -> HostTarget:
    """Return a target for a new folder, or, `in_place`, for one that is in use. Close it. Raises TargetError.

    GNU's tools restore everything, and nothing shows before all of it has arrived; else it goes over SFTP,
    file by file, and what SFTP cannot set is told. `rule`: which of the files that come there meanwhile may
    be replaced. `pinned`: the path has no links, and may have none by then; that needs GNU's tools.
    """
    host = SshHost(settings)
    try:
        known = probe(host)
    except (SshError, SourceUnavailable) as error:
        raise TargetError(str(error)) from error
    finally:
        host.close()
    if not (known.gnu_tar and known.gnu_find):
        if settings.sudo:
            raise TargetError(f"{host.name} has no GNU tar and find, and sudo cannot be had over SFTP")
        if pinned:
            raise TargetError(f"{host.name} has no GNU tar and find, without which links are not kept out")
        return SftpTarget(settings, root, rule)
    if in_place:
        return SshInPlaceTarget(settings, root, rule, pinned=pinned)
    return SshTarget(settings, root, pinned=pinned)


def open_gate(settings: SshHostSettings, root: str) -> HostTarget:
    """Return a target for a new folder, made through the gate that this login's key leads to. Close it."""
    return GateTarget(settings, root)
