"""Host doctor: what it says of hosts with GNU's tools, BusyBox's, and SFTP alone; the lines it offers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flask import Flask

from core.configs import configs
from core.db import write
from core.errors import Refused
from core.hosts import host_doctor, host_login, hosts
from core.models import Host
from sources.ssh import checkup
from sources.ssh.host import SshHost
from tests.core.hosting import make_host
from tests.core.making import make_storage, make_tree
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.sources.ssh.busybox import start_busybox
from tests.sources.trees import needs_root

AS_NOBODY = """#!/bin/sh
exec setpriv --reuid=65534 --regid=65534 --clear-groups /usr/bin/find "$@"
"""


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    server = start_busybox(tmp_path_factory.mktemp("busybox"))
    yield server
    stop_sshd(server)


def by_title(report: host_doctor.Report) -> dict[str, host_doctor.Finding]:
    assert report.test.ok, report.test
    return {finding.title: finding for finding in report.findings}


def test_a_whole_host_has_little_to_be_told(context: Flask, sshd: Sshd, tmp_path: Path) -> None:
    make_storage(tmp_path)
    host = make_host(sshd)
    tree = make_tree(tmp_path / "tree")
    configs.create(configs.ConfigInput(name="x", source={"paths": [str(tree)], "host_id": host.id}))
    found = by_title(host_doctor.examine(host.id))
    assert found["Programs"].tone == found["Restores"].tone == found["Clock"].tone == "good"
    assert found["What may be read"].tone == "good"
    assert str(tree) in found["What may be read"].text


def test_what_busybox_lacks_is_told_with_the_line_that_mends_it(context: Flask, busybox: Sshd) -> None:
    found = by_title(host_doctor.examine(make_host(busybox).id))
    assert "BusyBox" in found["Programs"].text
    assert found["Not everything is kept"].command == "apt-get install attr"
    assert "cannot" not in found["What may be read"].title
    assert found["Restores"].tone == "warn"


def test_a_login_for_sftp_alone_is_told_what_it_loses(context: Flask, sshd: Sshd) -> None:
    host = make_host(sshd, private_key=sshd.sftp_only_key.read_text())
    found = by_title(host_doctor.examine(host.id))
    assert "SFTP alone" in found
    assert "hard links" in found["Not everything is kept"].text
    assert "What may be read" not in found


def test_the_lines_name_the_key_the_folders_and_where_we_come_from(
    context: Flask, sshd: Sshd, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    host = make_host(sshd)
    source = {"paths": ["/srv/it's here"], "host_id": host.id}
    configs.create(configs.ConfigInput(name="x", source=source))
    narrow, gate, wide = host_doctor.examine(host.id).set_ups
    key = host_login.authorized_line(hosts.get(host.id)).removeprefix("restrict ")
    for set_up in (narrow, gate, wide):
        assert key in set_up.lines
        assert 'from="127.0.0.1"' in set_up.lines
        assert ("out of root’s authorized_keys" in set_up.forbids) == (host.user == "root")
        assert subprocess.run(["sh", "-n"], input=set_up.lines, text=True, check=False).returncode == 0
    assert "setfacl" in narrow.lines
    assert "sudoers" not in narrow.lines
    assert "whoever has the key is root" in wide.forbids
    assert 'restrict,command="sudo -n /usr/local/sbin/holdfast-gate",' in gate.lines
    assert 'NOPASSWD: /usr/local/sbin/holdfast-gate ""' in gate.lines
    assert "NOPASSWD: ALL" not in gate.lines


def test_a_host_that_fails_its_test_still_gets_the_lines(context: Flask, sshd: Sshd) -> None:
    host = make_host(sshd, login="made", private_key="")
    report = host_doctor.examine(host.id)
    assert not report.test.ok
    assert report.findings == []
    assert len(report.set_ups) == 3
    with pytest.raises(Refused):
        host_doctor.examine(unconfirmed(host).id)


def unconfirmed(host: Host) -> Host:
    with write() as session:
        session.get_one(Host, host.id).host_keys = {}
    return hosts.get(host.id)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@needs_root
@pytest.mark.parametrize("gnu", [True, False])
def test_what_may_not_be_read_is_named(
    context: Flask, tmp_path_factory: pytest.TempPathFactory, open_folder: Path, gnu: bool
) -> None:
    """The host looks for it as another user than root, to whom nothing is closed."""
    (open_folder / "tree" / "open").mkdir(parents=True)
    (open_folder / "tree" / "closed\nfolder").mkdir(mode=0o700)
    folder = tmp_path_factory.mktemp("poor")
    (folder / "tools").mkdir()
    (folder / "tools" / "find").write_text(AS_NOBODY)
    (folder / "tools" / "find").chmod(0o755)
    server = start_sshd(folder, environment=f"PATH={folder}/tools:{os.environ['PATH']}")
    try:
        host = SshHost(host_login.settings_of(make_host(server)))
        seen = checkup.look(host, [str(open_folder)], gnu=gnu)
        host.close()
    finally:
        stop_sshd(server)
    assert seen.unreadable == [f"{open_folder}/tree/closed\nfolder"]
    assert seen.user == "root"
    assert seen.address == "127.0.0.1"
    assert seen.disks
