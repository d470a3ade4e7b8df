"""The gate: one key reads all of a host as root through it, and can do nothing else, whatever it asks for."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from core.configs import configs
from core.points import browse, points
from tests.core.gating import Gated, gated_server
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage, make_tree
from tests.sources.trees import needs_root

pytestmark = needs_root


@pytest.fixture(scope="module")
def gated() -> Iterator[Gated]:
    with gated_server() as found:
        yield found


def test_a_backup_through_the_gate_reads_what_is_roots_alone(
    context: Flask, gated: Gated, tmp_path: Path
) -> None:
    make_storage(tmp_path)
    tree = make_tree(tmp_path / "tree")
    secret = tree / "sub" / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    tree.chmod(0o700)
    host = make_host(gated.sshd, user=gated.user, private_key=gated.key.read_text())
    source = {"paths": [str(tree)], "host_id": host.id}
    config = configs.create(configs.ConfigInput(name="Gated", source=source))
    job = back_up(config.id)
    assert job.status == "completed", job.summary
    point = points.latest(config.id)
    assert point is not None
    _, content = browse.read_file(point, os.fsencode(secret))
    assert b"".join(content) == b"root's"
    assert "SFTP alone" in point.limits["limits"][0]


def test_nothing_can_be_changed_through_it(gated: Gated, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("as it was")
    (tmp_path / "folder").mkdir()
    before = file.stat()
    ours = tmp_path / "ours"
    ours.write_text("ours")
    attempts = [
        f"put {ours} {tmp_path}/new", f"put {ours} {file}", f"rm {file}", f"mkdir {tmp_path}/made",
        f"rmdir {tmp_path}/folder", f"rename {file} {tmp_path}/moved", f"chmod 777 {file}", f"chown 1 {file}",
        f"ln {file} {tmp_path}/hard", f"ln -s /etc {tmp_path}/soft",
        f"put {ours} {tmp_path}/../{tmp_path.name}/up",
    ]  # fmt: skip
    there = sorted(each.name for each in tmp_path.iterdir())
    for attempt in attempts:
        done = gated.ssh("sftp", "-b", "-", stdin=f"{attempt}\n")
        assert done.returncode != 0, attempt
    assert sorted(each.name for each in tmp_path.iterdir()) == there
    assert (file.read_text(), file.stat().st_mode, file.stat().st_uid) == (
        "as it was", before.st_mode, before.st_uid,
    )  # fmt: skip
    read = gated.ssh("sftp", "-b", "-", stdin=f"get {file} {tmp_path}/copy\n")
    assert (read.returncode, (tmp_path / "copy").read_text()) == (0, "as it was"), read.stderr


@pytest.mark.parametrize(
    "asked",
    [
        "id",
        "sh -c id",
        "; id",
        "$(id)",
        "`id`",
        "x\nid",
        "-i",
        "--",
        "/usr/local/sbin/holdfast-gate id",
        "| id",
    ],
)
def test_no_program_runs_whatever_is_asked_for(gated: Gated, asked: str) -> None:
    done = gated.ssh("ssh", "--", asked)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), "it was let in, and the gate ran"


def test_no_terminal_no_variables_no_way_on(gated: Gated) -> None:
    for options in (["-tt"], ["-o", "SendEnv=*"], ["-o", "SetEnv=BASH_ENV=/etc/passwd LD_PRELOAD=/x"]):
        done = subprocess.run(
            ["ssh", *options, *_to(gated), "id"],
            input="",
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert "uid=" not in done.stdout + done.stderr, options
        assert "Permission denied" not in done.stderr, options
    led = subprocess.run(
        ["ssh", "-W", f"127.0.0.1:{gated.sshd.port}", *_to(gated)],
        input="", capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert "prohibited" in led.stderr
    assert "SSH-2.0" not in led.stdout


def _to(gated: Gated) -> list[str]:
    """Return the words that lead to the gate."""
    gated.ssh("ssh", "x")  # knows the host afterwards
    options = [
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        f"UserKnownHostsFile={gated.sshd.folder}/known_hosts",
    ]
    return [*options, "-i", str(gated.key), "-p", str(gated.sshd.port), f"{gated.user}@127.0.0.1"]


@pytest.mark.parametrize(
    "words", ["id", "{gate} x", "{gate} ''", "{gate} -R", "-u nobody {gate}", "-e {gate}", "sh"]
)
def test_sudo_lets_the_user_run_the_gate_and_nothing_else(gated: Gated, words: str) -> None:
    command = ["runuser", "-u", gated.user, "--", "sudo", "-n", *shlex.split(words.format(gate=gated.gate))]
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, cwd="/"
    )
    assert done.returncode != 0
    assert "uid=" not in done.stdout


def test_it_takes_no_arguments_even_from_root(gated: Gated) -> None:
    done = subprocess.run([gated.gate, "-e"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (64, "")
