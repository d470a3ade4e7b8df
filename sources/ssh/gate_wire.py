"""What is said to the gates on a host, and what they answer."""

from __future__ import annotations

from repository.entries import SourceUnavailable
from sources.ssh.answers import last_line
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.target_scripts import own
from ssh.process import Process

_REQUEST_BYTES = 128


class GateRefused(SourceUnavailable):
    """The gate, or what should lead to it, does not let this be done."""


def request(word: bytes, name: bytes = b"-") -> bytes:
    """Return a request. Raises GateRefused for a name that no gate takes."""
    said = word + b" " + name + b" "
    if b" " in name or not name or len(said) >= _REQUEST_BYTES:
        raise GateRefused("a folder made through this gate has a name of up to 100 characters, and no spaces")
    return said.ljust(_REQUEST_BYTES - 1) + b"."


def begin(host: SshHost, word: bytes, name: bytes = b"-") -> tuple[Process, int | None]:
    """Ask for something; return the session, which is ready, and the number that the gate says with that.

    Raises GateRefused, SshError, SourceUnavailable.
    """
    asked = request(word, name)
    process = host.start([b"holdfast"], plain=True)  # whatever is asked for, the gate is what runs
    try:
        process.write(asked)
        ready, _, number = _ready_line(process).partition(b" ")
        if ready != b"ready":
            process.send(b"")
            said = own(process.output().stderr)
            raise GateRefused(f"{host.name}: {last_line(said)}")
    except BaseException:
        process.close()
        raise
    return process, int(number) if number.isdigit() else None


def _ready_line(process: Process) -> bytes:
    """Return the first line, and nothing of what follows."""
    line = b""
    while not line.endswith(b"\n") and len(line) <= _REQUEST_BYTES:
        data = process.read(1)
        if not data:
            break
        line += data
    return line.strip()


def free_bytes(settings: SshHostSettings) -> int | None:
    """Try the gate that a key leads to; return how much room it has. Raises GateRefused, SshError,
    SourceUnavailable."""
    host = SshHost(settings)
    try:
        process, free_kib = begin(host, b"test")
        process.close()
        return None if free_kib is None else free_kib * 1024
    finally:
        host.close()
