"""A PostgreSQL server of its own for the time of a benchmark, with a pgbench database and changes to it."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

DATABASE = "pgbench"
ROWS_A_SCALE = 100_000
MIB_A_SCALE = 14.6  # on the server, indexes among it
_SETTINGS = "listen_addresses = ''\nautovacuum = off\nmax_wal_size = 4GB\n"


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server: reached by the socket in `folder`, as its superuser, without a password."""

    folder: Path
    pid: int

    @property
    def url(self) -> str:
        """How a client names it."""
        return f"postgresql://postgres@/{DATABASE}?host={self.folder}"

    def run(self, *statements: str) -> None:
        """Run statements, each its own transaction; then write all to the disk: nobody waits for it later."""
        for statement in (*statements, f"VACUUM (ANALYZE) {_TABLE}", "CHECKPOINT"):
            command = [program("psql"), "-qX", "-v", "ON_ERROR_STOP=1", "-d", self.url, "-c", statement]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


_TABLE = "pgbench_accounts"


def program(name: str) -> str:
    """Return the path of a program of the newest PostgreSQL installed, empty if there is none."""
    found = glob.glob(f"/usr/lib/postgresql/*/bin/{name}")
    return max(found, key=lambda path: int(path.split("/")[4])) if found else shutil.which(name) or ""


@contextmanager
def serving(scale: int) -> Iterator[PostgresServer]:
    """Make a cluster with a pgbench database of `scale` and serve it until the end of the block."""
    # Its folder's path must be short, and open to the user it runs as.
    folder = Path(tempfile.mkdtemp(prefix="hf-bench-pg-", dir="/tmp"))
    try:
        process = _start(folder)
        try:
            server = PostgresServer(folder, process.pid)
            _wait_for(server, process)
            _fill(server, scale)
            yield server
        finally:
            process.terminate()
            process.wait(60)
    finally:
        shutil.rmtree(folder)


def change_in_a_row(server: PostgresServer, scale: int) -> None:
    """Change 1 % of the rows, all beside each other, and append 1 % more."""
    count = scale * ROWS_A_SCALE
    first = count // 2
    server.run(
        f"UPDATE {_TABLE} SET abalance = abalance + 17 WHERE aid BETWEEN {first} AND {first + count // 100}",
        f"INSERT INTO {_TABLE} SELECT g, g % {scale} + 1, 0, '' FROM "
        f"generate_series({count + 1}, {count + count // 100}) g",
    )


def change_here_and_there(server: PostgresServer, scale: int) -> None:
    """Change 1 % of the rows, every hundredth."""
    server.run(f"UPDATE {_TABLE} SET abalance = abalance - 5 WHERE (aid::bigint * 7919) % 100 = 3")


def _start(folder: Path) -> subprocess.Popen[bytes]:
    as_user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL never runs as root
        user = pwd.getpwnam("postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        as_user = [
            "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--",
        ]  # fmt: skip
    data = folder / "data"
    make = [
        program("initdb"),
        "-D",
        str(data),
        "-U",
        "postgres",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "-A",
        "trust",
    ]
    subprocess.run([*as_user, *make], check=True, stdout=subprocess.DEVNULL, cwd="/")
    with (data / "postgresql.conf").open("a") as file:
        file.write(f"unix_socket_directories = '{folder}'\n{_SETTINGS}")
    with open(folder / "log", "wb") as log:
        command = [*as_user, program("postgres"), "-D", str(data)]
        return subprocess.Popen(command, stdout=log, stderr=log, cwd="/")


def _wait_for(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    ready = [program("pg_isready"), "-q", "-h", str(server.folder)]
    while time.monotonic() < until and process.poll() is None:
        if subprocess.run(ready, check=False).returncode == 0:
            return
        time.sleep(0.1)
    raise SystemExit("PostgreSQL does not start:\n" + (server.folder / "log").read_text(errors="replace"))


def _fill(server: PostgresServer, scale: int) -> None:
    admin = f"postgresql://postgres@/postgres?host={server.folder}"
    make = [program("psql"), "-qX", "-d", admin, "-c", f"CREATE DATABASE {DATABASE}"]
    subprocess.run(make, check=True)
    command = [program("pgbench"), "-i", "-q", "-s", str(scale), server.url]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server.run()
