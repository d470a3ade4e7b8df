"""How gunicorn serves the pages: one process, eight threads. Settings of gunicorn by their own names."""

from __future__ import annotations

import signal
from typing import Any

wsgi_app = "wsgi:app"
workers = 1
worker_class = "gthread"
threads = 8
# A process that died is started anew; a slow answer, such as a long download, is no reason to kill one.
timeout = 60
graceful_timeout = 5
loglevel = "warning"
accesslog = None
errorlog = "-"


def post_worker_init(worker: Any) -> None:
    """Ignore SIGHUP: downloads hold repository locks, and `restic unlock` sends it to who holds one."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
