"""Where a PostgreSQL server is and who logs in there; sessions with it. Secrets stay out of every text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, LiteralString
from urllib.parse import parse_qsl, quote, unquote

import psycopg
from psycopg.conninfo import make_conninfo

from sources.postgres.errors import BadConnection, ServerUnavailable

Session = psycopg.Connection[tuple[Any, ...]]

SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
# A connection that is dead without a word (a router forgot it) is noticed after two minutes, not two hours.
_KEEPALIVE = {"keepalives": 1, "keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 6}
_URL = re.compile(r"postgres(?:ql)?://(?:(?P<login>.*)@)?(?P<place>[^@/?]*)(?:/(?P<database>[^?]*))?\Z", re.S)
_PARAMETERS = {
    "host": "host",
    "port": "port",
    "user": "user",
    "password": "password",
    "dbname": "database",
    "sslmode": "ssl_mode",
    "sslrootcert": "ssl_root_cert",
    "sslcert": "ssl_cert",
    "sslkey": "ssl_key",
    "connect_timeout": "connect_timeout_s",
}
# Other libraries' parameters that say nothing about where the server is.
_WITHOUT_MEANING = frozenset({"application_name", "pgbouncer", "schema", "connection_limit", "pool_timeout"})


LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Way:
    """Where a server is reached that only the machine named `machine` sees: in a folder with a Unix socket of
    the server's port, or at another port of the loopback."""

    machine: str
    socket_folder: str = ""
    loopback_port: int = 0

    def parameters(self, host: str) -> dict[str, Any]:
        """Return libpq's parameters for a server that is called `host` there, as its certificate has it."""
        if self.socket_folder:
            return {"host": self.socket_folder}
        return {"host": host, "hostaddr": "127.0.0.1", "port": self.loopback_port}

    def socket_of(self, port: int) -> str:
        """Return how libpq names this end of the way in its messages."""
        if self.socket_folder:
            return f'on socket "{self.socket_folder}/.s.PGSQL.{port}"'
        return f"port {self.loopback_port}"


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach a server. `host` is a name, an address, or the folder of its Unix socket.

    `database` is the one to connect to when no other is meant. Without a password, `~/.pgpass` of the user
    who runs this counts, as for every PostgreSQL program. With a `way`, host and port are as another machine
    sees them. Raises BadConnection for values that cannot be.
    """

    host: str
    port: int = 5432
    user: str = "postgres"
    password: str = field(default="", repr=False)
    database: str = "postgres"
    ssl_mode: str = "prefer"
    ssl_root_cert: str = ""
    ssl_cert: str = ""
    ssl_key: str = ""
    connect_timeout_s: int = 15
    way: Way | None = None

    def __post_init__(self) -> None:
        if not self.host or "," in self.host:
            raise BadConnection("give one host: a name, an address, or the folder of the server's socket")
        if not 1 <= self.port <= 65535:
            raise BadConnection("the port must be a number from 1 to 65535; PostgreSQL's own is 5432")
        if not self.user or not self.database:
            raise BadConnection("a user and a database to connect to are needed")
        if self.ssl_mode not in SSL_MODES:
            raise BadConnection(f"sslmode must be one of {', '.join(SSL_MODES)}")
        if self.ssl_mode.startswith("verify") and not self.ssl_root_cert:
            raise BadConnection(f"sslmode {self.ssl_mode} needs the certificate to verify with (sslrootcert)")
        if "\0" in "".join([self.host, self.user, self.password, self.database]):
            raise BadConnection("a connection's settings cannot hold a null character")

    @property
    def is_local(self) -> bool:
        """Tell whether the server runs on this machine, as far as its address says."""
        return self.way is None and (self.host.startswith(("/", "@")) or self.host in LOOPBACK)

    @property
    def place(self) -> str:
        """The server in words for people: `name:port`, or the socket's folder and port; by which machine."""
        through = f" by way of {self.way.machine}" if self.way else ""
        return f"{self.host}:{self.port}{through}"

    def conninfo(self, database: str | None = None) -> str:
        """Return libpq's connection string, without the password: it may stand in an argument list."""
        return make_conninfo(**self._parameters(database))

    def connect(self, database: str | None = None) -> Session:
        """Open a session in which each statement is its own transaction. Raises ServerUnavailable."""
        name = database or self.database
        try:
            # No prepared statements: a pooler may hand the next statement to another session.
            return psycopg.connect(
                self.conninfo(name),
                password=self.password or None,
                client_encoding="utf8",
                application_name="holdfast",
                autocommit=True,
                prepare_threshold=None,
            )
        except psycopg.Error as err:
            raise ServerUnavailable(
                f"cannot connect to database {name!r} on {self.place} as {self.user!r}: "
                f"{self.scrub(str(err))}. Check address, port, user, password and TLS mode, and that the "
                "server runs and lets this machine in (pg_hba.conf)"
            ) from err

    @contextmanager
    def reading(self, database: str | None = None) -> Iterator[Session]:
        """Hold a session in one read-only transaction that sees one state.

        Raises ServerUnavailable, also for a connection that is lost meanwhile.
        """
        try:
            with self.connect(database) as session:
                begin_reading(session)
                yield session
        except psycopg.OperationalError as err:
            raise ServerUnavailable(
                f"the connection to database {database or self.database!r} on {self.place} was lost, or the "
                f"server has no room for it: {self.scrub(str(err))}. See that the server runs, then try again"
            ) from err

    def scrub(self, text: str) -> str:
        """Return a text of a program or library as one line, without the password, and with the server's own
        address where ours of the way there stands."""
        text = " ".join(text.split())
        if self.way:
            text = text.replace(self.way.socket_of(self.port), f"{self.host}:{self.port}")
        for secret in {self.password, quote(self.password), quote(self.password, safe="")} - {""}:
            text = text.replace(secret, "***")
        return text

    def _parameters(self, database: str | None) -> dict[str, Any]:
        given = {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": database or self.database,
            "sslmode": self.ssl_mode,
            "sslrootcert": self.ssl_root_cert,
            "sslcert": self.ssl_cert,
            "sslkey": self.ssl_key,
            "connect_timeout": self.connect_timeout_s,
            **_KEEPALIVE,
            **(self.way.parameters(self.host) if self.way else {}),
        }
        return {name: value for name, value in given.items() if value != ""}


