"""The blind-spot map: what is on a host, and which of it no config backs up."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from core.db import db, utc_now, write
from core.errors import Invalid, NotFound, Unreachable
from core.hosts import host_login, host_trouble, hosts
from core.jobs.outcomes import sentence
from core.models import Config, Host
from repository.entries import SourceUnavailable
from sources.postgres.server import LOOPBACK
from ssh.errors import SshError

if TYPE_CHECKING:
    from sources.ssh.host import SshHostSettings
    from sources.ssh.survey import Survey

Cover = Literal["none", "partly", "whole", "left out"]

_SMALLEST_BYTES = 10 * 1000 * 1000  # of a folder that is nothing special
_KINDS = {
    "database": "data of a database, whose files change while they are copied: it is to be dumped",
    "sqlite": "a database of SQLite, whose file may change while it is copied",
    "volumes": "disks of containers or virtual machines",
    "home": "home folder",
    "config": "configuration",
    "disk": "file system",
    "network": "on another machine",
    "folder": "folder",
}
POSTGRESQL = "PostgreSQL"
_POSTGRESQL = ("/postgresql", "/pgsql")
_OF_CONTAINERS = ("/var/lib/docker/", "/var/lib/containers/")
_SHOWN_NAMES = 3
_CUT = (
    "There was no time, or no room, to look at all: databases and files of SQLite may be there that this map "
    "does not name."
)


@dataclass(frozen=True, slots=True)
class Spot:
    """A place on a host. `covered_by`: names of configs; `size_bytes` None: there was no time to tell.

    `paused`: configs that would cover some of it, and run no more.
    """

    path: str
    kind: str
    size_bytes: int | None
    cover: Cover
    covered_by: Sequence[str] = ()
    paused: Sequence[str] = ()
    engine: str = ""

    @property
    def what(self) -> str:
        """The kind in words."""
        if self.kind != "database" or not self.engine:
            return _KINDS.get(self.kind, self.kind)
        text = f"data of {self.engine}, a database whose files change while they are copied"
        if self.is_dumped_here:
            return f"{text}: a config of type database dumps it"
        return f"{text}: let {self.engine} dump it into a folder, and back that up"

    @property
    def is_dumped_here(self) -> bool:
        """Tell whether Holdfast dumps databases of this kind."""
        return self.kind == "database" and self.engine in ("", POSTGRESQL)


@dataclass(slots=True)
class Map:
    """What was found, by how it is covered, the largest first. `cut`: there is more than was looked at."""

    spots: list[Spot] = field(default_factory=list)
    cut: bool = False

    @property
    def limits(self) -> str:
        """What of it is not known, in words; "" if nothing."""
        return _CUT if self.cut else ""

    def of(self, *covers: Cover) -> list[Spot]:
        """Return the spots that are covered so."""
        return [spot for spot in self.spots if spot.cover in covers]

    @property
    def blind_bytes(self) -> int:
        """At least so much is in no backup."""
        blind = self.of("none")
        paths = [spot.path for spot in blind]
        return sum(
            spot.size_bytes or 0
            for spot in blind
            if not any(spot.path.startswith(other + "/") for other in paths)
        )

    @property
    def unmeasured(self) -> int:
        """How many of the places that are not covered could not be measured in time."""
        return sum(spot.size_bytes is None and spot.kind != "network" for spot in self.of("none", "partly"))


def look(host_id: str) -> Map:
    """Look at a host, note what was found, and return the map. Nothing is written there.

    Raises NotFound, Unreachable, Refused where its key is not confirmed yet.
    """
    host = hosts.get(host_id)
    settings, name = host_login.settings_of(host, quick=True), host.name
    db.session.rollback()
    try:
        seen = _survey(settings)
    except (SshError, SourceUnavailable) as error:
        advice = host_trouble.advice_for(error) or host_trouble.OTHERWISE
        raise Unreachable(sentence(f"{name}: {error}"), advice) from error
    spots = [asdict(each) for each in seen.found if is_storable(each.path)]
    with write() as session:
        row = session.get(Host, host_id)
        if row is None:
            raise NotFound(f"{name} was deleted meanwhile.")
        row.blind_spots, row.mapped_at = {**row.blind_spots, "spots": spots, "cut": seen.cut}, utc_now()
    return last(hosts.get(host_id)) or Map()


def last(host: Host) -> Map | None:
    """Return the map as it was looked up last, held against the configs of today; None before that."""
    if host.mapped_at is None:
        return None
    return of_kept(host.blind_spots, hosts.uses(host.id).configs)


def of_kept(kept: Mapping[str, Any], uses: Sequence[Config]) -> Map:
    """Return the map of what was kept of a look."""
    found = held_against(kept.get("spots", ()), uses, set(kept.get("left_out", ())))
    found.cut = bool(kept.get("cut"))
    return found


def held_against(found: Sequence[dict[str, Any]], uses: Sequence[Config], left_out: set[str]) -> Map:
    mounts = {each["path"] for each in found if each.get("mount") or each["kind"] in ("disk", "network")}
    spots = (_spot(each, uses, left_out, mounts) for each in found)
    shown = [spot for spot in spots if _is_worth_telling(spot)]
    return Map(sorted(shown, key=lambda spot: (-(spot.size_bytes or 0), spot.path)))


def to_protect(host_id: str, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which of these places are files to back up, and which are data of databases. Raises NotFound,
    Invalid."""
    return chosen(hosts.get(host_id).blind_spots.get("spots", ()), paths)


