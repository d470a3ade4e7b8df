"""Data of databases on a machine, known by what is in it: files that change while they are copied."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

VOLUMES = ("/var/lib/docker/volumes", "/var/lib/containers/storage/volumes")
TOPS = ("/etc", "/home", "/opt", "/root", "/srv", "/var/lib", "/var/www")
SQLITE = "SQLite"
# Whose a folder of /var/lib is, by how its name begins.
BY_NAME = {
    "postgresql": "PostgreSQL", "pgsql": "PostgreSQL", "mysql": "MySQL or MariaDB",
    "mariadb": "MySQL or MariaDB", "mongo": "MongoDB", "redis": "Redis", "influxdb": "InfluxDB",
    "elasticsearch": "Elasticsearch", "opensearch": "OpenSearch", "couchdb": "CouchDB",
    "cassandra": "Cassandra", "clickhouse": "ClickHouse", "ldap": "OpenLDAP", "neo4j": "Neo4j",
    "etcd": "etcd", "prometheus": "Prometheus",
}  # fmt: skip

_MOST = 100
_MARK = b"holdfast-survey"
# $1 and $2 hold volumes of containers; below the others are files of SQLite, whose first bytes tell. They are
# looked for shortly, and not where packages or caches put them.
_SCRIPT = rb"""
echo holdfast-survey
for place in "$1"/*/_data "$2"/*/_data; do
    for data in "$place" "$place"/data "$place"/pgdata "$place"/[0-9]*/main "$place"/[0-9]*/docker; do
        test -d "$data" && test ! -L "$data" || continue
        test -f "$data/PG_VERSION" && printf 'PostgreSQL %s\0' "$data"
        test -f "$data/ibdata1" && printf 'MySQL or MariaDB %s\0' "$data"
        test -f "$data/WiredTiger" && printf 'MongoDB %s\0' "$data"
        if test -f "$data/dump.rdb" || test -d "$data/appendonlydir"; then printf 'Redis %s\0' "$data"; fi
    done
done
shift 2
command -v timeout >/dev/null || { printf 'cut\0'; exit 0; }
timeout 10 find "$@" -maxdepth 6 -xdev -type d \( -name node_modules -o -name ".?*" -o -name site-packages \
    -o -path /var/lib/docker -o -path /var/lib/containers -o -path /var/lib/dpkg -o -path /var/lib/apt \) \
    -prune -o -type f \( -name '*.sqlite' -o -name '*.sqlite3' -o -name '*.db' -o -name '*.db3' \) -size +15 \
    -exec sh -c '
    for file; do
        if head -c 15 "$file" 2>/dev/null | grep -q "^SQLite format 3"; then printf "SQLite %s\0" "$file"; fi
    done' sh {} + 2>/dev/null
test $? -lt 124 || printf 'cut\0' # by then time is up
"""


@dataclass(frozen=True, slots=True)
class Data:
    """Places with data of databases, and whose they are. `cut`: there are more, or time was up."""

    engines: dict[str, str]
    cut: bool = False


class _Answer(Protocol):
    @property
    def stdout(self) -> bytes: ...


class _Machine(Protocol):
    def run(self, command: Sequence[bytes], stdin: bytes = b"") -> _Answer: ...


def find(machine: _Machine, volumes: Sequence[str] = VOLUMES, tops: Sequence[str] = TOPS) -> Data:
    """Look for data of databases. Raises SourceUnavailable, SshError."""
    places = [os.fsencode(each) for each in (*volumes, *tops)]
    answer = machine.run([b"env", b"LC_ALL=C", b"sh", b"-c", _SCRIPT, b"sh", *places])
    found = list(_told(answer.stdout))
    return Data(dict(found[:_MOST]), len(found) > _MOST or answer.stdout.endswith(b"cut\0"))


def by_name(path: str) -> str:
    """Return whose data a folder of /var/lib is; "" if its name does not tell."""
    name = os.path.basename(path)
    return next((engine for begin, engine in BY_NAME.items() if name.startswith(begin)), "")


def _told(text: bytes) -> Iterator[tuple[str, str]]:
    _, _, told = text.partition(_MARK + b"\n")
    for record in told.split(b"\0")[:-1]:
        engine, slash, path = record.partition(b" /")
        if slash:
            yield os.fsdecode(b"/" + path), engine.decode("ascii", "replace")
