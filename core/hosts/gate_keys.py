"""Keys for one thing each on a host: made when asked for, sealed, tested, and picked by jobs."""

from __future__ import annotations

import json
import os
import posixpath
import re
import shlex
import socket
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import select

from core import secrets
from core.db import db, utc_now, write
from core.errors import Invalid, NotFound
from core.hosts import host_gate, host_login, hosts, set_up_lines
from core.jobs.joblog import storable
from core.jobs.outcomes import sentence
from core.models import GateKey
from repository.entries import SourceUnavailable
from ssh.errors import SshError

if TYPE_CHECKING:
    from sources.ssh.host import SshHostSettings

_SEALED_IN = {"table": "gate_keys", "column": "credentials_sealed"}
# What stands there is run, or believed, by root or others: who may put folders into it may become them.
_POWERFUL = re.compile(
    r"/(?:bin|boot|dev|etc|lib[a-z0-9]*|proc|root|run|sbin|sys|usr)(?:/|\Z)|/\Z|/var/spool(?:/|\Z)"
)
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}\Z")
_LONGEST = 200
_PORT = 5432


@dataclass(frozen=True, slots=True)
class Way:
    """How a key is let in, for a shell of root: all lines, and two of them alone; what it forbids."""

    allows: str
    forbids: str
    lines: str
    key_line: str
    rule: str
    remove: str


def of_host(host_id: str) -> Sequence[GateKey]:
    """Return the keys of a host."""
    query = select(GateKey).where(GateKey.host_id == host_id).order_by(GateKey.mode, GateKey.place)
    return db.session.scalars(query).all()


def get(host_id: str, key_id: str) -> GateKey:
    """Return a key. Raises NotFound."""
    found = db.session.get(GateKey, key_id)
    if found is None or found.host_id != host_id:
        raise NotFound("This key is gone.", "Open the host’s page again.")
    return found


def make(host_id: str, mode: str, place: str, port: str = "") -> GateKey:
    """Make a key that a form asks for. Raises NotFound, Invalid (`place`)."""
    if mode == "dump":
        number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
        return make_for_dumps(host_id, place, number if port else _PORT)
    return make_for_restores(host_id, place)


def make_for_restores(host_id: str, root: str) -> GateKey:
    """Make a key that restores into one folder. Raises NotFound, Invalid (`place`)."""
    hosts.get(host_id)
    return _make(host_id, "restore", _root(root.strip()))


def make_for_dumps(host_id: str, database: str, port: int = _PORT) -> GateKey:
    """Make a key that dumps one database of the host's own server. Raises NotFound, Invalid (`place`)."""
    hosts.get(host_id)
    name = database.strip()
    if not _PLAIN.match(name) or not 0 < port < 65_536:
        text = "Name one database, of letters, digits, dots, - and _; its server is the host’s own."
        raise Invalid({"place": text})
    return _make(host_id, "dump", f"{name}:{port}")


def delete(host_id: str, key_id: str) -> None:
    """Forget a key; the lines on the host stay until somebody takes them out there. Raises NotFound."""
    get(host_id, key_id)
    with write() as session:
        session.delete(session.get_one(GateKey, key_id))


def way(key: GateKey) -> Way:
    """Return how a key is let in."""
    user, name = hosts.get(key.host_id).user, f"holdfast-{key.mode}-{key.id[:8]}"
    path = f"{posixpath.dirname(host_gate.PATH)}/{name}"
    line = f"restrict,{host_gate.command(user, path)} {key.public_key}"
    rule = "" if user == "root" else host_gate.rule_for(user, path)
    lines = [*_before(key), host_gate.install_lines(_script(key), path), set_up_lines.user(user, line)]
    files = f"{path} /etc/sudoers.d/{name}" if rule else path
    return Way(
        *_told(key),
        "\n".join([*lines, set_up_lines.sudoers(name, rule)] if rule else lines),
        line,
        rule,
        f"rm -f {files}  # and its line in ~{user}/.ssh/authorized_keys",
    )


def for_dumps(host_id: str, databases: Sequence[str], port: int) -> list[tuple[str, GateKey]]:
    """Return the keys by which these databases can be dumped, by name; none unless there are all."""
    known = {key.place: key for key in of_host(host_id) if key.mode == "dump"}
    places = [(name, f"{name}:{port}") for name in databases]
    return [(name, known[place]) for name, place in places] if all(p in known for _, p in places) else []


