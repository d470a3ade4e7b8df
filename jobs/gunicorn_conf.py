"""How gunicorn serves the pages: one process, eight threads. Settings of gunicorn by their own names."""

from __future__ import annotations

import gc
import signal
import socket
import struct
from typing import Any

# A client that stops in the middle of its request, or of a download, is cut off after that long.
READ_TIMEOUT_S = 5
WRITE_TIMEOUT_S = 60

wsgi_app = "wsgi:app"
workers = 1
worker_class = "gthread"
threads = 16
# A process that died is started anew; a slow answer, such as a long download, is no reason to kill one.
timeout = 60
graceful_timeout = 5
loglevel = "warning"
accesslog = None
errorlog = "-"


def post_fork(server: Any, worker: Any) -> None:
    """Bound how long a silent client can hold a thread; connections inherit this from the listener."""
    for listener in worker.sockets:
        for option, seconds in ((socket.SO_RCVTIMEO, READ_TIMEOUT_S), (socket.SO_SNDTIMEO, WRITE_TIMEOUT_S)):
            listener.sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", seconds, 0))


def post_worker_init(worker: Any) -> None:
    """Ignore SIGHUP: downloads hold repository locks, and `restic unlock` sends it to who holds one."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    spare_start_up()


def spare_start_up() -> None:
    """Keep all that start-up made, which stays anyway, out of each collection of garbage: one that goes
    through it holds a page up for longer than most pages take."""
    gc.collect()
    gc.freeze()
