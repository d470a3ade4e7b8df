"""A real OpenSSH server for the tests: on a free port of the loopback, as the user who runs them."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from ssh import private_keys
from ssh.server import Server
from storage_adapters.sftp import SftpSettings
from tests.conftest import need_program


@dataclass(frozen=True)
class Sshd:
    """A running server. `key` opens a shell, `sftp_only_key` SFTP alone; each is a file with a private key."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def key(self) -> Path:
        return self.folder / "key"

    @property
    def sftp_only_key(self) -> Path:
        return self.folder / "sftp_only_key"

    @property
    def host_key_lines(self) -> tuple[str, ...]:
        """The server's public keys, as they are pinned."""
        files = sorted(self.folder.glob("host_*.pub"))
        return tuple(" ".join(file.read_text().split()[:2]) for file in files)

    def server(self, key: Path | None = None, port: int | None = None) -> Server:
        """Return how to log in."""
        text = (key or self.key).read_text()
        return Server(
            "127.0.0.1",
            getpass.getuser(),
            port or self.port,
            private_key=text,
            known_host_keys=self.host_key_lines,
        )

    def settings(self, path: Path, key: Path | None = None, port: int | None = None) -> SftpSettings:
        """Return the settings of a storage in `path`."""
        server = self.server(key, port)
        return SftpSettings(
            server.host,
            server.user,
            str(path),
            server.port,
            private_key=server.private_key,
            known_host_keys=server.known_host_keys,
        )

    def ssh_command(self) -> list[str]:
        """Return the `ssh` that logs in here, for restic and rsync."""
        known = self.folder / "known_hosts"
        known.write_text("".join(f"[127.0.0.1]:{self.port} {line}\n" for line in self.host_key_lines))
        options = ["-F", "none", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"]
        options += ["-i", str(self.key), "-p", str(self.port)]
        return ["ssh", *options, f"{getpass.getuser()}@127.0.0.1"]


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A server for the whole run."""
    server = start_sshd(tmp_path_factory.mktemp("sshd"))
    yield server
    stop_sshd(server)


def start_sshd(folder: Path, *, port: int = 0, settings: str = "") -> Sshd:
    """Start a server with its own keys in `folder`, where they stay for the next start."""
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or need_program("sshd")
    os.makedirs("/run/sshd", exist_ok=True) if os.geteuid() == 0 else None
    _make_keys(folder)
    for _ in range(10):
        chosen = port or _free_port()
        _configure(program, folder, chosen, settings)
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", folder / "sshd_config"],
            stderr=(folder / "log").open("ab"),
            start_new_session=True,
        )
        if _answers(chosen, process):
            return Sshd(chosen, folder, process)
        process.kill()
        process.wait()
    raise AssertionError(f"sshd does not start: {(folder / 'log').read_text()}")


def stop_sshd(server: Sshd) -> None:
    """End the server and the sessions that it serves."""
    for child in _children(server.process.pid):
        _kill(child)
    server.process.terminate()
    server.process.wait()


def cut_sessions(server: Sshd) -> None:
    """Kill every session, as a cut of the network would end it; the server stays."""
    for child in _children(server.process.pid):
        _kill(child)


def _make_keys(folder: Path) -> None:
    for kind in ("ed25519", "rsa"):
        file = folder / f"host_{kind}"
        if not file.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", file], check=True)
    lines = []
    for name, options in (("key", ""), ("sftp_only_key", 'restrict,command="internal-sftp" ')):
        file = folder / name
        if not file.exists():
            text, line = private_keys.make(name)
            file.write_text(text)
            file.chmod(0o600)
            lines.append(f"{options}{line}\n")
    if lines:
        (folder / "authorized_keys").write_text("".join(lines))


def _configure(program: str, folder: Path, port: int, settings: str) -> None:
    lines = [
        f"ListenAddress 127.0.0.1:{port}",
        f"HostKey {folder}/host_ed25519",
        f"HostKey {folder}/host_rsa",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "Subsystem sftp internal-sftp",
        "PidFile none",
        "StrictModes no",
        "PermitRootLogin yes",
        "UsePAM no",
        "UseDNS no",
        "LogLevel ERROR",
        "MaxStartups 200",
        "MaxAuthTries 20",
    ]
    file = folder / "sshd_config"
    # Newer servers make those wait who failed before; older ones do not know the word.
    for last in ("PerSourcePenalties no", ""):
        file.write_text("\n".join([*lines, last, settings, ""]))
        if subprocess.run([program, "-t", "-f", file], capture_output=True).returncode == 0:
            return


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _answers(port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 5) as sock:
                return sock.recv(4) == b"SSH-" and process.poll() is None
        except OSError:
            time.sleep(0.02)
    return False


def _children(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    found = []
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat_file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat_file.parent.name))
    return found


def _kill(pid: int) -> None:
    for child in _children(pid):
        _kill(child)
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
