"""What stands at paths on a host, whatever the host has to tell it with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sources.ssh import place
from sources.ssh.host import SshHost, SshHostSettings
from tests.servers.sshd import Sshd


@pytest.fixture
def paths(tmp_path: Path) -> list[bytes]:
    (tmp_path / "a file\nof two lines").write_bytes(b"abc")
    os.utime(tmp_path / "a file\nof two lines", ns=(0, 1_600_000_000_900_000_000))
    os.symlink("nowhere", tmp_path / "link")
    (tmp_path / "-folder").mkdir()
    return [os.fsencode(tmp_path / each) for each in ("a file\nof two lines", "link", "-folder", "none")]


@pytest.mark.parametrize("way", ["shell", "no stat", "sftp"])
def test_each_thing_is_told_with_mode_size_and_time(
    sshd: Sshd, paths: list[bytes], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "no stat":
        monkeypatch.setattr(place, "_STANDING", place._STANDING.replace(b"stat -c", b"false"))
    server = sshd.server(key=sshd.sftp_only_key) if way == "sftp" else sshd.server()
    host = SshHost(SshHostSettings(server))
    try:
        found = place.standing(host, paths, shell=way != "sftp")
    finally:
        host.close()
    stats = {path: os.lstat(path) for path in paths[:-1]}
    expected = {path: (at.st_mode, at.st_size, int(at.st_mtime)) for path, at in stats.items()}
    assert found == expected
    assert found[paths[0]][1:] == (3, 1_600_000_000)
