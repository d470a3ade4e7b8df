"""The gate: one key reads all of a host as root through it, and can do nothing else, whatever it asks for."""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flask import Flask

from core.configs import configs
from core.hosts import host_doctor, host_gate
from core.points import browse, points
from ssh import private_keys
from tests.conftest import need_program
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage, make_tree
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.sources.trees import needs_root

pytestmark = needs_root


@dataclass(frozen=True)
class Gated:
    """A server, a user who is not root, and a key of that user that leads to the gate alone."""

    sshd: Sshd
    user: str
    key: Path
    gate: Path

    def ssh(self, program: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run ssh or sftp as whoever has the key."""
        known = self.sshd.folder / "known_hosts"
        known.write_text(
            "".join(f"[127.0.0.1]:{self.sshd.port} {each}\n" for each in self.sshd.host_key_lines)
        )
        options = [
            "-F",
            "none",
            "-i",
            str(self.key),
            "-o",
            f"UserKnownHostsFile={known}",
            "-o",
            "BatchMode=yes",
        ]
        port = ["-P" if program == "sftp" else "-p", str(self.sshd.port)]
        place = f"{self.user}@127.0.0.1"
        command = [program, *options, *port, *([*words, place] if program == "sftp" else [place, *words])]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture(scope="module")
def gated() -> Iterator[Gated]:
    need_program("sudo")
    user = f"hf-{secrets.token_hex(6)}"
    with TemporaryDirectory() as name:  # sshd reads the line of the key as the user, who must get there
        folder = Path(name)
        folder.chmod(0o755)
        with _set_up(folder, user) as found:
            yield found


@contextmanager
def _set_up(folder: Path, user: str) -> Iterator[Gated]:
    gate, rule = folder / "gate", Path("/etc/sudoers.d") / user
    gate.write_text(host_gate.script())
    gate.chmod(0o755)
    subprocess.run(["useradd", "--no-create-home", "--home-dir", "/", "--shell", "/bin/sh", user], check=True)
    subprocess.run(["usermod", "-p", "*", user], check=True)  # no password, and not locked
    server = start_sshd(folder)
    try:
        rule.write_text(host_gate.rule_for(user).replace(host_gate.PATH, str(gate)) + "\n")
        rule.chmod(0o440)
        text, line = private_keys.make("gate")
        (folder / "gate_key").write_text(text)
        (folder / "gate_key").chmod(0o600)
        forced = host_gate.COMMAND.replace(host_gate.PATH, str(gate))
        with (folder / "authorized_keys").open("a") as file:
            file.write(f"restrict {line}\n")  # of a time without the gate: sshd would go by it
        lets_in = host_doctor.let_in(user, f"restrict,{forced} {line}", f"{folder}/authorized_keys")
        subprocess.run(["sh", "-c", lets_in], check=True)
        yield Gated(server, user, folder / "gate_key", gate)
    finally:
        stop_sshd(server)
        rule.unlink(missing_ok=True)
        subprocess.run(["userdel", "--force", user], check=True, capture_output=True)


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
