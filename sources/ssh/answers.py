"""Short answers of programs on a host."""

from __future__ import annotations

from ssh.process import Process


def line_of(process: Process) -> bytes:
    """Return the next line; what there is of it where the output ends, or it is far too long."""
    line = b""
    while not line.endswith(b"\n") and len(line) <= 128:
        data = process.read(64)
        if not data:
            break
        line += data
    return line


def last_line(stderr: bytes) -> str:
    """Return the last thing that a program complained of."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "no reason given"
