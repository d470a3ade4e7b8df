"""The environment of a host, asked over SSH: the same as the host itself would say, or said to be missing."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository.entries import SourceUnavailable
from sources.config_bundle.environment import Document, EnvironmentOptions, gather
from sources.config_bundle.units import FOLDERS
from sources.ssh.environment import HostEnvironment, HostMachine
from sources.ssh.host import SshHost, SshHostSettings
from ssh.server import Server
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.sources.ssh.busybox import start_busybox
from tests.sources.trees import needs_root

NO_LISTS = EnvironmentOptions(packages=False, services=False)


@pytest.fixture
def machine(sshd: Sshd) -> Iterator[HostMachine]:
    host = SshHost(SshHostSettings(sshd.server()))
    yield HostMachine(host)
    host.close()


def ask(server: Server, *names: str, options: EnvironmentOptions = NO_LISTS) -> Document:
    source = HostEnvironment(SshHostSettings(server), names, options)
    source.check()
    return source.document


def test_it_says_what_the_machine_itself_says(sshd: Sshd) -> None:
    units = sorted(each for each in os.listdir(FOLDERS[-1]) if each.endswith(".service"))[:3]
    options = EnvironmentOptions(units=[*units, "no-such.service"])
    there = ask(sshd.server(), "HOME", "NO_SUCH_VARIABLE", options=options)
    here = gather(options, there["hostname"])
    assert there.pop("variables") == {"HOME": pwd.getpwuid(os.getuid()).pw_dir}
    here.pop("variables")
    assert there.pop("absent") == sorted([*here.pop("absent"), "variable NO_SUCH_VARIABLE"])
    assert there == here
    assert any("no-such.service" in text for text in there["missing"])


@needs_root
def test_variables_are_those_of_the_login_shell_whatever_its_profile_prints(ordinary: Server) -> None:
    home = Path(pwd.getpwnam(ordinary.user).pw_dir)
    home.mkdir()
    try:
        (home / ".profile").write_text("echo welcome\nexport SHOP='two\nlines'\"'\" EMPTY=\n")
        document = ask(ordinary, "SHOP", "EMPTY", "GONE", "-n")
    finally:
        shutil.rmtree(home)
    assert document["variables"] == {"SHOP": "two\nlines'", "EMPTY": ""}
    assert document["absent"][-2:] == ["variable -n", "variable GONE"]
    assert document["missing"] == []


def test_what_is_no_file_or_may_not_be_read_is_told_as_here(machine: HostMachine, tmp_path: Path) -> None:
    (tmp_path / "name with\nnewline").write_bytes(b"a\xff\n")
    (tmp_path / "masked").symlink_to("/dev/null")
    (tmp_path / "gone").symlink_to("nowhere")
    assert sorted(machine.names(str(tmp_path))) == ["gone", "masked", "name with\nnewline"]
    assert machine.names(str(tmp_path / "nowhere")) == []
    found = {name: machine.kind(f"{tmp_path}/{name}") for name in (*machine.names(str(tmp_path)), "none")}
    assert found == {"gone": "other", "masked": "other", "name with\nnewline": "file", "none": "none"}
    assert machine.text(f"{tmp_path}/name with\nnewline") == "a\udcff\n"
    with pytest.raises(FileNotFoundError):
        machine.text(f"{tmp_path}/none")
    with pytest.raises(OSError, match="no file"):
        machine.text(f"{tmp_path}/masked")
    assert machine.find("cat") in ("/usr/bin/cat", "/bin/cat")
    assert machine.find("no-such-program") is None
    assert machine.run(["sh", "-c", "echo out; echo err >&2; exit 3"]).code == 3


@needs_root
def test_what_the_login_may_not_read_is_missing_and_never_absent(ordinary: Server, tmp_path: Path) -> None:
    secret = Path(f"/etc/hf-test-{os.getpid()}")
    secret.write_text("A=1")
    secret.chmod(0o600)
    host = SshHost(SshHostSettings(ordinary))
    try:
        with pytest.raises(PermissionError, match="denied"):
            HostMachine(host).text(str(secret))
    finally:
        host.close()
        secret.unlink()


def test_a_login_without_programs_is_refused_with_a_way_out(sshd: Sshd) -> None:
    with pytest.raises(SourceUnavailable, match="config of type files"):
        ask(sshd.server(sshd.sftp_only_key))


def test_a_shell_that_cannot_tell_its_variables_makes_them_missing_not_absent(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = start_sshd(tmp_path_factory.mktemp("shell"), environment="SHELL=/bin/false")
    try:
        document = ask(server.server(), "SHELL")
    finally:
        stop_sshd(server)
    assert document["variables"] == {}
    assert document["absent"] == gather(NO_LISTS, "")["absent"]
    assert document["missing"] == ["variables of the login shell: it does not tell: no reason given"]


def test_busyboxs_tools_are_enough(tmp_path_factory: pytest.TempPathFactory) -> None:
    server = start_busybox(tmp_path_factory.mktemp("busybox"))
    try:
        document = ask(server.server())
    finally:
        stop_sshd(server)
    assert document["missing"] == []
    assert document["kernel"] == os.uname().release
    assert document["os"] == gather(NO_LISTS, "")["os"]
