"""Fidelity self-test: a nasty tree on a host is backed up and restored there; what it loses is named."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from core.db import db, utc_now, write
from core.hosts import host_login, host_trouble, hosts
from core.jobs.joblog import storable
from core.jobs.outcomes import sentence
from core.models import Host
from core.points.tokens import printable
from repository import lookup
from repository.backup import BackupOptions, backup
from repository.entries import Entry, Problem, SourceUnavailable, TargetError
from repository.errors import RepositoryError
from repository.keyfile import KdfParams
from repository.locks import lock_repository
from repository.repository import Repository
from repository.restore import RestoreOptions, restore
from repository.tree import entry_from_node
from ssh.errors import SshError
from storage_adapters.memory import MemoryAdapter

if TYPE_CHECKING:
    from sources.ssh.host import SshHost, SshHostSettings
    from sources.ssh.specimens import Kind, Made

State = Literal["kept", "lost", "untried"]

_THROWN_AWAY = KdfParams(n=1024, r=8, p=1)  # the repository lives in memory, for seconds
_SHOWN = 5
_TIMES = "times"
_OWN_TIMES = ("oldtimes", "linktimes")
_OF_THE_SHELL = re.compile(r"\A\S*sh: (?:line )?\d+: ")


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of one kind of thing. `lost`: a backup or a restore changes it; `untried`: the host cannot
    make one, so there is nothing to lose either."""

    title: str
    state: State
    text: str = ""


@dataclass(slots=True)
class Result:
    """How a self-test went. `trouble`: why it could not be made or ended; `leftover`: what it left there."""

    findings: list[Finding] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    seconds: float = 0.0
    trouble: str = ""
    advice: str = ""
    leftover: str = ""

    @property
    def lost(self) -> list[Finding]:
        """What does not survive."""
        return [finding for finding in self.findings if finding.state == "lost"]

    @property
    def kept(self) -> list[Finding]:
        """What survives."""
        return [finding for finding in self.findings if finding.state == "kept"]

    @property
    def ok(self) -> bool:
        """Tell whether it could be made, and everything that could be tried survives."""
        return bool(self.findings) and not (self.trouble or self.lost)


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing as a snapshot has it, with the hash of its content."""

    entry: Entry
    sha256: str = ""


Tree = Mapping[bytes, Thing]


def run(host_id: str, above: str = "") -> Result:
    """Make the test in a new folder in `above` there, remove that, and note on the row how it went.

    Raises NotFound, Refused where a host key is not confirmed yet.
    """
    settings = host_login.settings_of(hosts.get(host_id), quick=True)
    db.session.rollback()
    began, result = time.monotonic(), Result()
    try:
        _test(settings, above, result)
    except (SshError, SourceUnavailable, TargetError, RepositoryError) as error:
        result.trouble = storable(sentence(str(error)))
        result.advice = host_trouble.advice_for(error) or host_trouble.OTHERWISE
    result.seconds = round(time.monotonic() - began, 1)
    _note(host_id, result)
    return result


def last(host: Host) -> Result | None:
    """Return what the last self-test found; None if there was none."""
    found = dict(host.self_test)
    if not found:
        return None
    return Result(**{**found, "findings": [Finding(**each) for each in found["findings"]]})


def _test(settings: SshHostSettings, above: str, result: Result) -> None:
    from sources.ssh import specimens  # slow to import: paramiko
    from sources.ssh.host import SshHost
    from sources.ssh.probe import probe

    host = SshHost(settings)
    try:
        if not probe(host).shell:
            raise SourceUnavailable(
                f"{host.name} lets this user in for SFTP alone, so nothing can be made there to be tested"
            )
        made = specimens.make(host, above)
        try:
            _go_there_and_back(settings, host, made, result)
        finally:
            left = specimens.remove(host, made.folder)
            result.leftover = storable(f"{made.folder} could not be removed: {left}") if left else ""
    finally:
        host.close()


def _go_there_and_back(settings: SshHostSettings, host: SshHost, made: Made, result: Result) -> None:
    from sources.ssh import specimens
    from sources.ssh.targets import open_target

    def note(problem: Problem) -> None:
        result.said.append(storable(f"{printable(problem.path)}: {problem.message}"))

    tree, back = f"{made.folder}/tree", f"{made.folder}/back"
    repo = Repository.init(MemoryAdapter(), secrets.token_hex(16), kdf=_THROWN_AWAY)
    try:
        first, snapshot_id = _backed_up(repo, settings, tree, note)
        second = None
        try:
            target = open_target(settings, back)
            try:
                options = RestoreOptions(strip=tree.encode())
                restore(repo, repo.load_snapshot(snapshot_id), target, options, report=note)
            finally:
                target.close()
            second, _ = _backed_up(repo, settings, back, note)
        except TargetError as error:
            result.trouble = storable(sentence(str(error)))
    finally:
        repo.close()
    holes = specimens.blocks(host, made.folder)
    result.findings = [_finding(kind, made, first, second, holes) for kind in specimens.KINDS]


def _backed_up(repo: Repository, settings: SshHostSettings, path: str, note: Any) -> tuple[Tree, bytes]:
    """Return what a backup of a folder holds, by path below it, and the snapshot's id."""
    from sources.ssh.source import SshSource

    source = SshSource(settings, [path])
    try:
        with lock_repository(repo) as lock:
            made = backup(repo, source, BackupOptions(force=True), lock, report=note)
    finally:
        source.close()
    repo.load_index()
    return dict(_things(repo, made.snapshot_id, path.encode())), made.snapshot_id


