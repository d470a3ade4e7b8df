"""Dumps through a gate: a key of its own, which gets one database and nothing else."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flask import Flask

from core.configs import configs
from core.errors import Invalid
from core.hosts import gate_keys, host_gate, host_login, hosts
from core.models import Host
from core.points import browse
from tests.core.gating import Gated, gated_server, let_in
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage
from tests.core.restores.test_databases import latest, log_of, restore, shop, source_of
from tests.servers.postgres import Cluster
from tests.sources.trees import needs_root

__all__ = ["shop"]

pytestmark = needs_root


@pytest.fixture(scope="module")
def gated() -> Iterator[Gated]:
    with gated_server() as found:
        yield found


@pytest.fixture
def host(context: Flask, tmp_path: Path, gated: Gated) -> Host:
    make_storage(tmp_path)
    return make_host(gated.sshd, user=gated.user, private_key=gated.key.read_text())


def of_the_cluster(cluster: Cluster, text: str) -> str:
    """Return a gate whose server is that of the tests: an installed one has its socket where psql looks."""
    return text.replace(" PGPORT=", f" PGHOST={cluster.folder} PGPORT=", 1)


@pytest.fixture
def gate(tmp_path: Path, postgres: Cluster, shop: str) -> Path:
    """The gate itself, as root would run it."""
    file = tmp_path / "gate"
    file.write_text(of_the_cluster(postgres, host_gate.dump_script(shop, postgres.port)))
    file.chmod(0o755)
    return file


def through(gate: Path, data: bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run([gate], input=data, capture_output=True, env=env, timeout=240, check=False)


def asked(word: str, name: str = "-") -> bytes:
    return f"{word} {name} ".encode().ljust(127) + b"."


def test_a_database_is_dumped_by_its_key_and_comes_back(
    host: Host, gated: Gated, postgres: Cluster, shop: str
) -> None:
    source = {
        "host": "localhost",
        "port": postgres.port,
        "which": "chosen",
        "databases": [shop],
        "host_id": host.id,
    }
    config = configs.create(configs.parse({"name": "Shop", "type": "database", "source": source}))
    assert "permitopen" in host_login.authorized_line(host)
    job = back_up(config.id)
    assert job.status == "failed", "the key reads files, and leads to no server"
    key = gate_keys.make_for_dumps(host.id, shop, postgres.port)
    assert "permitopen" not in host_login.authorized_line(host), "that is not needed any more"
    let_in(gated, key, lambda lines: of_the_cluster(postgres, lines))
    gate_keys.test_all(host.id)
    assert gate_keys.get(host.id, key.id).trouble == ""
    seen = configs.preview(configs.parse({"name": "x", "type": "database", "source": source}))
    assert [each.name for each in seen.found.databases] == [shop]  # type: ignore[union-attr]
    job = back_up(config.id)
    assert job.status == "completed", job.summary + log_of(job)
    assert f"Dumped {shop}: 2 tables" in log_of(job)
    point = latest(config)
    assert any("roles are not kept" in limit for limit in point.limits["limits"])
    _, content = browse.read_file(point, f"/databases/{shop}.dump".encode())
    assert b"".join(content)[:5] == b"PGDMP"
    server = configs.create(
        configs.parse({"name": "Server", "type": "database", "source": source_of(postgres, shop)})
    )
    before = postgres.ask("SELECT * FROM articles ORDER BY id", shop)
    job = restore(point, f"{shop}_new", server_config_id=server.id)
    assert job.status in ("completed", "warning"), job.summary + log_of(job)
    assert postgres.ask("SELECT * FROM articles ORDER BY id", f"{shop}_new") == before
    stopped_half_way(gated, host, key.id, config.id)


def stopped_half_way(gated: Gated, host: Host, key_id: str, config_id: str) -> None:
    """A pg_dump that fails leaves no point, and says why."""
    gate = Path(gated.sshd.folder, f"holdfast-dump-{key_id[:8]}")
    gate.write_text(gate.read_text().replace("as_postgres pg_dump", "as_postgres pg_dump --table=nothing"))
    job = back_up(config_id)
    assert job.status == "failed"
    assert "broke off" in job.summary
    assert "no matching tables" in job.summary
    assert hosts.get(host.id).trouble == ""


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        asked("dump", "postgres"),
        asked("dump", "$(id)"),
        asked("restore"),
        asked("read", "/etc/passwd"),
        b"dump -\n. ".ljust(128),
        b"dump -;id .".ljust(128),
        b"x" * 1_000_000,
    ],
)
def test_no_odd_request_gets_anything(gate: Path, request_: bytes) -> None:
    done = through(gate, request_)
    assert (done.returncode, done.stdout) == (69, b""), done.stderr


def test_nothing_of_the_environment_counts(gate: Path, tmp_path: Path, shop: str) -> None:
    (tmp_path / "trap").mkdir()
    for name in ("psql", "pg_dump", "runuser", "env", "dd", "tr"):
        (tmp_path / "trap" / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (tmp_path / "trap" / name).chmod(0o755)
    done = through(
        gate,
        asked("dump"),
        PATH=f"{tmp_path}/trap:/usr/bin:/bin",
        PGDATABASE="postgres",
        PGHOST="127.0.0.1",
        PGSERVICEFILE="/etc/passwd",
        PGOPTIONS="-c role=nobody",
        PSQLRC="/etc/passwd",
        IFS="p",
        LC_ALL="de_DE.UTF-8",
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()
    listed = subprocess.run(
        [shutil.which("pg_restore") or "pg_restore", "--list"],
        input=done.stdout[done.stdout.index(b"PGDMP") :],
        capture_output=True,
        check=True,
    )
    assert f"dbname: {shop}".encode() in listed.stdout


def test_who_listens_in_the_servers_place_is_told_nothing() -> None:
    """At a port that nobody uses; it is root here, and might be anybody."""
    with TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        Path(name).chmod(0o755)
        listener.bind(f"{name}/.s.PGSQL.5432")
        Path(f"{name}/.s.PGSQL.5432").chmod(0o777)
        listener.listen()
        gate = Path(name) / "gate"
        gate.write_text(host_gate.dump_script("shop", 5432).replace(" PGPORT=", f" PGHOST={name} PGPORT=", 1))
        gate.chmod(0o755)
        done = through(gate, asked("dump"))
    assert (done.returncode, done.stdout, b"requirepeer" in done.stderr) == (69, b"", True), done


def test_it_takes_no_arguments(gate: Path) -> None:
    done = subprocess.run([gate, "dump"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (64, b"")


def test_what_cannot_be_a_database(host: Host) -> None:
    for name in ("", "a b", "host=evil", "postgresql://x", "-x", "a\nb", "a'b", "x" * 64, "$(id)"):
        with pytest.raises(Invalid):
            gate_keys.make_for_dumps(host.id, name)
    assert gate_keys.make_for_dumps(host.id, "app").place == "app:5432"
    assert gate_keys.for_dumps(host.id, ["app", "other"], 5432) == []
