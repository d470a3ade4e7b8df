"""Databases of a host, each dumped through a gate of its own there, as a Source."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from repository.entries import Entry, Listing, Problem, SourceUnavailable
from sources.made_file import MadeFile, made_entry
from sources.postgres import manifest
from sources.postgres.errors import DumpFailed
from sources.postgres.manifest import Database, Manifest
from sources.postgres.tree import DATABASES, MANIFEST, dump_path
from sources.ssh.answers import last_line
from sources.ssh.gate_wire import GateRefused, begin
from sources.ssh.host import SshHost, SshHostSettings
from sources.ssh.target_scripts import own
from ssh.errors import SshError
from ssh.process import Process

LIMIT = (
    "through a gate for dumps, roles are not kept, nor rights on a database and its settings, and rows are "
    "not counted"
)
_UNCOUNTED = "the gate on the host only dumps"
_MAGIC = b"PGDMP"
_MOST_FACTS = 64 * 1024 * 1024


class GateDumps:
    """`/databases/<name>.dump` and `/manifest.json`, as PostgresSource has them, without the globals.

    `logins`: how to reach the gate of each database, by name. A dump that breaks off raises a
    SourceUnavailable out of the backup.
    """

    limits = (LIMIT,)

    def __init__(
        self,
        place: str,
        hostname: str,
        logins: Mapping[str, SshHostSettings],
        waiting: Callable[[], None] = lambda: None,
    ) -> None:
        self.hostname = hostname
        self._place = place
        self._hosts = {dump_path(name): (name, SshHost(logins[name])) for name in sorted(logins)}
        self._waiting = waiting
        self._now_ns = time.time_ns()
        made_at = datetime.fromtimestamp(self._now_ns // 1_000_000_000, UTC).isoformat()
        self.manifest = Manifest(place, "", 0, made_at)

    @property
    def paths(self) -> Sequence[str]:
        """Each dump, and the manifest."""
        return [os.fsdecode(path) for path in (*self._hosts, MANIFEST)]

    def check(self) -> None:
        """Ask each gate whether it would dump. Raises SourceUnavailable."""
        self.look()

    def look(self) -> list[Database]:
        """Do so, and return what each database is. Raises SourceUnavailable."""
        found = []
        for path, (name, host) in self._hosts.items():
            self._waiting()
            process, facts = self._facts(name, host, b"test")
            process.close()
            found.append(self._record(path, facts))
        return found

    def list_dir(self, path: bytes) -> Listing:
        """List the root or the folder of dumps. Raises FileNotFoundError for others."""
        if path == b"/":
            tops = [(DATABASES, True), (MANIFEST, False)]
            return Listing([made_entry(name[1:], self._now_ns, is_dir=is_dir) for name, is_dir in tops])
        if path.rstrip(b"/") != DATABASES:
            raise FileNotFoundError(f"a dump of databases has no folder {path!r}")
        return Listing([made_entry(os.path.basename(each), self._now_ns) for each in sorted(self._hosts)])

    def open_files(self, paths: Sequence[bytes]) -> Iterator[_Dump | MadeFile | Problem]:
        """Open the files, the manifest last: it tells of the others. Raises SourceUnavailable."""
        for path in sorted(paths, key=lambda each: (each == MANIFEST, each)):
            if path in self._hosts:
                yield self._dump(path)
            elif path == MANIFEST:
                content = manifest.encode(self.manifest)
                yield MadeFile(path, made_entry(path[1:], self._now_ns, size=len(content)), content)
            else:
                yield Problem(path, "vanished", "there is no such dump")

    def close(self) -> None:
        """End the connections."""
        for _, host in self._hosts.values():
            host.close()

    def _dump(self, path: bytes) -> _Dump:
        name, host = self._hosts[path]
        process, facts = self._facts(name, host, b"dump")
        try:
            record = self._record(path, facts)
        except BaseException:
            process.close()
            raise
        what = f"the dump of {name!r} on {self._place}"
        return _Dump(path, made_entry(os.path.basename(path), time.time_ns()), process, record, what, self)

    def _record(self, path: bytes, facts: Mapping[str, Any]) -> Database:
        name, _ = self._hosts[path]
        try:
            self.manifest.server_version = str(facts["version"])
            self.manifest.server_version_num = int(facts["number"])
            return msgspec.convert(_document(name, path, facts), Database)
        except (KeyError, TypeError, ValueError) as error:
            raise DumpFailed(f"what the gate tells of {name!r} is not whole") from error

    def took(self, record: Database) -> None:
        """Note a dump that has ended well."""
        self.manifest.databases.append(record)

    def wait(self) -> None:
        """See whether somebody wants it to end."""
        self._waiting()

    def _facts(self, name: str, host: SshHost, word: bytes) -> tuple[Process, dict[str, Any]]:
        """Ask a gate; return the session, and what the server says of the database."""
        try:
            process, count = begin(host, word)
        except GateRefused as error:
            raise DumpFailed(f"the gate for {name!r} on {self._place} does not dump it: {error}") from error
        except SshError as error:
            raise SourceUnavailable(f"{self._place}: {error}") from error
        try:
            return process, _decoded(_read(process, count or 0), name)
        except BaseException:
            process.close()
            raise


class _Dump:
    """A running pg_dump of a host as an OpenFile. Its end is told only after that has ended well."""

    def __init__(
        self, path: bytes, entry: Entry, process: Process, record: Database, what: str, source: GateDumps
    ) -> None:
        self.path, self.entry = path, entry
        self._process, self._record, self._what, self._source = process, record, what, source
        self._begin = b""
        self._ended = False

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` with what pg_dump writes; return the count of bytes, 0 once it has ended well."""
        if self._ended:
            return 0
        self._source.wait()
        try:
            data = self._process.read(len(buffer))
            if not data:
                self._end()
        except SshError as error:
            raise DumpFailed(f"{self._what} broke off: {error}. Nothing of it was kept") from error
        buffer[: len(data)] = data
        self._begin += data[: len(_MAGIC) - len(self._begin)]
        self._record.dump_bytes += len(data)
        return len(data)

    def entry_now(self) -> Entry:
        """Return the same entry: a dump shows one moment."""
        return self.entry

    def close(self) -> None:
        """End pg_dump, if it still goes on."""
        self._process.close()

    def _end(self) -> None:
        output = self._process.output()
        said = own(output.stderr)
        if output.code or self._begin != _MAGIC:
            raise DumpFailed(f"{self._what} broke off: {last_line(said)}. Nothing of it was kept")
        lines = said.decode("utf-8", "replace").splitlines()
        self._record.warnings = [line for line in lines if line.strip()]
        self._source.took(self._record)
        self._ended = True


