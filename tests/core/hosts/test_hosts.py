"""Hosts: added with a key of their own, recognised, tested, never deleted while something needs them."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from core.configs import awaited, configs, transfer
from core.db import db
from core.errors import Invalid, NotFound, Refused, Unreachable
from core.hosts import host_confirm, host_inputs, host_login, host_source, host_test, hosts
from core.models import Host
from core.storages import storages
from ssh import private_keys
from tests.core.hosting import host_form, make_host
from tests.core.making import back_up, make_storage
from tests.ports import free_port
from tests.servers.sshd import Sshd, start_sshd, stop_sshd

SECRET = "a-secret/that+must=never-show"


@pytest.fixture(scope="module")
def own_sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server whose authorized_keys these tests may change."""
    server = start_sshd(tmp_path_factory.mktemp("host"))
    yield server
    stop_sshd(server)


def add(**given: object) -> Host:
    return hosts.create(
        host_inputs.parse({"name": "web1", "address": "127.0.0.1", "user": "backup", **given})
    )


def test_a_key_is_made_for_each_host_and_only_its_public_half_is_shown(context: Flask) -> None:
    host, other = add(), add(name="web2")
    assert host_login.authorized_line(host).startswith("restrict ssh-ed25519 AAAA")
    assert host.public_key != other.public_key
    assert "PRIVATE" not in host.credentials_sealed + repr(host)
    assert host.public_key in host_login.install_command(host)


def test_the_line_to_paste_takes_the_place_of_an_older_one_of_the_key(context: Flask, tmp_path: Path) -> None:
    """sshd goes by the first; other keys keep theirs, also where the last one has no end of line."""
    host, other = add(), add(name="web2")
    keys = tmp_path / ".ssh" / "authorized_keys"
    for _ in range(2):
        paste = ["sh", "-c", host_login.install_command(host)]
        subprocess.run(paste, env={**os.environ, "HOME": str(tmp_path)}, check=True)
        assert keys.read_text().splitlines()[-1] == host_login.authorized_line(host)
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        keys.write_text(f"{host.public_key}\n# ours\n{other.public_key}")
    subprocess.run(paste, env={**os.environ, "HOME": str(tmp_path)}, check=True)
    lines = ["# ours", other.public_key, host_login.authorized_line(host)]
    assert keys.read_text().splitlines() == lines
    assert [each.name for each in keys.parent.iterdir()] == ["authorized_keys"]


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("name", {"name": ""}),
        ("address", {"address": "not a host"}),
        ("address", {"address": "-oProxyCommand=x"}),
        ("port", {"port": "70000"}),
        ("user", {"user": "-l root"}),
        ("user", {"user": ""}),
        ("parallel_jobs", {"parallel_jobs": "0"}),
        ("compression", {"compression": "sometimes"}),
        ("private_key", {"login": "given"}),
        ("private_key", {"login": "given", "private_key": SECRET}),
        ("password", {"login": "password"}),
        ("jump_id", {"jump_id": "nowhere"}),
        ("login", {"login": "keep"}),
        ("login", {"private_key": SECRET}),
        ("login", {"login": "keep", "password": SECRET}),
    ],
)
def test_what_cannot_be_a_host_is_refused_by_field(
    context: Flask, field: str, given: dict[str, object]
) -> None:
    with pytest.raises(Invalid) as refused:
        add(**given)
    assert list(refused.value.fields) == [field]
    assert SECRET not in str(refused.value)


def test_a_name_is_taken_once(context: Flask) -> None:
    add()
    with pytest.raises(Invalid) as refused:
        add(name="WEB1")
    assert "already" in refused.value.fields["name"]


def test_nothing_is_sent_before_a_person_has_confirmed_the_key(context: Flask, sshd: Sshd) -> None:
    host = hosts.create(host_inputs.parse(host_form(sshd)))
    assert hosts.state_of(host) == "unconfirmed"
    for use in (
        lambda: host_test.test(host.id),
        lambda: host_source.folders(host.id, "/"),
        lambda: host_login.server_of(host),
    ):
        with pytest.raises(Refused, match="not confirmed"):
            use()


