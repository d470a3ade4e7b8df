"""Dead-man pings: a watcher elsewhere hears of each backup's start and end, and misses what never comes.

What is to be pinged follows from the rows of jobs alone: of a job process that was killed is told, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from core import secrets
from core.configs import configs
from core.db import db, utc_now, write
from core.errors import Invalid
from core.messaging import http_sender
from core.messaging.outgoing import SendFailed
from core.models import Job, Ping, PingTarget

EVENTS = ("start", "success", "fail")
# A ping that comes later than this would say something about now that is not true.
START_FOR = timedelta(minutes=15)
END_FOR = timedelta(hours=24)
LEASE = timedelta(minutes=2)
_ENDS = {"completed": "success", "warning": "success", "failed": "fail", "interrupted": "fail"}
_TABLE, _COLUMN = "ping_targets", "urls_sealed"
LONGEST_URL = 2000


def places_of(config_id: str) -> PingTarget | None:
    """Return what may be shown of where a config's backups are pinged to; None: nowhere."""
    return db.session.get(PingTarget, config_id, populate_existing=True)


def set_urls(config_id: str, given: Mapping[str, str], *, forget: Sequence[str] = ()) -> None:
    """Set where to ping, by event; what is blank stays as it was, but for what is to be forgotten.

    Raises Invalid by event, NotFound.
    """
    configs.get(config_id)
    urls = {event: url for event, url in urls_of(config_id).items() if event not in forget}
    typed = {event: given.get(event, "").strip() for event in EVENTS}
    _check({event: url for event, url in typed.items() if url})
    urls |= {event: url for event, url in typed.items() if url}
    with write() as session:
        row = session.get(PingTarget, config_id)
        if not urls:
            if row is not None:
                session.delete(row)
            return
        if row is None:
            row = PingTarget(config_id=config_id, since=utc_now())
            session.add(row)
        text = json.dumps(urls)
        row.urls_sealed = secrets.seal(text, table=_TABLE, row=config_id, column=_COLUMN)
        row.places = "; ".join(f"{event}: {http_sender.place_of(url)}" for event, url in urls.items())[:200]
        row.failing_since, row.last_error = None, ""


def urls_of(config_id: str) -> dict[str, str]:
    """Return the addresses of a config by event. Raises SealBroken."""
    row = db.session.get(PingTarget, config_id)
    if row is None:
        return {}
    found: dict[str, str] = json.loads(
        secrets.unseal(row.urls_sealed, table=_TABLE, row=config_id, column=_COLUMN)
    )
    return found


def test(config_id: str) -> str:
    """Ping the address of success once; return a sentence. Raises Invalid, SendFailed."""
    url = urls_of(config_id).get("success")
    if url is None:
        raise Invalid({"success": "There is no address for success yet: set it first."})
    db.session.rollback()
    http_sender.ping(url)
    return "The watcher was pinged with success, and answered."


def run(now: datetime | None = None) -> int:
    """Make and send the pings that are due; return how many were taken. Never from a job or a page."""
    now = now or utc_now()
    _make(now)
    return sum(_send(ping_id, now) for ping_id in _due(now))


def _check(typed: Mapping[str, str]) -> None:
    problems: dict[str, str] = {}
    for event, url in typed.items():
        try:
            if len(url) > LONGEST_URL:
                raise Invalid({event: f"The address is longer than {LONGEST_URL} characters."})
            http_sender.check_url(url, event)
        except Invalid as error:
            problems |= error.fields
    if problems:
        raise Invalid(problems)


def _make(now: datetime) -> None:
    if not _wanted(db.session(), now):
        return
    with write() as session:
        for config_id, job_id, event in _wanted(session, now):
            session.add(Ping(config_id=config_id, job_id=job_id, event=event, created_at=now, due_at=now))


def _wanted(session: Session, now: datetime) -> list[tuple[str, int, str]]:
    """Return config, job and event of what no ping was made for yet."""
    query = select(Job, PingTarget.since).join(PingTarget, PingTarget.config_id == Job.config_id)
    fresh = or_(Job.ended_at > now - END_FOR, Job.status == "running")
    query = query.where(Job.kind == "backup", Job.created_at >= PingTarget.since, fresh).order_by(Job.id)
    rows = session.execute(query).all()
    if not rows:
        return []
    made = select(Ping.job_id, Ping.event).where(Ping.job_id.in_([job.id for job, _ in rows]))
    there = {(job_id, event) for job_id, event in session.execute(made)}
    return [
        (str(job.config_id), job.id, event)
        for job, _ in rows
        for event in _events(job, now)
        if (job.id, event) not in there
    ]


def _events(job: Job, now: datetime) -> Iterator[str]:
    if job.started_at is not None and abs(now - job.started_at) < START_FOR:
        yield "start"
    if job.status in _ENDS:
        yield _ENDS[job.status]


def _due(now: datetime) -> Sequence[int]:
    waiting = Ping.sent_at.is_(None), Ping.given_up_at.is_(None)
    # A time further off than any that is written here was written under a clock that was ahead.
    due = or_(Ping.due_at <= now, Ping.due_at > now + 2 * END_FOR)
    return db.session.scalars(select(Ping.id).where(*waiting, due).order_by(Ping.id)).all()


def _send(ping_id: int, now: datetime) -> int:
    """Send one ping, if no other process does; return 1 if it was taken."""
    with write() as session:
        ping = session.get(Ping, ping_id)
        if ping is None or ping.sent_at or (now < ping.due_at <= now + 2 * END_FOR):
            return 0
        late = now - ping.created_at > (START_FOR if ping.event == "start" else END_FOR)
        if late or _is_outdated(session, ping):
            ping.given_up_at = now
            return 0
        ping.due_at, ping.attempts = now + LEASE, ping.attempts + 1
        config_id, event = ping.config_id, ping.event
    try:
        url = urls_of(config_id).get(event)
        db.session.rollback()
        if url is not None:
            http_sender.ping(url)
    except (SendFailed, secrets.SealBroken) as error:
        _note(ping_id, config_id, now, str(error))
        return 0
    _note(ping_id, config_id, now, "")
    return int(url is not None)


def _is_outdated(session: Session, ping: Ping) -> bool:
    """Tell whether a later end was told: what comes after it would be taken for what is true now."""
    later = select(Ping.id).where(Ping.config_id == ping.config_id, Ping.id > ping.id, Ping.event != "start")
    return session.scalar(later.where(Ping.sent_at.is_not(None)).limit(1)) is not None


def _note(ping_id: int, config_id: str, now: datetime, error: str) -> None:
    with write() as session:
        ping, target = session.get(Ping, ping_id), session.get(PingTarget, config_id)
        if ping is not None:
            ping.error, ping.sent_at = error, None if error else now
            ping.due_at = now + timedelta(minutes=min(30, 2 ** min(ping.attempts - 1, 5)))
        if target is not None:
            target.last_error = error
            target.last_sent_at = target.last_sent_at if error else now
            target.failing_since = (target.failing_since or now) if error else None