def begin_reading(session: Session) -> None:
    """Begin a read-only transaction that sees one state and is not ended by time-outs. Raises psycopg.Error.

    All is set for the transaction only: behind a pooler the session goes to somebody else afterwards.
    """
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    session.execute("SELECT pg_catalog.set_config('search_path', '', true)")
    settings: tuple[LiteralString, ...] = (
        "statement_timeout = 0",
        "lock_timeout = 0",
        "idle_in_transaction_session_timeout = 0",
        "row_security = off",  # a policy that would hide rows is an error, as it is for pg_dump
    )
    for setting in settings:
        session.execute("SET LOCAL " + setting)


def parse_url(url: str) -> Server:
    """Return the Server that `postgresql://user:password@host:port/database?sslmode=…` means.

    A password may hold `@` or `/` as it is. Raises BadConnection, which never repeats a part of the URL.
    """
    if "[YOUR-PASSWORD]" in url:
        raise BadConnection("the URL still holds [YOUR-PASSWORD]: put the database's password in its place")
    login, at, rest = url.strip().rpartition("@")
    place, _, query = rest.partition("#")[0].partition("?")
    found = _URL.match(login + at + place)
    if found is None:
        raise BadConnection("this is no URL of the form postgresql://user:password@host:port/database")
    user, _, password = (found["login"] or "").partition(":")
    host, port = _host_and_port(found["place"])
    fields = {
        "host": unquote(host),
        "port": port,
        "user": unquote(user),
        "password": unquote(password),
        "database": unquote(found["database"] or ""),
    }
    fields.update(_query_fields(query))
    return _server(fields)


def _host_and_port(place: str) -> tuple[str, str]:
    if place.startswith("["):  # an IPv6 address
        host, _, rest = place[1:].partition("]")
        return host, rest.removeprefix(":")
    host, _, port = place.partition(":")
    return host, port


def _query_fields(query: str) -> dict[str, str]:
    fields = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in _WITHOUT_MEANING:
            continue
        if name not in _PARAMETERS:
            allowed = ", ".join(sorted(_PARAMETERS))
            raise BadConnection(f"the URL has a parameter that is not known here; known are {allowed}")
        fields[_PARAMETERS[name]] = value
    return fields


def _server(fields: Mapping[str, str]) -> Server:
    given: dict[str, Any] = {name: value for name, value in fields.items() if value}
    for name in ("port", "connect_timeout_s"):
        text = given.get(name)
        if text is not None and not (text.isascii() and text.isdigit()):
            raise BadConnection(f"the URL's {name.removesuffix('_s')} is no number") from None
        if text is not None:
            given[name] = int(text)
    given.setdefault("host", "localhost")
    return Server(**given)