def _things(repo: Repository, snapshot_id: bytes, top: bytes) -> Iterator[tuple[bytes, Thing]]:
    root = lookup.find_node(repo, repo.load_snapshot(snapshot_id), top)
    for path, node in lookup.walk(repo, root):
        content = hashlib.sha256()
        for chunk in lookup.read_file(repo, node) if node.type == "file" and node.content is not None else ():
            content.update(chunk)
        yield path[1:], Thing(entry_from_node(node), content.hexdigest())


def _finding(kind: Kind, made: Made, first: Tree, second: Tree | None, holes: tuple[int, int]) -> Finding:
    if kind.key == _TIMES and second is not None and (late := list(_other_times(first, second))):
        return Finding(kind.title, "lost", _told("A restore does not bring this back", late))
    if kind.key in made.failed:
        why = _OF_THE_SHELL.sub("", made.failed[kind.key]) or "it cannot be made there"
        return Finding(kind.title, "untried", storable(why))
    wrong = list(_wrong(kind, first))
    if wrong:
        return Finding(kind.title, "lost", _told("A backup does not keep this", wrong))
    if second is None:
        return Finding(kind.title, "lost", "A backup keeps this; nothing could be restored to this host.")
    wrong = list(_wrong(kind, second)) or list(_changed(kind, first, second))
    if kind.key == "sparse" and holes[1] > 2 * holes[0] + 16:
        wrong.append("the holes are filled with zeros, which take room on the disk")
    if wrong:
        return Finding(kind.title, "lost", _told("A restore does not bring this back", wrong))
    return Finding(kind.title, "kept")


def _told(what: str, wrong: list[str]) -> str:
    more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
    return storable(f"{what}: {'; '.join(wrong[:_SHOWN])}{more}.")


def _wrong(kind: Kind, tree: Tree) -> Iterator[str]:
    """Yield what is not as it was made."""
    for name, facts in kind.wanted.items():
        path = kind.key.encode() + b"/" + name
        if path not in tree:
            yield f"{printable(name)} is missing"
            continue
        for fact, wanted in facts.items():
            if (text := _difference(kind, tree, tree[path], fact, wanted)) != "":
                yield f"{printable(name)} {text}"


def _difference(kind: Kind, tree: Tree, thing: Thing, fact: str, wanted: Any) -> str:
    if fact == "sha256":
        return "" if thing.sha256 == wanted else "has another content"
    if fact == "same":
        other = tree.get(kind.key.encode() + b"/" + wanted)
        is_same = other is not None and _identity(other.entry) == _identity(thing.entry)
        return "" if is_same else f"is no longer one file with {printable(wanted)}"
    if fact == "xattr":
        name, part = wanted
        return "" if part in dict(thing.entry.xattrs).get(name, b"") else f"has no {printable(name)}"
    found = getattr(thing.entry, fact)
    if found == wanted:
        return ""
    if fact == "mode":
        return f"has the permissions {found:o}, not {wanted:o}"
    return f"has the {_WORDS.get(fact, fact)} {_plain(found)}, not {_plain(wanted)}"


_WORDS = {
    "mtime_ns": "time", "uid": "owner", "gid": "group", "linktarget": "target", "links": "number of names",
}  # fmt: skip


def _plain(value: object) -> str:
    return printable(value) if isinstance(value, bytes) else str(value)


def _changed(kind: Kind, first: Tree, second: Tree) -> Iterator[str]:
    """Yield what differs between what was backed up and what was restored, whatever it should be."""
    top = kind.key.encode()
    for path, thing in first.items():
        if path != top and not path.startswith(top + b"/"):
            continue
        if path not in second:
            yield f"{printable(path)} is missing"
            continue
        here, there = thing.entry, second[path].entry
        if (thing.sha256, _facts(here)) != (second[path].sha256, _facts(there)):
            yield f"{printable(path)} is not quite as it was"
        elif kind.key in _OWN_TIMES and here.mtime_ns != there.mtime_ns:
            yield f"{printable(path)} has another time"


def _other_times(first: Tree, second: Tree) -> Iterator[str]:
    """Yield which things came back with another time, but for those that are about times alone."""
    for path, thing in first.items():
        there = second.get(path)
        about_times = path.startswith(tuple(key.encode() + b"/" for key in _OWN_TIMES))
        if there is not None and not about_times and there.entry.mtime_ns != thing.entry.mtime_ns:
            lost_s = abs(there.entry.mtime_ns - thing.entry.mtime_ns) / 1e9
            yield f"{printable(path)} is off by {lost_s:.3g} s"


def _identity(entry: Entry) -> tuple[int, int]:
    return entry.device_id, entry.inode


def _facts(entry: Entry) -> tuple[object, ...]:
    return (
        entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.links,
        entry.linktarget, entry.device, sorted(entry.xattrs),
    )  # fmt: skip


def _note(host_id: str, result: Result) -> None:
    document = asdict(result)
    with write() as session:
        host = session.get(Host, host_id)
        if host is not None:
            host.self_test, host.self_tested_at = document, utc_now()
