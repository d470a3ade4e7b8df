"""`flask backup host …` and `flask backup restore --to-host`, with a real SSH server."""

from __future__ import annotations

import json
from pathlib import Path

from flask import Flask

from core.configs import configs
from core.hosts import hosts
from tests.core.making import make_storage, make_tree
from tests.jobs.test_commands import Run, flask
from tests.servers.sshd import Sshd

__all__ = ["flask"]


def test_a_host_is_added_confirmed_tested_and_restored_to(
    flask: Run, install: Flask, sshd: Sshd, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    server = sshd.server()
    where = ("--address", server.host, "--port", str(server.port), "--user", server.user)
    added = flask("backup", "host", "add", "web1", *where, "--key-file", str(sshd.key))
    assert added.returncode == 0, added.stderr
    assert "restrict ssh-ed25519" in added.stdout
    early = flask("backup", "host", "test", "web1")
    assert early.returncode == 1
    assert "not confirmed" in early.stderr
    unasked = flask("backup", "host", "confirm", "web1")
    assert unasked.returncode == 1
    assert "--fingerprint" in unasked.stderr
    fingerprint = next(word for word in unasked.stdout.split() if word.startswith("SHA256:"))
    assert flask("backup", "host", "confirm", "web1", "--fingerprint", fingerprint).returncode == 0
    tested = flask("backup", "host", "test", "web1", "--json")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert all(step["ok"] for step in json.loads(tested.stdout)["steps"])
    listed = flask("backup", "host", "list")
    assert "ready" in listed.stdout

    tree = make_tree(tmp_path / "tree")
    source = {"paths": [str(tree)], "host_id": hosts.find("web1").id}
    configs.create(configs.ConfigInput(name="Remote", source=source))
    done = flask("backup", "files", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    to = ("--to", str(tmp_path / "there"))
    done = flask("backup", "restore", "latest", "--to-host", "web1", *to)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"web1:{tmp_path}/there" in done.stdout
    assert (Path(f"{tmp_path}/there{tree}") / "sub" / "1.txt").exists()
    again = flask("backup", "restore", "latest", "--to-host", "web1", "--to", str(tmp_path / "not" / "there"))
    assert again.returncode == 1
    assert "there is no folder" in again.stderr
