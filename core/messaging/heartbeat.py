"""The heartbeat of the scheduler itself: a watcher elsewhere hears from it each minute, while all is alive.

It is sent only after a minute tick in which nothing failed, and while the worker that runs jobs lives: so the
watcher alarms when any of them does not, when the machine is off, or when it is cut off.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from core import instance
from core.db import db, utc_now, write
from core.jobs import nodes
from core.messaging import http_sender
from core.messaging.outgoing import SendFailed

EVERY = timedelta(seconds=55)
_FRESH = timedelta(minutes=3)
_URL, _TICKED, _STATE = "heartbeat_url", "heartbeat_ticked_at", "heartbeat_state"


def set_url(url: str) -> None:
    """Set where the heartbeat goes; empty: nowhere. Raises Invalid (`heartbeat_url`)."""
    url = url.strip()
    if url:
        http_sender.check_url(url, _URL)
    with write() as session:
        instance.set_secret_in(session, _URL, url or None)
        instance.set_in(session, _STATE, None)


def place() -> str:
    """Return what may be shown of where it goes; "" if nowhere."""
    url = instance.get_secret(_URL)
    return "" if url is None else http_sender.place_of(url)


def state() -> tuple[datetime | None, str]:
    """Return when a heartbeat was taken last, and why the last one was not ("": it was)."""
    found = instance.get(_STATE) or {}
    sent = found.get("sent_at")
    return (datetime.fromisoformat(sent) if sent else None), str(found.get("error", ""))


def note_tick(now: datetime | None = None) -> None:
    """Note that a minute tick went through and nothing in it failed."""
    if instance.get(_URL) is not None:
        instance.put(_TICKED, (now or utc_now()).isoformat())


def run(now: datetime | None = None) -> bool:
    """Send a heartbeat if it is time and all is alive; tell whether one was taken."""
    now = now or utc_now()
    if instance.get(_URL) is None or not _is_time(now) or not _is_alive(now):
        return False
    url = instance.get_secret(_URL)
    sent_at, _ = state()
    db.session.rollback()
    error = ""
    try:
        http_sender.ping(str(url))
    except SendFailed as failure:
        error = str(failure)
    sent = sent_at if error else now
    put = {"sent_at": sent.isoformat() if sent else None, "tried_at": now.isoformat(), "error": error}
    instance.put(_STATE, put)
    return not error


def _is_time(now: datetime) -> bool:
    tried = (instance.get(_STATE) or {}).get("tried_at")
    return tried is None or abs(now - datetime.fromisoformat(tried)) >= EVERY


def _is_alive(now: datetime) -> bool:
    ticked = instance.get(_TICKED)
    return ticked is not None and abs(now - datetime.fromisoformat(ticked)) < _FRESH and nodes.worker_lives()
