"""The machines that run Holdfast processes, and when their worker and tick were last heard of."""

from __future__ import annotations

import socket
from datetime import timedelta
from typing import Literal

from core import app_state
from core.db import db, utc_now, write
from core.models import Node

BEAT_EVERY_S = 10.0
SILENT_FOR = timedelta(seconds=30)


def beat(role: Literal["worker", "tick"]) -> None:
    """Note that this node's worker, or its tick, lives."""
    with write() as session:
        node = session.get(Node, app_state.node_id())
        if node is None:
            node = Node(id=app_state.node_id(), hostname=socket.gethostname())
            session.add(node)
        node.hostname = socket.gethostname()
        if role == "worker":
            node.worker_seen_at = utc_now()
        else:
            node.tick_seen_at = utc_now()


def gone(role: Literal["worker", "tick"]) -> None:
    """Note that it ended in good order, so that nobody counts on it any more."""
    with write() as session:
        node = session.get(Node, app_state.node_id())
        if node is not None and role == "worker":
            node.worker_seen_at = None
        elif node is not None:
            node.tick_seen_at = None


def this() -> Node | None:
    """Return the row of this machine, as it is now; None if none of its processes has beaten yet."""
    return db.session.get(Node, app_state.node_id(), populate_existing=True)


def worker_lives() -> bool:
    """Tell whether this node's worker was heard of within the last 30 seconds; never by a time to come."""
    node = this()
    seen_at = None if node is None else node.worker_seen_at
    return seen_at is not None and abs(utc_now() - seen_at) < SILENT_FOR
