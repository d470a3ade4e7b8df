"""What a config of type database reads: its schema, the PostgreSQL server it names, and what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from core import words
from core.configs import parallel_dumps
from core.configs.parallel_dumps import MOST_JOBS
from core.form_values import split_lines
from core.hosts import gate_dumps, gate_keys, host_login, host_socket, host_tunnel, hosts
from core.models import GateKey
from core.retention.retention_rules import blank_is_none
from sources.postgres.errors import BadConnection
from sources.postgres.manifest import Manifest
from sources.postgres.rights import Finding, backup_user_sql, check_rights
from sources.postgres.server import LOOPBACK, Server, parse_url
from sources.postgres.source import DatabasesPreview, PostgresSource

if TYPE_CHECKING:
    from sources.ssh.gate_dumps import GateDumps

BACKUP_USER = "holdfast_backup"
NOT_ACROSS = "Each database is consistent in itself, not across: they are dumped one after the other."


def _unique(items: list[str]) -> list[str]:
    return list(dict.fromkeys(items))


def _blank_is_one(value: object) -> object:
    return 1 if blank_is_none(value) is None else value


Names = Annotated[list[str], BeforeValidator(split_lines), AfterValidator(_unique)]


class DatabaseSource(BaseModel):
    """Databases of a PostgreSQL server: all there are, or those chosen. Names may come as lines of text.

    `host_id`: the host that reaches it; then `host` and `port` are as that one sees them.
    `url`, where given, sets the connection and is not kept. `password`: None leaves the stored one as it is,
    "" means none (then `~/.pgpass` of the user that Holdfast runs as counts); it is never part of a dump of
    this model. With `parallel_jobs` above 1 so many processes dump each database, through files in
    `work_folder`, a folder of this machine with room for the largest.
    """

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Literal["database"] = "database"
    url: str = Field(default="", exclude=True, repr=False)
    host_id: Annotated[str | None, BeforeValidator(blank_is_none)] = None
    host: str = ""
    port: Annotated[int, BeforeValidator(lambda value: blank_is_none(value) or 5432)] = 5432
    user: Annotated[str, BeforeValidator(lambda value: blank_is_none(value) or "postgres")] = "postgres"
    database: Annotated[str, BeforeValidator(lambda value: blank_is_none(value) or "postgres")] = "postgres"
    password: SecretStr | None = Field(default=None, exclude=True, repr=False)
    ssl_mode: str = "prefer"
    ssl_root_cert: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    which: Literal["all", "chosen"] = "all"
    databases: Names = Field(default=[], validate_default=True)
    exclude: Names = []
    parallel_jobs: Annotated[int, BeforeValidator(_blank_is_one), Field(ge=1, le=MOST_JOBS)] = 1
    work_folder: str = Field(default="", validate_default=True)

    @field_validator("work_folder")
    @classmethod
    def _check_work_folder(cls, folder: str, info: ValidationInfo) -> str:
        return parallel_dumps.clean(folder, info.data.get("parallel_jobs", 1))

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        try:
            _ = parse_url(url) if url.strip() else None
        except BadConnection as error:
            raise ValueError(str(error)) from None  # what led to it may hold the password
        return url.strip()

    @field_validator("databases")
    @classmethod
    def _check_chosen(cls, names: list[str], info: ValidationInfo) -> list[str]:
        if info.data.get("which") == "chosen" and not names:
            raise ValueError("name at least one database, or choose all")
        return names

    @model_validator(mode="after")
    def _check_connection(self) -> Self:
        if self.url:
            self._take(parse_url(self.url))
        try:
            server_of(self, "")
        except BadConnection as error:
            raise ValueError(str(error)) from None
        if self.host_id and not (host_login.is_plain(self.host) or host_socket.is_folder(self.host)):
            raise ValueError(
                "a host reaches a server by name or address, such as localhost, or by the folder of its "
                "socket, such as /var/run/postgresql"
            )
        return self

    def _take(self, server: Server) -> None:
        self.host, self.port, self.user, self.database = (
            server.host,
            server.port,
            server.user,
            server.database,
        )
        self.ssl_mode, self.ssl_root_cert = server.ssl_mode, server.ssl_root_cert
        self.ssl_cert, self.ssl_key, self.url = server.ssl_cert, server.ssl_key, ""
        if server.password:
            self.password = SecretStr(server.password)

    @property
    def place(self) -> tuple[str | None, str, int, str]:
        """Whom a password is for: by way of which host, host, port, user."""
        return self.host_id, self.host, self.port, self.user


@dataclass(frozen=True, slots=True)
class DatabasePreview:
    """What a backup would dump, what keeps it from that, and the SQL for a user that may read it all."""

    found: DatabasesPreview
    findings: Sequence[Finding]
    user_sql: str
    room: str = ""  # why parallel dumps have too little

    @property
    def stops(self) -> bool:
        """Tell whether a backup would fail."""
        return bool(self.room) or any(finding.stops for finding in self.findings)


def server_of(source: DatabaseSource, password: str) -> Server:
    """Return the server that a source names. Raises BadConnection."""
    return Server(
        source.host,
        source.port,
        source.user,
        password,
        source.database,
        source.ssl_mode,
        source.ssl_root_cert,
        source.ssl_cert,
        source.ssl_key,
    )


@contextmanager
def reached(source: DatabaseSource, password: str, *, quick: bool = False) -> Iterator[Server]:
    """Give the server for the block, by way of its host if it has one. Raises NotFound, Refused, and
    ServerUnavailable. `quick`: somebody waits for the answer."""
    server = server_of(source, password)
    if source.host_id is None:
        yield server
        return
    with host_tunnel.Tunnel(source.host_id, server, quick=quick) as tunnel:
        yield tunnel.server


def open_source(
    source: DatabaseSource, password: str, waiting: Callable[[], None] = lambda: None
) -> PostgresSource | GateDumps:
    """Return the databases to dump; `waiting` is called while the server is waited for, and may raise.

    Where there is a key for dumps of each that was chosen, it goes through these. With a host otherwise,
    log in there now: raises NotFound, Refused, ServerUnavailable.
    """
    names, server = source.databases if source.which == "chosen" else None, server_of(source, password)
    options = parallel_dumps.options(source.parallel_jobs, source.work_folder)
    if source.host_id is None:
        return PostgresSource(server, names, exclude=source.exclude, options=options, waiting=waiting)
    if keys := keys_for(source):
        return gate_dumps.open_source(source.host_id, keys, place_of(source), waiting)
    tunnel = host_tunnel.Tunnel(source.host_id, server)
    return host_tunnel.HostDatabases(tunnel, names, source.exclude, options, waiting)


def keys_for(source: DatabaseSource) -> list[tuple[str, GateKey]]:
    """Return the keys for dumps that a config goes by, with their databases; none unless there are all."""
    of_the_host = source.host_id is not None and source.which == "chosen" and source.host in LOOPBACK
    return gate_keys.for_dumps(str(source.host_id), source.databases, source.port) if of_the_host else []


def preview(source: DatabaseSource, password: str) -> DatabasePreview:
    """Log in, and look at databases and at the user's rights in each. Raises SourceUnavailable, Refused.

    Where it goes through gates, these are asked whether they would dump.
    """
    if keys := keys_for(source):
        return DatabasePreview(gate_dumps.preview(str(source.host_id), keys, place_of(source)), [], "")
    chosen = source.databases if source.which == "chosen" else None
    with reached(source, password, quick=True) as server:
        found = PostgresSource(server, chosen, exclude=source.exclude).preview()
        names = [database.name for database in found.databases]
        findings = check_rights(server, names)
    largest = max((database.size_bytes or 0 for database in found.databases), default=0)
    room = parallel_dumps.room_problem(source.work_folder, largest) if source.parallel_jobs > 1 else ""
    return DatabasePreview(found, findings, backup_user_sql(names, BACKUP_USER), room)


def check(source: DatabaseSource) -> None:
    """Raise Invalid, by field, for what a backup could never do."""
    if source.parallel_jobs > 1:
        parallel_dumps.check_folder(source.work_folder)


def plan(source: DatabaseSource) -> list[str]:
    """Say, a line each, how a backup is going to dump."""
    lines = [NOT_ACROSS] if source.which == "all" or source.databases[1:] else []
    if source.parallel_jobs > 1:
        lines.append(
            f"Each is dumped by {source.parallel_jobs} processes, through files in {source.work_folder} "
            "that are removed as they are stored."
        )
    return lines


def what(source: DatabaseSource) -> str:
    """Say in short what is backed up."""
    names = ", ".join(source.databases) if source.which == "chosen" else "all databases"
    without = f", without {', '.join(source.exclude)}" if source.exclude and source.which == "all" else ""
    return f"{names}{without} of PostgreSQL on {place_of(source)}"


def place_of(source: DatabaseSource) -> str:
    """Say where a server is: its address and port, and by way of which host."""
    through = f" by way of {hosts.name_of(source.host_id)}" if source.host_id else ""
    return f"{source.host}:{source.port}{through}"


def told(manifest: Manifest) -> list[str]:
    """Say, a line each, what a backup dumped."""
    lines = []
    for database in manifest.databases:
        tables = words.count(len(database.tables), "table")
        rows = sum(table.rows or 0 for table in database.tables)
        counted = f", {words.count(rows, 'row')}" if not database.rows_unknown else ""
        size = "" if database.size_bytes is None else f"; {words.size(database.size_bytes)} on the server"
        lines.append(f"Dumped {database.name}: {tables}{counted}, {words.size(database.dump_bytes)}{size}.")
    return lines + [f"Left out: {left.name} ({left.reason})." for left in manifest.left_out]
