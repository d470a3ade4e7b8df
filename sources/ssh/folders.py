"""The folders in a folder of a host, for a person who chooses one."""

from __future__ import annotations

import stat

from repository.entries import SourceUnavailable
from sources.ssh.host import SshHost
from sources.ssh.probe import probe
from ssh.errors import SshError
from ssh.sftp_channel import SftpStatus

_MOST = 10_000
# A glob knows every shell's `test`; what cannot be entered is told from what is empty.
_SCRIPT = rb"""
cd -- "$1" || exit 3
ls . >/dev/null || exit 4
for name in * .*; do
    case $name in .|..) continue ;; esac
    test -d "./$name" && test ! -L "./$name" && printf '%s\0' "$name"
done
exit 0
"""


def list_folders(host: SshHost, path: bytes) -> list[bytes]:
    """Return the names of the folders in `path`, links left out. Raises OSError, SourceUnavailable."""
    try:
        if probe(host).shell:
            return _by_shell(host, path)
        return _by_sftp(host, path)
    except SshError as error:
        raise SourceUnavailable(str(error)) from error


def _by_shell(host: SshHost, path: bytes) -> list[bytes]:
    output = host.run([b"env", b"LC_ALL=C", b"sh", b"-c", _SCRIPT, b"sh", path])
    if output.code:
        said = output.stderr.decode("utf-8", "replace").strip().splitlines()
        raise OSError(0, said[-1].rpartition(": ")[2] if said else "it cannot be listed")
    return output.stdout.split(b"\0")[:-1][:_MOST]


def _by_sftp(host: SshHost, path: bytes) -> list[bytes]:
    sftp = host.sftp()
    try:
        for _, found in sftp.list_dirs([path]):
            if isinstance(found, SftpStatus):
                raise OSError(0, str(found) or "it cannot be listed")
            return [name for name, attrs in found if stat.S_ISDIR(attrs.mode or 0)][:_MOST]
    finally:
        sftp.close()
    return []
