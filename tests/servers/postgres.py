"""A real PostgreSQL server made by the tests: its own cluster in a temporary folder, ended by its pid."""

from __future__ import annotations

import glob
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from sources.postgres.server import Server
from tests.ports import free_port

PASSWORD = "sehr geheim: @/?"
_SETTINGS = """
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 32MB
max_connections = 40
listen_addresses = '127.0.0.1'
log_min_messages = warning
"""


@dataclass
class Cluster:
    """A running server. Its superuser `postgres` logs in by `trust` on the socket, by password over TCP.

    Roles named `nobody` and `root` log in on the socket as those users of the system alone.
    """

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def socket(self) -> Server:
        return Server(str(self.folder), self.port)

    @property
    def tcp(self) -> Server:
        return Server("127.0.0.1", self.port, password=PASSWORD)

    def login(self, user: str, password: str = PASSWORD) -> Server:
        return Server("127.0.0.1", self.port, user, password)

    def run(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each its own transaction."""
        with self.socket.connect(database) as session:
            for statement in statements:
                session.execute(statement.encode())

    def ask(self, question: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        with self.socket.connect(database) as session:
            return session.execute(question.encode()).fetchall()

    def create(self, name: str, *statements: str, template: str = "template0", more: str = "") -> str:
        """Make a database, empty or as another one is, and run statements in it; return its name."""
        quoted = name.replace('"', '""')
        self.run(f'CREATE DATABASE "{quoted}" TEMPLATE "{template}" {more}')
        self.run(*statements, database=name)
        return name

    def drop(self, name: str) -> None:
        quoted = name.replace('"', '""')
        self.run(f'DROP DATABASE IF EXISTS "{quoted}" WITH (FORCE)')

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # its fast shutdown
        try:
            self.process.wait(120)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(120)


def program(name: str) -> str:
    """Return the path of a server program of the newest version installed; skip, or fail on CI, without."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    path = found[-1] if found else shutil.which(name)
    if path is None:
        pytest.skip(f"PostgreSQL's {name} is not installed (see tests/prepare.sh)")
    return path


def as_server_user() -> list[str]:
    """Return what to put before a command so that it runs as a user whom PostgreSQL accepts: never root."""
    if os.getuid() != 0:
        return []
    entry = _server_user()
    return ["setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", "--"]


def _server_user() -> pwd.struct_passwd:
    users = {user.pw_name: user for user in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


def own(folder: Path) -> None:
    """Give a folder to the user that the server runs as, and let it in from above."""
    if os.getuid() == 0:
        entry = _server_user()
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def start_cluster(folder: Path, extra: str = "", limits: Sequence[str] = ()) -> Cluster:
    """Make a cluster in an empty folder and start it. The folder's path must be short: it holds a socket."""
    own(folder)
    folder.chmod(0o711)  # other users may open the socket, too
    secret = folder / "password"
    secret.write_text(PASSWORD)
    own(secret)
    _make(folder, secret)
    (folder / "data" / "pg_hba.conf").write_text(
        "local all nobody,root peer\nlocal all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    )
    settings = f"unix_socket_directories = '{folder}'\n{_SETTINGS}{extra}"
    with (folder / "data" / "postgresql.conf").open("a") as file:
        file.write(settings)
    for attempt in range(5):
        try:
            return start(folder, free_port(), limits)
        except StartFailed:  # another process took the port meanwhile
            if attempt == 4:
                raise
    raise AssertionError("not reached")


class StartFailed(Exception):
    """The server ended at once; its log is the message."""


def _make(folder: Path, secret: Path) -> None:
    command = [program("initdb"), "-D", str(folder / "data"), "-U", "postgres", "--no-sync", "-E", "UTF8"]
    command += ["--wal-segsize=1"]  # small files: a limit on their size can be small, too
    subprocess.run(
        [*as_server_user(), *command, "--locale=C.UTF-8", f"--pwfile={secret}"],
        check=True,
        capture_output=True,
        cwd="/",
    )


def start(folder: Path, port: int, limits: Sequence[str] = ()) -> Cluster:
    """Start the server of a cluster that is there, and wait until it answers."""
    log = (folder / "log").open("ab")
    command = [*as_server_user(), *limits, program("postgres"), "-D", str(folder / "data"), "-p", str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
    log.close()
    cluster = Cluster(folder, port, process)
    end = time.monotonic() + 120
    while True:
        try:
            psycopg.connect(cluster.socket.conninfo()).close()
            return cluster
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                process.wait()
                raise StartFailed((folder / "log").read_text("utf-8", "replace")[-2000:]) from None
            time.sleep(0.05)


@contextmanager
def running(extra: str = "", limits: Sequence[str] = ()) -> Iterator[Cluster]:
    """Make a cluster and run it until the end of the block. `extra`: lines of its configuration.

    `limits`: a command that the server is started by.
    """
    # Not in pytest's folder: another user must get in, and a socket's path has 107 bytes at most.
    folder = Path(tempfile.mkdtemp(prefix="hf-pg-", dir="/tmp"))
    try:
        cluster = start_cluster(folder, extra, limits)
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A server for the whole run."""
    with running() as cluster:
        yield cluster


@pytest.fixture
def database(postgres: Cluster) -> Iterator[str]:
    """The name of an empty database that nobody else uses; dropped afterwards."""
    name = postgres.create(f"test_{secrets.token_hex(6)}")
    yield name
    postgres.drop(name)