def _read(process: Process, count: int) -> bytes:
    if count > _MOST_FACTS:
        raise DumpFailed("the gate tells more of a database than can be")
    told = bytearray()
    while len(told) < count:
        data = process.read(count - len(told))
        if not data:
            raise DumpFailed("the gate ended before it had told of its database")
        told += data
    return bytes(told)


def _decoded(data: bytes, name: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
        there = found["database"]["datname"]
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise DumpFailed(f"what the gate tells of {name!r} cannot be read") from error
    if there != name:
        raise DumpFailed(f"the gate for {name!r} leads to the database {there!r}")
    return found


def _document(name: str, path: bytes, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a restore needs to know."""
    row = facts["database"]
    return {
        "name": name, "file": os.fsdecode(path[1:]), "owner": facts["owner"],
        "encoding": facts["encoding"], "collate": row["datcollate"], "ctype": row["datctype"],
        "locale_provider": row.get("datlocprovider", "c"),
        "icu_locale": row.get("datlocale") or row.get("daticulocale") or "",
        "size_bytes": facts["size"], "connection_limit": row["datconnlimit"],
        "comment": facts["comment"] or "", "roles": sorted({*facts["roles"], facts["owner"]}),
        "extensions": [{"name": each, "version": version} for each, version in facts["extensions"]],
        "tables": [{"schema": schema, "name": table} for schema, table in facts["tables"]],
        "rows_unknown": _UNCOUNTED,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
