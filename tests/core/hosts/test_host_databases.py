"""Databases of a server that only a host reaches: dumped, previewed, restored, and the truth of all that."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.alerting import alerts
from core.configs import config_source, configs, transfer
from core.db import write
from core.errors import Invalid, Refused
from core.hosts import host_confirm, host_limits, host_login, host_tunnel, hosts
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Host
from core.points import points
from core.restores import database_leftovers, database_restores, restores
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage, run
from tests.core.restores.test_databases import latest, log_of, restore, shop, source_of
from tests.ports import free_port
from tests.servers.postgres import PASSWORD, Cluster
from tests.servers.sshd import Sshd
from tests.servers.tcp_wire import wire_to

__all__ = ["shop"]


@pytest.fixture
def host(context: Flask, tmp_path: Path, sshd: Sshd) -> Host:
    make_storage(tmp_path)
    return make_host(sshd, "db1")


@pytest.fixture
def config(host: Host, postgres: Cluster, shop: str) -> Config:
    """Return a config of the shop, by way of the host."""
    return make_config(host, postgres, shop)


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """See that no folder of a socket stays behind."""
    before = _folders()
    yield
    assert _folders() <= before


def _folders() -> set[str]:
    return {name for name in os.listdir("/tmp") if name.startswith(f"hf-{os.getpid()}-")}


def make_config(host: Host, cluster: Cluster, name: str, **more: Any) -> Config:
    source = source_of(cluster, name, host_id=host.id, **more)
    return configs.create(configs.parse({"name": "Shop", "type": "database", "source": source}))


def moved(host: Host, port: int) -> None:
    """Let the host be at another port."""
    with write() as session:
        session.get_one(Host, host.id).port = port


def test_it_is_dumped_destroyed_and_comes_back_through_the_same_way(
    postgres: Cluster, shop: str, config: Config
) -> None:
    job = back_up(config.id)
    assert job.status == "completed", job.summary + log_of(job)
    assert f"PostgreSQL on 127.0.0.1:{postgres.port} by way of db1" in log_of(job)
    assert f"Dumped {shop}: 2 tables, 500 rows" in log_of(job)
    assert latest(config).hostname not in ("", "localhost")
    known = database_restores.servers(latest(config))
    assert known == [("", "127.0.0.1 by way of db1, where it came from")]
    before = postgres.ask("SELECT * FROM articles ORDER BY id", shop)
    postgres.drop(shop)
    job = restore(latest(config), shop)
    assert (job.status, job.problems) == ("completed", 0), job.summary + log_of(job)
    assert f"{shop} on 127.0.0.1:{postgres.port} by way of db1: 2 tables, 500 rows" in job.summary
    assert postgres.ask("SELECT * FROM articles ORDER BY id", shop) == before
    assert job.host_id == config.source["host_id"], "it took one of the host's places"
    postgres.run("DELETE FROM articles WHERE id > 10", database=shop)
    given = {"point_id": latest(config).id, "to": shop, "in_place": True}
    queued = database_restores.create(database_restores.validate(given))
    assert run(jobs.get(restores.safety_job_of(queued) or 0)).status == "completed"
    job = run(jobs.get(queued.id))
    assert job.status == "completed", job.summary + log_of(job)
    (left,) = [each for each in database_leftovers.list_left(config) if each.name.startswith(shop)]
    database_leftovers.drop(config, left.name, left.name)


def test_the_preview_logs_in_through_the_host(postgres: Cluster, shop: str, host: Host) -> None:
    source = source_of(postgres, shop, host_id=host.id)
    found = configs.preview(configs.parse({"name": "x", "type": "database", "source": source}))
    assert isinstance(found, config_source.DatabasePreview)
    assert [each.name for each in found.found.databases] == [shop]
    assert not found.stops
    assert "CREATE ROLE" in found.user_sql
    with pytest.raises(Invalid) as refused:
        configs.preview(
            configs.parse({"name": "x", "type": "database", "source": {**source, "password": "no"}})
        )
    assert list(refused.value.fields) == ["host"]
    assert "password authentication failed" in str(refused.value)
    assert "/tmp/" not in str(refused.value), "our end of the way means nothing to anybody"
    assert hosts.get(host.id).trouble == ""


@pytest.mark.parametrize("mode", ["disable", "prefer", "require"])
def test_tls_is_asked_of_the_server_itself(postgres: Cluster, shop: str, host: Host, mode: str) -> None:
    config = make_config(host, postgres, shop, ssl_mode=mode)
    job = back_up(config.id)
    if mode != "require":
        assert job.status == "completed", job.summary
        return
    assert job.status == "failed"
    assert "does not support SSL" in job.summary
    assert hosts.get(host.id).trouble == ""


def test_a_server_that_is_away_is_not_the_hosts_fault(postgres: Cluster, shop: str, host: Host) -> None:
    config = make_config(host, postgres, shop, port=free_port())
    job = back_up(config.id)
    assert job.status == "failed"
    assert "as db1 sees it" in job.summary
    assert "listen_addresses" in job.summary
    assert "lets this user in" in job.advice
    assert hosts.get(host.id).trouble == ""
    assert points.latest(config.id) is None


def test_a_key_that_may_not_lead_on_is_told_with_the_line_that_would(
    postgres: Cluster, shop: str, host: Host, sshd: Sshd
) -> None:
    poor = make_host(sshd, "poor", private_key=sshd.sftp_only_key.read_text())
    config = make_config(poor, postgres, shop)
    begins = f'restrict,port-forwarding,permitlisten="localhost:1",permitopen="127.0.0.1:{postgres.port}"'
    job = back_up(config.id)
    assert job.status == "failed"
    assert begins in job.summary
    assert "AllowTcpForwarding" in job.summary
    assert hosts.get(poor.id).trouble == ""
    assert host_login.authorized_line(hosts.get(poor.id)).startswith(f"{begins} ssh-ed25519 ")
    assert host_login.authorized_line(host).startswith("restrict ssh-ed25519 "), "nothing it does not need"
    direct = configs.parse({"name": "Direct", "type": "database", "source": source_of(postgres, shop)})
    good = configs.create(direct)
    back_up(good.id)
    with pytest.raises(Refused, match="permitopen"):
        restore(latest(good), f"{shop}_new", server_config_id=config.id)


@pytest.mark.parametrize("at", ["dump", "restore"])
def test_a_connection_that_breaks_in_the_middle_is_named_and_nothing_is_kept(
    postgres: Cluster, shop: str, host: Host, sshd: Sshd, at: str
) -> None:
    rows = "INSERT INTO articles SELECT g, repeat(md5(g::text), 9) FROM generate_series(1000, 9000) g"
    postgres.run(rows, database=shop)
    config = make_config(host, postgres, shop)
    if at == "restore":
        assert back_up(config.id).status == "completed"
        postgres.drop(shop)
        given = {"point_id": latest(config).id, "to": shop}
        queued = database_restores.create(database_restores.validate(given))
    else:
        queued = jobs.create_backup(config.id, "manual")
    with wire_to(sshd.port) as wire:
        moved(host, wire.port)
        wire.cut_after(**{"down" if at == "dump" else "up": 600_000}, for_good=True)
        job = run(queued)
        assert wire.cuts == 1
    assert job.status == "failed", job.summary
    assert job.summary.startswith("Db1: the SSH connection broke. Because of that, ")
    assert "run the job again" in job.advice
    assert hosts.state_of(hosts.get(host.id)) == "failing"
    if at == "dump":
        assert points.latest(config.id) is None
        (alert,) = alerts.list_open(config_id=config.id)
        assert alert.advice == job.advice
    else:
        assert (shop,) not in postgres.ask("SELECT datname FROM pg_database")
        moved(host, sshd.port)
        for left in database_leftovers.list_left(config):
            if left.name.startswith(shop):
                database_leftovers.drop(config, left.name, left.name)


def test_another_key_or_no_host_at_all_fails_the_job_and_says_what_to_do(
    config: Config, host: Host, sshd: Sshd
) -> None:
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    host_confirm.confirm(host.id, [other], "tests")
    job = back_up(config.id)
    assert job.status == "failed"
    assert "db1: " in job.summary.lower()
    assert "another host key" in job.summary
    assert "compare" in job.advice
    host_confirm.confirm(host.id, sshd.host_key_lines[:1], "tests")
    moved(host, free_port())
    job = back_up(config.id)
    assert "no connection" in job.summary
    with pytest.raises(Invalid, match="no connection"):
        configs.preview(configs.to_input(config), config_id=config.id)
    with pytest.raises(Refused, match="no connection"):
        database_leftovers.list_left(config)
    moved(host, sshd.port)
    assert back_up(config.id).status == "completed"
    assert hosts.state_of(hosts.get(host.id)) != "failing"


def test_a_host_that_is_not_confirmed_or_gone_is_refused_by_field(
    host: Host, postgres: Cluster, shop: str
) -> None:
    data = configs.parse(
        {"name": "x", "type": "database", "source": source_of(postgres, shop, host_id=host.id)}
    )
    with write() as session:
        session.get_one(Host, host.id).host_keys = {}
    with pytest.raises(Invalid) as refused:
        configs.preview(data)
    assert list(refused.value.fields) == ["host_id"]
    hosts.delete(host.id)
    for ask in (configs.preview, configs.create):
        with pytest.raises(Invalid) as refused:
            ask(data)
        assert list(refused.value.fields) == ["host_id"]


def test_what_a_host_cannot_reach_is_refused_before_anything_is_stored(host: Host) -> None:
    for wrong in ("/var/run/../postgresql", "/tmp/$(id)", "db'; rm -rf ~; '", "a b"):
        source = {"host": wrong, "host_id": host.id, "password": "geheim"}
        with pytest.raises(Invalid) as refused:
            configs.parse({"name": "x", "type": "database", "source": source})
        assert list(refused.value.fields) == ["host"]


def test_the_host_counts_it_among_what_uses_it_and_waits_for_a_place(config: Config, host: Host) -> None:
    assert [each.id for each in hosts.uses(host.id).configs] == [config.id]
    with pytest.raises(Refused, match="Shop"):
        hosts.delete(host.id)
    with write() as session:
        session.get_one(Host, host.id).parallel_jobs = 1
    second = configs.duplicate(config.id)
    assert config_source.password_of(second) == PASSWORD
    running = attempts.claim(jobs.create_backup(config.id, "manual").id)
    assert running is not None
    host_limits.take_place(running, host.id)
    waiting = run(jobs.create_backup(second.id, "manual"))
    assert (waiting.status, waiting.phase) == ("queued", "waiting")
    job_kinds.perform(running)
    jobs.hasten(waiting.id)
    assert run(jobs.get(waiting.id)).status == "completed"


def test_a_password_is_never_taken_elsewhere_by_another_way(config: Config, sshd: Sshd) -> None:
    other = make_host(sshd, "other")
    data = configs.to_input(config)
    elsewhere = data.source.model_copy(update={"host_id": other.id})
    with pytest.raises(Invalid, match="Type the password again"):
        configs.update(config.id, data.model_copy(update={"source": elsewhere}))


def test_an_export_names_both_the_host_and_the_server(config: Config, host: Host) -> None:
    found = transfer.config(config)
    assert (found["source"]["through"], found["source"]["host"]) == ("db1", "127.0.0.1")
    plan = transfer.plan({**transfer.document(), "configs": [{**found, "name": "Again"}]})
    (made, _) = plan.configs[0]
    assert getattr(made.source, "host_id", None) == host.id


def test_a_login_that_fails_leaves_no_folder(host: Host, postgres: Cluster) -> None:
    moved(host, free_port())
    with pytest.raises(host_tunnel.ServerUnavailable):
        host_tunnel.Tunnel(host.id, postgres.tcp)
