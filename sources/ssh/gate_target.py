"""A new folder on a host, made through a gate that allows nothing else, as a Target."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from msgspec.structs import replace

from repository.entries import Entry, Problem, SourceUnavailable, TargetError
from sources.ssh import target_scripts as scripts
from sources.ssh.answers import last_line, line_of
from sources.ssh.gate_wire import GateRefused, begin, request
from sources.ssh.host import MOST_BYTES
from sources.ssh.target import SshTarget
from ssh.errors import SshError, Unreachable
from ssh.process import Process

_RIGHTS = 0o6000
_KERNELS = (b"security.", b"trusted.")


class GateTarget(SshTarget):
    """The same as SshTarget, by a key that leads to `holdfast-gate-restore`: one session does it all.

    The gate sets no setuid or setgid bit, makes no devices, and sets none of the kernel's attributes; what of
    these is asked for is told.
    """

    _advice = "Name a new folder right in the one that the gate is for"

    def finish_dir(self, path: bytes, entry: Entry) -> list[Problem]:
        """See SshTarget."""
        plain, lost = _without_rights(path, entry)
        return super().finish_dir(path, plain) + lost

    def write_file(self, path: bytes, entry: Entry, chunks: Iterable[bytes]) -> list[Problem]:
        """See SshTarget."""
        plain, lost = _without_rights(path, entry)
        return super().write_file(path, plain, chunks) + lost

    def make_special(self, path: bytes, entry: Entry) -> list[Problem]:
        """See SshTarget. A device is not made."""
        if entry.kind in ("dev", "chardev"):
            return [Problem(path, "unsupported", f"the gate of the restore key makes no {entry.kind}")]
        plain, lost = _without_rights(path, entry)
        return super().make_special(path, plain) + lost

    def close(self) -> None:
        """End the session; without a `flush` before, the gate removes what was written."""
        if self._process:
            self._process.close()
        self._host.close()

    def _start(self) -> Process:
        try:
            process, _ = begin(self._host, b"restore", posixpath.basename(self._root))
        except GateRefused as error:
            raise TargetError(f"{self._shown} cannot be written: {error}. {self._advice}") from error
        except (SshError, SourceUnavailable) as error:
            raise TargetError(str(error)) from error
        self._started = True
        return process

    def _finish(self) -> None:
        self._require_all()
        process = self._running()
        try:
            process.write(request(b"keep"))
            if line_of(process) != b"kept\n":
                process.send(b"")
                said = last_line(scripts.own(process.output().stderr))
                raise TargetError(f"{self._shown} could not be finished: {said}")
        except Unreachable as error:
            raise TargetError(f"{error}; look on the host whether {self._shown} is there") from error

    def _keep(self, process: Process) -> None:
        """Nothing is left to be said."""

    def _step(self, script: bytes, stdin: bytes = b"") -> bytes:
        """Ask the gate for what SshTarget runs by itself."""
        process = self._running()
        if script == scripts.MEASURE:
            process.write(request(b"measure"))
            return _records(process, self._host.name)
        if stdin:
            process.write(request(b"tidy", b"%d" % len(stdin)) + stdin)
            if line_of(process) != b"code 0\n":
                raise TargetError(f"{self._shown} could not be finished: what was to be removed is not")
        return b""


def _records(process: Process, host: str) -> bytes:
    """Return what is told up to an empty record. Raises TargetError if that never comes."""
    told = bytearray()
    while told != b"\0" and not told.endswith(b"\0\0"):
        data = process.read(1 << 20)
        told += data
        if not data or len(told) > MOST_BYTES:
            raise TargetError(f"{host} does not say what has arrived there")
    return bytes(told[:-1])


def _without_rights(path: bytes, entry: Entry) -> tuple[Entry, list[Problem]]:
    """Return what the gate sets of an entry, and what it does not."""
    kept = tuple(each for each in entry.xattrs if not each[0].startswith(_KERNELS))
    plain = replace(entry, mode=entry.mode & ~_RIGHTS, xattrs=kept)
    if plain == entry:
        return entry, []
    text = "rights to act as others (setuid, setgid, capabilities) are not restored: the gate sets none"
    return plain, [Problem(path, "incomplete", text, once="rights")]