def test_a_host_is_confirmed_by_the_fingerprint_that_it_shows(context: Flask, sshd: Sshd) -> None:
    host = hosts.create(host_inputs.parse(host_form(sshd)))
    shown = host_confirm.shown_by(host)
    assert {key.line for key in shown} == set(sshd.host_key_lines)
    with pytest.raises(Invalid, match="Nothing was pinned"):
        host_confirm.confirm_fingerprint(host.id, "SHA256:AAAA", "anna")
    assert not hosts.get(host.id).pinned
    confirmed = host_confirm.confirm_fingerprint(host.id, shown[0].fingerprint, "anna")
    assert confirmed.pinned == (shown[0].line,)
    assert confirmed.confirmed_by == "anna"
    for lines in ([], ["nonsense"]):
        with pytest.raises(Invalid):
            host_confirm.confirm(host.id, lines, "anna")


def test_a_host_that_is_away_shows_no_key(context: Flask) -> None:
    host = add(port=str(free_port()))
    with pytest.raises(Unreachable, match="web1 does not show its key"):
        host_confirm.shown_by(host)


def test_a_test_tells_each_step_with_its_time(context: Flask, own_sshd: Sshd) -> None:
    host = hosts.create(host_inputs.parse(host_form(own_sshd, login="made")))
    host_confirm.confirm(host.id, own_sshd.host_key_lines, "anna")
    locked_out = host_test.test(host.id)
    assert [step.ok for step in locked_out.steps] == [True, True, False, None]
    assert "authorized_keys" in locked_out.advice
    assert hosts.state_of(hosts.get(host.id)) == "failing"
    with (own_sshd.folder / "authorized_keys").open("a") as file:
        file.write(host_login.authorized_line(hosts.get(host.id)) + "\n")
    result = host_test.test(host.id)
    assert result.ok, result
    assert [step.name for step in result.steps] == [
        "Connect", "Recognise it", "Log in", "Look for its programs",
    ]  # fmt: skip
    assert result.facts["hostname"]
    again = host_test.last(hosts.get(host.id))
    assert again is not None
    assert again.steps == result.steps
    assert hosts.state_of(hosts.get(host.id)) == "ready"
    json.dumps(hosts.get(host.id).test_result)


def test_another_key_is_refused_and_the_host_says_what_to_do(
    context: Flask, sshd: Sshd, own_sshd: Sshd
) -> None:
    host = make_host(sshd)
    host_confirm.confirm(host.id, own_sshd.host_key_lines, "anna")
    result = host_test.test(host.id)
    failed = result.failed
    assert failed is not None
    assert failed.name == "Recognise it"
    assert "another host key" in failed.text
    assert "compare" in result.advice
    assert hosts.get(host.id).trouble == failed.text


def test_sudo_that_asks_for_a_password_is_the_step_that_fails(context: Flask, sshd: Sshd) -> None:
    result = host_test.test(make_host(sshd, sudo="yes").id)
    failed = result.failed
    assert result.ok or (failed is not None and failed.name == "Become root")


def test_a_host_is_reached_through_another_one(context: Flask, sshd: Sshd, own_sshd: Sshd) -> None:
    bastion = make_host(own_sshd, "bastion")
    inner = make_host(sshd, "inner", jump_id=bastion.id)
    assert {key.line for key in host_confirm.shown_by(inner)} == set(sshd.host_key_lines)
    result = host_test.test(inner.id)
    assert result.ok, result
    assert result.steps[0].name == "Go through the jump host"
    assert "restrict,port-forwarding" in host_login.authorized_line(hosts.get(bastion.id))
    with pytest.raises(Invalid, match="leads through bastion itself"):
        hosts.update(bastion.id, host_inputs.parse(host_form(own_sshd, "bastion", jump_id=inner.id)))
    with pytest.raises(Refused, match="inner"):
        hosts.delete(bastion.id)


def test_a_key_that_leads_to_a_server_lets_nobody_listen(context: Flask, own_sshd: Sshd) -> None:
    text, public = private_keys.make("narrow")
    key = own_sshd.folder / "narrow"
    key.write_text(text)
    key.chmod(0o600)
    with (own_sshd.folder / "authorized_keys").open("a") as file:
        file.write(f"{','.join(host_login.key_options([('127.0.0.1', 5432)]))} {public}\n")
    *ssh, place = own_sshd.ssh_command()
    ssh[ssh.index("-i") + 1] = str(key)
    back = ["-o", "ExitOnForwardFailure=yes", "-R", f"127.0.0.1:{free_port()}:127.0.0.1:1"]
    assert subprocess.run([*ssh, place, "true"], capture_output=True, check=False).returncode == 0
    done = subprocess.run([*ssh, *back, place, "true"], capture_output=True, check=False)
    assert (done.returncode, b"remote port forwarding failed" in done.stderr) == (255, True), done.stderr


