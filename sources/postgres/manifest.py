"""The manifest beside the dumps of a point: what they hold and what a restore of them needs. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from sources.postgres.errors import BadManifest

FORMAT = "holdfast-postgresql"
VERSION = 1


@dataclass(slots=True)
class Table:
    """A table with rows of its own (a partition, not the table above it). `rows`: None where not counted."""

    schema: str
    name: str
    rows: int | None = None


@dataclass(slots=True)
class Extension:
    """An extension that a database uses."""

    name: str
    version: str


@dataclass(slots=True)
class Grant:
    """A right on the database itself. `role` is "" for everybody (PUBLIC)."""

    role: str
    right: str
    grantable: bool = False


@dataclass(slots=True)
class Setting:
    """A setting kept with the database, for one role or, with "", for all."""

    role: str
    name: str
    value: str


@dataclass(slots=True)
class Database:
    """What one dump holds. `size_bytes` is the size on the server, `dump_bytes` that of the dump.

    `rows_unknown` is why rows were not counted inside the dump's own snapshot, "" if they were. `grants` is
    None where the rights on the database are the default ones. Times are ISO 8601, UTC.
    """

    name: str
    file: str
    owner: str
    encoding: str
    collate: str
    ctype: str
    locale_provider: str = "c"
    icu_locale: str = ""
    size_bytes: int | None = None
    connection_limit: int = -1
    comment: str = ""
    grants: list[Grant] | None = None
    settings: list[Setting] = field(default_factory=list)
    extensions: list[Extension] = field(default_factory=list)
    roles: list[str] = field(default_factory=list)
    tablespaces: list[str] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    large_objects: int | None = None
    rows_unknown: str = ""
    taken_at: str = ""
    dump_bytes: int = 0
    schemas_left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Globals:
    """Roles, tablespaces and their settings. `missing` says what the dump lacks of them, "" if nothing."""

    file: str
    roles: list[str]
    role_passwords: bool
    missing: str = ""


@dataclass(slots=True)
class LeftOut:
    """A database that is not in the point, and why."""

    name: str
    reason: str


@dataclass(slots=True)
class Manifest:
    """The whole manifest. `tools` holds the versions of the programs by name; `made_at` is ISO 8601, UTC."""

    server: str
    server_version: str
    server_version_num: int
    made_at: str
    tools: dict[str, str] = field(default_factory=dict)
    databases: list[Database] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    globals: Globals | None = None
    format: str = FORMAT
    version: int = VERSION

    def find(self, name: str) -> Database | None:
        """Return what is said of a database, None if it is not in the point."""
        return next((database for database in self.databases if database.name == name), None)


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as JSON, its keys sorted."""
    return msgspec.json.format(msgspec.json.encode(manifest, order="sorted"), indent=2) + b"\n"


def decode(data: bytes) -> Manifest:
    """Return the manifest. Raises BadManifest."""
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise BadManifest(f"the manifest beside the dumps cannot be read: {err}") from err
    if manifest.format != FORMAT or manifest.version > VERSION:
        raise BadManifest(
            "the manifest beside the dumps was made by a later version; use that one to restore"
        )
    return manifest
