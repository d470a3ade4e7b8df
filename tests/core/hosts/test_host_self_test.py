"""The fidelity self-test: what it says of hosts with GNU's tools, with less, and with programs that lose."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.hosts import host_self_test, hosts
from core.models import Host
from tests.core.hosting import make_host
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.sources.ssh.busybox import start_busybox
from tests.sources.trees import IS_ROOT


@pytest.fixture
def host(context: Flask, sshd: Sshd) -> Host:
    return make_host(sshd)


def by_title(result: host_self_test.Result) -> dict[str, host_self_test.Finding]:
    return {finding.title: finding for finding in result.findings}


def test_a_whole_host_keeps_everything_and_nothing_is_left_there(host: Host, tmp_path: Path) -> None:
    result = host_self_test.run(host.id, str(tmp_path))
    found = by_title(result)
    tried = {title for title, finding in found.items() if finding.state != "untried"}
    assert (result.trouble, result.leftover, result.said) == ("", "", [])
    assert result.lost == []
    expected = {
        "File contents",
        "Odd names",
        "Symbolic links",
        "Hard links",
        "Times to the nanosecond",
        "Sparse files",
    }
    assert tried >= expected | ({"Owners and groups", "Devices"} if IS_ROOT else set())
    assert result.ok
    assert not list(tmp_path.glob("holdfast-self-test*"))
    assert host_self_test.last(hosts.get(host.id)) == result


def test_it_is_kept_on_the_row_until_the_next_one(host: Host, tmp_path: Path) -> None:
    assert host_self_test.last(host) is None
    result = host_self_test.run(host.id, "/no/such/folder")  # then where temporary files go
    assert result.ok
    assert hosts.get(host.id).self_tested_at is not None


WITHOUT_XATTRS = """for each; do shift; case $each in --xattrs*) ;; *) set -- "$@" "$each" ;; esac; done
exec /bin/tar "$@" """
# What a program does instead, and what is told of extended attributes then.
LOSES = {
    "getfattr": ("exit 0", "A backup does not keep this: file has no user.holdfast."),
    "tar": (WITHOUT_XATTRS, "A restore does not bring this back: file has no user.holdfast"),
}


@pytest.mark.parametrize("program", LOSES)
def test_a_program_that_loses_something_is_found_out(
    context: Flask, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, program: str
) -> None:
    instead, told = LOSES[program]
    folder = tmp_path_factory.mktemp("lossy")
    (folder / "tools").mkdir()
    (folder / "tools" / program).write_text(f"#!/bin/sh\n{instead}\n")
    (folder / "tools" / program).chmod(0o755)
    server = start_sshd(folder, environment=f"PATH={folder}/tools:{os.environ['PATH']}")
    try:
        result = host_self_test.run(make_host(server, "lossy").id, str(tmp_path))
    finally:
        stop_sshd(server)
    assert (result.ok, result.trouble) == (False, "")
    finding = by_title(result)["Extended attributes"]
    assert finding.state == "lost", finding
    assert told in finding.text
    assert by_title(result)["Odd names"].state == "kept"
    assert not list(tmp_path.glob("holdfast-self-test*"))


def test_busybox_loses_what_it_cannot_do_and_that_is_named(
    context: Flask, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    server = start_busybox(tmp_path_factory.mktemp("busybox"))
    try:
        result = host_self_test.run(make_host(server, "box").id, str(tmp_path))
    finally:
        stop_sshd(server)
    found = by_title(result)
    assert result.trouble == ""
    assert found["File contents"].state == found["Odd names"].state == "kept"
    assert found["Hard links"].state == found["Symbolic links"].state == "kept"
    assert "is off by" in found["Times to the nanosecond"].text
    assert found["Named pipes"].state == "lost"
    assert "A restore does not bring this back" in found["Named pipes"].text
    assert (found["ACLs"].state, found["ACLs"].text) == ("untried", "setfacl: not found")
    assert not list(tmp_path.glob("holdfast-self-test*"))


def test_a_host_that_is_deleted_while_it_is_tested_is_no_trouble(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_test, host_id = host_self_test._test, host.id

    def deleting(settings: Any, above: str, result: host_self_test.Result) -> None:
        true_test(settings, above, result)
        hosts.delete(host_id)

    monkeypatch.setattr(host_self_test, "_test", deleting)
    assert host_self_test.run(host_id, str(tmp_path)).ok
    assert not list(tmp_path.glob("holdfast-self-test*"))


def test_a_host_that_cannot_be_tested_says_why(context: Flask, sshd: Sshd) -> None:
    host = make_host(sshd, "poor", private_key=sshd.sftp_only_key.read_text())
    result = host_self_test.run(host.id)
    assert "SFTP alone" in result.trouble
    assert (result.ok, result.findings) == (False, [])