def for_restore(host_id: str, path: str) -> GateKey | None:
    """Return the key by which a new folder can be made at a path; None if there is none."""
    return next((key for key in of_host(host_id) if key.mode == "restore" and _makes(key, path)), None)


def restore_roots(host_id: str) -> list[str]:
    """Return the folders that keys of a host restore into."""
    return [key.place for key in of_host(host_id) if key.mode == "restore"]


def settings_of(key: GateKey, *, quick: bool = False) -> SshHostSettings:
    """Return how to reach the gate of a key. Raises Refused, SealBroken."""
    found = host_login.settings_of(hosts.get(key.host_id), quick=quick)
    credentials = json.loads(secrets.unseal(key.credentials_sealed, row=key.id, **_SEALED_IN))
    server = replace(found.server, password=None, passphrase=None, private_key=credentials["private_key"])
    return replace(found, server=server, sudo=False)


def test_all(host_id: str) -> None:
    """Try each key of a host, and note on it how that went. Nothing is written there. Raises Refused."""
    for key in of_host(host_id):
        _note(key.id, _trouble_with(settings_of(key, quick=True)))


def _before(key: GateKey) -> list[str]:
    if key.mode != "restore":
        return []
    folder = shlex.quote(key.place)
    return [f"test -d {folder} || install -d -m 755 {folder}"]


def _script(key: GateKey) -> str:
    if key.mode == "restore":
        return host_gate.restore_script(key.place)
    name, _, port = key.place.rpartition(":")
    return host_gate.dump_script(name, int(port))


def _told(key: GateKey) -> tuple[str, str]:
    """Say what the gate of a key allows, and what it forbids."""
    if key.mode == "restore":
        return (
            f"New folders in {key.place}, with what is restored to them, owners included.",
            "Reading any file, changing or deleting what stands there, programs, terminals, forwarding, "
            "setuid and setgid bits, devices. Be aware: whoever has the key can fill that disk.",
        )
    name, _, port = key.place.rpartition(":")
    return (
        f"A dump of the database {name} of the server at port {port}, as pg_dump of the host makes it.",
        "Every other database, every change, files, programs, terminals, forwarding. Roles are not in the "
        "dump, and its rows are not counted, so a restore cannot be compared with it table by table.",
    )


def _trouble_with(settings: SshHostSettings) -> str:
    from sources.ssh import gate_wire  # slow to import: paramiko

    db.session.rollback()
    try:
        gate_wire.free_bytes(settings)
    except (SshError, SourceUnavailable) as error:
        return storable(sentence(str(error)))
    return ""


def _note(key_id: str, trouble: str) -> None:
    with write() as session:
        row = session.get(GateKey, key_id)
        if row is not None:
            row.trouble, row.tested_at = trouble, utc_now()


def _make(host_id: str, mode: str, place: str) -> GateKey:
    from ssh import private_keys  # slow to import: paramiko

    same = (GateKey.host_id == host_id) & (GateKey.mode == mode) & (GateKey.place == place)
    with write() as session:
        if session.scalar(select(GateKey).where(same)) is not None:
            raise Invalid({"place": f"There is a key for {place} already."})
        private, public = private_keys.make(f"holdfast-{mode}@{socket.gethostname()}")
        key = GateKey(host_id=host_id, mode=mode, place=place, public_key=public)
        session.add(key)
        session.flush()
        key.credentials_sealed = secrets.seal(json.dumps({"private_key": private}), row=key.id, **_SEALED_IN)
        return key


def _root(text: str) -> str:
    """Return the folder that a gate is for. Raises Invalid (`place`)."""
    if not text.startswith("/") or not text.isprintable() or len(text) > _LONGEST:
        raise Invalid({"place": "Name a folder on the host by its whole path, such as /srv/restored."})
    clean = posixpath.normpath("/" + text.lstrip("/"))
    if _POWERFUL.match(clean):
        text = f"Who may put folders into {clean} may become root there."
        raise Invalid({"place": f"{text} Name another, such as /srv/restored."})
    return clean


def _makes(key: GateKey, path: str) -> bool:
    return posixpath.dirname(os.path.normpath(path)) == key.place
