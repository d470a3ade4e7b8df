"""A user who is not root on a real sshd, and a key of that user that leads to the gate alone."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from core.hosts import gate_keys, host_gate, set_up_lines
from core.models import GateKey
from ssh import private_keys
from tests.conftest import need_program
from tests.servers.sshd import Sshd, start_sshd, stop_sshd


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


@contextmanager
def gated_server() -> Iterator[Gated]:
    """Set all of it up, and take it away again. Needs root."""
    need_program("sudo")
    user = f"hf-{secrets.token_hex(6)}"
    with TemporaryDirectory() as name:  # sshd reads the line of the key as the user, who must get there
        folder = Path(name)
        folder.chmod(0o755)
        with _set_up(folder, user) as found:
            yield found


@contextmanager
def _set_up(folder: Path, user: str) -> Iterator[Gated]:
    gate, rule, home = folder / "gate", Path("/etc/sudoers.d") / user, folder / "home"
    gate.write_text(host_gate.script())
    gate.chmod(0o755)
    subprocess.run(
        ["useradd", "--no-create-home", "--home-dir", home, "--shell", "/bin/sh", user], check=True
    )
    subprocess.run(["usermod", "-p", "*", user], check=True)  # no password, and not locked
    server = start_sshd(folder, settings=f"Match User {user}\nAuthorizedKeysFile .ssh/authorized_keys")
    try:
        rule.write_text(host_gate.rule_for(user).replace(host_gate.PATH, str(gate)) + "\n")
        rule.chmod(0o440)
        text, line = private_keys.make("gate")
        (folder / "gate_key").write_text(text)
        (folder / "gate_key").chmod(0o600)
        forced = host_gate.COMMAND.replace(host_gate.PATH, str(gate))
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "authorized_keys").write_text(f"restrict {line}\n")  # sshd would go by it
        subprocess.run(["chown", "-R", user, home], check=True)
        subprocess.run(["sh", "-c", set_up_lines.let_in(user, f"restrict,{forced} {line}")], check=True)
        yield Gated(server, user, folder / "gate_key", gate)
    finally:
        stop_sshd(server)
        for each in (rule, *_more_rules(user)):
            each.unlink(missing_ok=True)
        subprocess.run(["userdel", "--force", user], check=True, capture_output=True)


def let_in(gated: Gated, key: GateKey, changed: Callable[[str], str] = lambda lines: lines) -> None:
    """Run the lines that the page shows for a key, with the gates of this server in its folder."""
    lines = changed(gate_keys.way(key).lines)
    ours = str(Path(host_gate.PATH).parent)
    assert ours in lines
    lines = lines.replace(ours, str(gated.sshd.folder))
    subprocess.run(["sh", "-e", "-c", lines], check=True, capture_output=True)


def _more_rules(user: str) -> list[Path]:
    """Return the rules that lines of keys made."""
    found = Path("/etc/sudoers.d").glob("holdfast-*")
    return [each for each in found if each.read_text().startswith(f"{user} ")]
