"""Pausing all: nothing begins by itself, until a time or until a person resumes it.

What falls into a pause is not missed: one run of each config makes up for it when the pause is over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core import instance, words
from core.db import db, utc_now, write
from core.errors import Invalid
from core.settings import is_zone

LONGEST = timedelta(days=366)
# So many are remembered: a scheduler that was down for long must know which runs were not to be.
REMEMBERED = 20
LONGEST_NOTE = 200
_KEY = "pauses"


@dataclass(frozen=True, slots=True)
class Pause:
    """One pause. `until` None: until somebody resumes. `by`: who paused; `note`: why."""

    since: datetime
    until: datetime | None
    by: str
    note: str

    def holds(self, moment: datetime) -> bool:
        """Tell whether a moment lies in it."""
        return self.since <= moment and (self.until is None or moment < self.until)

    def words(self, zone: str) -> str:
        """Say until when, to follow "paused"."""
        return f"until {words.moment(self.until, zone)}" if self.until else "until somebody resumes it"


def active(now: datetime | None = None) -> Pause | None:
    """Return the pause that holds now; one without end does, whatever the clock says since when."""
    now = now or utc_now()
    return next((each for each in remembered() if each.until is None or each.holds(now)), None)


def remembered() -> list[Pause]:
    """Return this and earlier pauses, the newest first."""
    return [_read(each) for each in instance.get(_KEY) or []]


def was_paused(moment: datetime, pauses: list[Pause]) -> bool:
    """Tell whether a moment lies in one of these."""
    return any(each.holds(moment) for each in pauses)


def begin(until: datetime | None, by: str, note: str = "") -> Pause:
    """Pause all from now on; one that holds is replaced, and goes on from when it began. Raises Invalid."""
    now = utc_now()
    if until is not None and not now < until <= now + LONGEST:
        raise Invalid({"until": "Choose a time to come, at most a year from now, or none."})
    text = " ".join(note.split())
    if len(text) > LONGEST_NOTE or not text.isprintable():
        raise Invalid({"note": f"A note has at most {LONGEST_NOTE} visible characters."})
    before = active(now)
    made = Pause(min(before.since, now) if before else now, until, by, text)
    _keep([made, *(each for each in remembered() if each != before)])
    return made


def end() -> Pause | None:
    """Let all run again; return the pause that held, if there was one."""
    now = utc_now()
    held = active(now)
    if held is not None:
        over = Pause(held.since, now, held.by, held.note)
        _keep([over, *(each for each in remembered() if each != held)])
    return held


def parse_until(text: str, zone: str) -> datetime | None:
    """Return the time that a text means on the wall clock of a zone; blank is none. Raises Invalid."""
    plain = text.strip()
    if not plain:
        return None
    try:
        moment = datetime.fromisoformat(plain)
    except ValueError as error:
        raise Invalid({"until": "Write the time as 2026-11-24 08:00."}) from error
    if moment.tzinfo is not None:
        return moment
    return moment.replace(tzinfo=ZoneInfo(zone if is_zone(zone) else "UTC"))


def _keep(pauses: list[Pause]) -> None:
    db.session.rollback()
    with write() as session:
        instance.set_in(session, _KEY, [_document(each) for each in pauses[:REMEMBERED]])


def _document(pause: Pause) -> dict[str, Any]:
    until = pause.until.isoformat() if pause.until else None
    return {"since": pause.since.isoformat(), "until": until, "by": pause.by, "note": pause.note}


def _read(found: dict[str, Any]) -> Pause:
    until = datetime.fromisoformat(found["until"]) if found["until"] else None
    return Pause(datetime.fromisoformat(found["since"]), until, found["by"], found["note"])