def chosen(found: Sequence[dict[str, Any]], paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which of these places are files to back up, and which are data of databases, to be dumped.

    Raises Invalid if all are of databases that Holdfast does not dump.
    """
    known = {each["path"]: each for each in found if each["path"] in paths}
    data = {path: each.get("engine", "") for path, each in known.items() if each["kind"] == "database"}
    files = [path for path in paths if path in known and path not in data]
    if data and not files and not any(engine in ("", POSTGRESQL) for engine in data.values()):
        engine = next(iter(data.values()))
        text = (
            f"Holdfast dumps PostgreSQL by itself. Let {engine} dump its databases into a folder by a job of"
        )
        raise Invalid({"path": f"{text} its own, and back that folder up."})
    return files, list(data)


def leave_out(host_id: str, paths: Sequence[str], *, on_purpose: bool = True) -> None:
    """Remember that these places are in no backup on purpose, or no longer so. Raises NotFound, Invalid."""
    after = left_out_after(hosts.get(host_id).blind_spots, paths, on_purpose=on_purpose)
    with write() as session:
        row = session.get_one(Host, host_id)
        row.blind_spots = {**row.blind_spots, "left_out": after}


def left_out_after(kept: Mapping[str, Any], paths: Sequence[str], *, on_purpose: bool) -> list[str]:
    """Return what is left out once that is said of these places. Raises Invalid if none is known."""
    known = {each["path"] for each in kept.get("spots", ())}
    wanted = {path for path in paths if path in known}
    if not wanted:
        raise Invalid({"path": "Tick at least one of the places."})
    before = set(kept.get("left_out", ()))
    return sorted(before | wanted if on_purpose else before - wanted)


def _survey(settings: SshHostSettings) -> Survey:
    from sources.ssh.host import SshHost  # slow to import: paramiko
    from sources.ssh.probe import probe
    from sources.ssh.survey import survey

    host = SshHost(settings)
    try:
        if not probe(host).shell:
            raise SourceUnavailable("this login runs no programs, so nobody can look around with it")
        return survey(host)
    finally:
        host.close()


def _spot(found: dict[str, Any], uses: Sequence[Config], left_out: set[str], mounts: set[str]) -> Spot:
    path, kind, size = found["path"], found["kind"], found["size_bytes"]
    engine = found.get("engine", "")
    covers = [(config, _cover_by(config, path, kind, mounts)) for config in uses]
    whole = [config.name for config, cover in covers if config.enabled and cover == "whole"]
    if whole:
        return Spot(path, kind, size, "whole", whole, engine=engine)
    if path in left_out:
        return Spot(path, kind, size, "left out", engine=engine)
    # A rule may also leave out a part of it: that is somebody's choice, and not looked into.
    parts = [config.name for config, cover in covers if config.enabled and cover == "partly"]
    paused = [config.name for config, cover in covers if not config.enabled and cover != "none"]
    cover: Cover = "partly" if parts else "none"
    return Spot(path, kind, size, cover, parts[:_SHOWN_NAMES], paused[:_SHOWN_NAMES], engine)


def _cover_by(config: Config, path: str, kind: str, mounts: set[str]) -> Cover:
    """Tell how far one config backs a place up, when it runs: its files, or its databases by their dumps."""
    source = config.source
    if config.type == "database":
        return _cover_by_dumps(source, path, kind)
    tops = source.get("paths", ())
    inside = any(_is_in(path, top) for top in tops)
    if inside and not any(_is_in(path, rule) for rule in source.get("exclude", ())):
        entered = {_mount_of(top, mounts) for top in tops}
        if not source.get("one_file_system") or _mount_of(path, mounts) in entered:
            # Files that were copied while they changed may be of no use.
            return "partly" if kind == "database" else "whole"
    return "partly" if any(_is_in(top, path) for top in tops) else "none"


def _cover_by_dumps(source: dict[str, Any], path: str, kind: str) -> Cover:
    address = str(source.get("host") or "")
    # Else it is the way to another machine's server.
    here = address in ("", *LOOPBACK) or address.startswith(("/", "@"))
    if not here or kind != "database" or not any(each in path for each in _POSTGRESQL):
        return "none"
    if path.startswith(_OF_CONTAINERS):  # which server it is of is not known
        return "none"
    return "partly" if source.get("which") == "chosen" or source.get("exclude") else "whole"


def _mount_of(path: str, mounts: set[str]) -> str:
    """Return the top of the file system that a path is on, as far as that was found; "" for that of /."""
    return max((each for each in mounts if _is_in(path, each)), key=len, default="")


def _is_worth_telling(spot: Spot) -> bool:
    if spot.size_bytes is None or spot.kind == "network":
        return True
    return spot.size_bytes >= (_SMALLEST_BYTES if spot.kind in ("folder", "disk") else 16 * 1024)


def _is_in(path: str, top: str) -> bool:
    top = top.rstrip("/")
    return path == top or path.startswith(top + "/")


def is_storable(path: str) -> bool:
    """Tell whether a form can carry a path and a row can keep it."""
    try:
        json.dumps(path).encode()
        path.encode()
    except UnicodeEncodeError:
        return False
    return path.isprintable()
