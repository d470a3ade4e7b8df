"""The blind-spot map of this machine: what is on it, and which of it no config backs up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select

from core import instance
from core.db import db, utc_now
from core.errors import Unreachable
from core.hosts import host_map
from core.hosts.host_map import Map
from core.jobs.outcomes import sentence
from core.models import Config
from core.restores import restore_targets
from repository.entries import SourceUnavailable
from sources.here import Here

_KEY = "map_of_this_machine"


@dataclass(frozen=True, slots=True)
class Looked:
    """The map, and when it was looked up."""

    map: Map
    at: datetime


def look() -> Map:
    """Look at this machine, keep what was found, and return the map. Raises Unreachable."""
    from sources.ssh.survey import survey

    ours = {root for root, _ in restore_targets.protected()}
    db.session.rollback()
    try:
        seen = survey(Here())
    except SourceUnavailable as error:
        raise Unreachable(sentence(str(error)), "See that sh, du and xargs are installed.") from error
    spots = [asdict(each) for each in seen.found if each.path not in ours and host_map.is_storable(each.path)]
    kept = instance.get(_KEY, {})
    instance.put(_KEY, {**kept, "spots": spots, "cut": seen.cut, "at": utc_now().isoformat()})
    return _map()


def last() -> Looked | None:
    """Return the map as it was looked up last, held against the configs of today; None before that."""
    at = instance.get(_KEY, {}).get("at")
    return Looked(_map(), datetime.fromisoformat(at)) if at else None


def to_protect(paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which of these places are files to back up, and which are data of databases. Raises Invalid."""
    return host_map.chosen(instance.get(_KEY, {}).get("spots", ()), paths)


def leave_out(paths: Sequence[str], *, on_purpose: bool = True) -> None:
    """Remember that these places are in no backup on purpose, or no longer so. Raises Invalid."""
    kept = instance.get(_KEY, {})
    instance.put(_KEY, {**kept, "left_out": host_map.left_out_after(kept, paths, on_purpose=on_purpose)})


def _map() -> Map:
    here = Config.deleted_at.is_(None) & Config.source["host_id"].as_string().is_(None)
    uses = db.session.scalars(select(Config).where(here)).all()
    return host_map.of_kept(instance.get(_KEY, {}), uses)
