"""One server a data folder: a file lock that the supervisor holds while it lives."""

from __future__ import annotations

import fcntl
import os

from core.errors import Conflict

FILE = "server.lock"


def hold(data_dir: str, url: str) -> int:
    """Take the lock and note who has it; return its descriptor, to be kept open until the process ends.

    The kernel frees it then, however that happens. Raises Conflict, naming who has it.
    """
    descriptor = os.open(os.path.join(data_dir, FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(descriptor, 1000, 0).decode("utf-8", "replace").strip()
        os.close(descriptor)
        raise Conflict(
            f"Holdfast is running on the data folder {data_dir} already{f': {holder}' if holder else ''}.",
            "Stop that one first, or set HOLDFAST_DATA_DIR to another folder.",
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"process {os.getpid()}, {url}\n".encode(), 0)
    return descriptor
