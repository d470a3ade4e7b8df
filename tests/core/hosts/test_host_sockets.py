"""Databases by the Unix socket of a server on a host, where PostgreSQL goes by who opens it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from core.configs import config_source, configs
from core.errors import Invalid
from core.hosts import host_login, host_socket, hosts
from core.models import Host
from tests.conftest import need_program
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage
from tests.core.restores.test_databases import latest, log_of, restore, shop, source_of
from tests.servers.postgres import Cluster
from tests.servers.sshd import Sshd
from tests.sources.trees import needs_root

__all__ = ["shop"]
pytestmark = needs_root  # to be another user


@pytest.fixture
def host(context: Flask, tmp_path: Path, sshd: Sshd) -> Host:
    make_storage(tmp_path)
    return make_host(sshd, "db1")


@pytest.fixture
def peers(postgres: Cluster) -> Iterator[None]:
    """Superusers who log in as the users of their names alone."""
    for name in ("nobody", "root"):
        postgres.run(f"CREATE ROLE {name} SUPERUSER LOGIN")
    yield
    for name in ("nobody", "root"):
        postgres.run(f"DROP OWNED BY {name} CASCADE", f"DROP ROLE {name}")


def socket_source(postgres: Cluster, shop: str, host: Host, user: str, **more: object) -> dict[str, object]:
    folder = str(postgres.folder)
    return source_of(postgres, shop, host=folder, host_id=host.id, user=user, password="", **more)


@pytest.mark.usefixtures("peers")
def test_it_is_dumped_and_restored_as_another_user_of_the_host(
    postgres: Cluster, shop: str, host: Host, tmp_path: Path
) -> None:
    """By several processes at a time, each with a connection of its own."""
    work = tmp_path / "work"
    work.mkdir()
    parallel = {"parallel_jobs": 2, "work_folder": str(work)}
    source = socket_source(postgres, shop, host, "nobody", **parallel)
    config = configs.create(configs.parse({"name": "Shop", "type": "database", "source": source}))
    job = back_up(config.id)
    assert job.status == "completed", job.summary + log_of(job)
    assert f"Dumped {shop}: 2 tables, 500 rows" in log_of(job)
    assert latest(config).hostname == host.address, "the folder of a socket is no name of a machine"
    job = restore(latest(config), f"{shop}_new")
    assert (job.status, job.problems) == ("completed", 0), job.summary + log_of(job)
    assert postgres.ask("SELECT count(*) FROM articles", f"{shop}_new") == [(500,)]
    assert f'permitopen="localhost:{postgres.port}"' in host_login.authorized_line(hosts.get(host.id))


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize(("user", "sudo"), [("root", False), ("root", True), ("nobody", True)])
def test_the_preview_logs_in_as_who_opens_the_socket(
    postgres: Cluster, shop: str, host: Host, sshd: Sshd, user: str, sudo: bool
) -> None:
    if sudo:
        need_program("sudo")
        host = make_host(sshd, "db2", sudo="on")
    source = socket_source(postgres, shop, host, user)
    found = configs.preview(configs.parse({"name": "x", "type": "database", "source": source}))
    assert isinstance(found, config_source.DatabasePreview)
    assert [each.name for each in found.found.databases] == [shop]


@pytest.mark.parametrize(
    ("user", "port", "said"),
    [
        ("root", 1, "does not lead on to the socket /.*AllowStreamLocalForwarding"),
        ("nobody", 1, "as nobody, by su .cannot open /.*: No such file"),
        ("no-such-user", 0, "as no-such-user, by su .*no-such-user.* does not exist"),
        ("nobody", 0, "role .nobody. does not exist"),
    ],
)
def test_what_is_wrong_with_a_socket_is_said(
    postgres: Cluster, shop: str, host: Host, user: str, port: int, said: str
) -> None:
    source = socket_source(postgres, shop, host, user, port=port or postgres.port)
    with pytest.raises(Invalid, match=said):
        configs.preview(configs.parse({"name": "x", "type": "database", "source": source}))
    assert hosts.get(host.id).trouble == ""


@pytest.fixture
def doubling(tmp_path: Path) -> Iterator[Path]:
    """A socket where one client gets back all that he said, twice, when he has said all."""
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.settimeout(60)

        def serve() -> None:
            with listener.accept()[0] as client, client.makefile("rwb") as both:
                both.write(both.read() * 2)

        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join()


@pytest.mark.parametrize("interpreter", ["python3", "perl"])
def test_the_relay_passes_on_all_both_ways(doubling: Path, tmp_path: Path, interpreter: str) -> None:
    (tmp_path / "tools").mkdir()
    python = os.path.realpath(sys.executable)
    for name in ("sh", interpreter):
        (tmp_path / "tools" / name).symlink_to(python if name == "python3" else need_program(name))
    said = os.urandom(3_000_000)
    relay = ["sh", "-c", host_socket.RELAY, "sh", str(doubling), host_socket.PYTHON, host_socket.PERL]
    done = subprocess.run(relay, input=said, capture_output=True, env={"PATH": str(tmp_path / "tools")})
    assert (done.stderr, done.returncode) == (b"", 0)
    assert done.stdout == said * 2