def test_what_a_line_allows_of_forwarding_is_told(context: Flask, sshd: Sshd) -> None:
    assert host_login.forwarding("restrict ssh-ed25519 AAAA", "me") == ("", ", forwarding")
    narrow = host_login.forwarding(",".join(host_login.key_options([("db", 5432)])), "me")
    assert "its database servers and to any Unix socket that me may open" in narrow[0]
    assert "listening on ports" in narrow[1]
    bastion = make_host(sshd, "bastion")
    make_host(sshd, "inner", jump_id=bastion.id)
    wide = host_login.forwarding(host_login.authorized_line(hosts.get(bastion.id)), "me")
    assert "any address" in wide[0]
    assert "forwarding" not in wide[1]


def test_a_key_for_dumps_is_for_the_hosts_own_server(context: Flask) -> None:
    for server, by_key in (("localhost", True), ("::1", True), ("10.0.0.9", False)):
        source = {"host": server, "port": 5432, "which": "chosen", "databases": ["shop"]}
        assert host_login._is_dumped_by({"shop:5432"}, source) == by_key, server


def test_a_change_keeps_the_secret_and_the_confirmed_key(context: Flask, sshd: Sshd) -> None:
    host = make_host(sshd)
    assert host_test.test(host.id).ok
    sealed, pinned = host.credentials_sealed, host.pinned
    form = host_inputs.to_form(host)
    hosts.update(host.id, host_inputs.parse({**form, "name": "renamed"}))
    assert hosts.state_of(hosts.get(host.id)) == "ready"
    hosts.update(host.id, host_inputs.parse({**form, "address": "localhost"}))
    changed = hosts.get(host.id)
    assert (changed.credentials_sealed, changed.pinned) == (sealed, pinned)
    assert hosts.state_of(changed) == "untested"
    hosts.update(host.id, host_inputs.parse({**form, "login": "made"}))
    assert hosts.get(host.id).credentials_sealed != sealed


def test_a_host_in_use_is_not_deleted(context: Flask, sshd: Sshd, tmp_path: Path) -> None:
    make_storage(tmp_path)
    host = make_host(sshd)
    config = configs.create(
        configs.ConfigInput(name="Remote", source={"paths": ["/srv"], "host_id": host.id})
    )
    with pytest.raises(Refused, match="backed up by Remote"):
        hosts.delete(host.id)
    configs.delete(config.id)
    hosts.delete(host.id)
    with pytest.raises(NotFound):
        hosts.get(host.id)
    db.session.rollback()
    assert "deleted" in hosts.name_of(host.id)


def test_a_config_may_be_made_for_a_host_that_is_not_confirmed_and_says_what_is_missing(
    context: Flask, sshd: Sshd, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    host = hosts.create(host_inputs.parse(host_form(sshd)))
    data = configs.ConfigInput(name="x", source={"paths": ["/srv"], "host_id": host.id})
    with pytest.raises(Invalid) as refused:
        configs.preview(data)
    assert "not confirmed" in refused.value.fields["host_id"]
    config = configs.create(data)
    job = back_up(config.id)
    assert (job.status, job.summary) == (
        "failed",
        "The host key of web1 is not confirmed yet, so nothing is sent to it.",
    )
    assert "compare the fingerprint" in job.advice
    with pytest.raises(Invalid) as refused:
        configs.create(configs.ConfigInput(name="y", source={"paths": ["/srv"], "host_id": "gone"}))
    assert "no host" in refused.value.fields["host_id"]


def test_a_host_and_its_config_come_with_one_import(context: Flask, tmp_path: Path) -> None:
    make_storage(tmp_path)
    coming = {
        "name": "Imported", "type": "files", "cron": "",
        "source": {"host": "web1", "paths": ["/srv"]},
        "destinations": [{"storage": storages.list_all()[0].name}],
    }  # fmt: skip
    host = {"name": "web1", "address": "web1.lan", "user": "backup"}
    awaited.apply(transfer.plan({"holdfast": 1, "hosts": [host], "configs": [coming]}))
    (config,) = configs.list_all()
    assert config.source["host_id"] == hosts.find("web1").id
    assert hosts.state_of(hosts.find("web1")) == "unconfirmed"
