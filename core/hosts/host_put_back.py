"""What stands on a host where files are to be put back."""

from __future__ import annotations

from collections.abc import Sequence

from core.backups import safety_backup
from core.backups.safety_backup import Stamp
from core.hosts import host_login, host_trouble, hosts

_AT_ONCE = 500  # paths on one command line: 128 KiB is little where they are long


def standing(host_id: str, paths: Sequence[bytes]) -> dict[bytes, Stamp]:
    """Return what stands at these paths now, where anything does. Raises what the host is to blame for."""
    with host_trouble.told(host_id):
        return _standing(host_id, paths)


def _standing(host_id: str, paths: Sequence[bytes]) -> dict[bytes, Stamp]:
    from sources.ssh import place  # slow to import: paramiko
    from sources.ssh.host import SshHost
    from sources.ssh.probe import probe

    host = SshHost(host_login.settings_of(hosts.get(host_id)))
    found: dict[bytes, Stamp] = {}
    try:
        shell = probe(host).shell
        for start in range(0, len(paths), _AT_ONCE):
            seen = place.standing(host, paths[start : start + _AT_ONCE], shell=shell)
            found |= {path: safety_backup.stamp_of(*each) for path, each in seen.items()}
        return found
    finally:
        host.close()
