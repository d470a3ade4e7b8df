"""A real OpenSSH server for the tests: on a free port of the loopback, as the user who runs them."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from ssh import private_keys
from ssh.server import Server
from storage_adapters.sftp import SftpSettings
from tests.conftest import need_program
from tests.ports import free_port


@dataclass(frozen=True)
class Sshd:
    """A running server. `key` opens a shell, `sftp_only_key` SFTP alone; each is a private key's file."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]
    address: str = "127.0.0.1"

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
            self.address,
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


def start_sshd(
    folder: Path,
    *,
    port: int = 0,
    settings: str = "",
    environment: str = "",
    address: str = "127.0.0.1",
    inside: Sequence[str] = (),
) -> Sshd:
    """Start a server with its own keys in `folder`, where they stay for the next start.

    `inside` are the words before its command line that put it where `address` is its own.
    """
    program = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or need_program("sshd")
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # sshd insists; a service file makes it elsewhere
    _make_keys(folder)
    # With a level of 2, bash leaves the .bashrc of whoever runs the tests alone.
    settings = f"SetEnv SHLVL=2 {environment}\n{settings}"
    for _ in range(10):
        chosen = port or free_port()
        _configure(program, folder, f"{address}:{chosen}", settings)
        with open(folder / "log", "ab") as log:
            command = [*inside, program, "-D", "-e", "-f", folder / "sshd_config"]
            process = subprocess.Popen(command, stderr=log, start_new_session=True)
        if _answers(address, chosen, process):
            return Sshd(chosen, folder, process, address)
        process.kill()
        process.wait()
    raise AssertionError(f"sshd does not start: {(folder / 'log').read_text()}")


def stop_sshd(server: Sshd) -> None:
    """End the server and the sessions that it serves."""
    cut_sessions(server)
    server.process.terminate()
    server.process.wait()


def cut_sessions(server: Sshd) -> None:
    """Kill every session, as a cut of the network would end it; the server stays."""
    for pid in descendants(server.process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, 9)


def _make_keys(folder: Path) -> None:
    for kind, bits in (("ed25519", "256"), ("rsa", "2048")):
        file = folder / f"host_{kind}"
        if not file.exists():
            command = ["ssh-keygen", "-q", "-t", kind, "-b", bits, "-N", "", "-f", file]
            subprocess.run(command, check=True)
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


def _configure(program: str, folder: Path, listen: str, settings: str) -> None:
    lines = [
        f"ListenAddress {listen}",
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


def _answers(address: str, port: int, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with socket.create_connection((address, port), 5) as sock:
                return sock.recv(4) == b"SSH-" and process.poll() is None
        except OSError:
            time.sleep(0.02)
    return False


def descendants(pid: int) -> list[int]:
    """Return the pids of a process's children and of theirs, each after its parent."""
    children = _children(pid)
    return [below for child in children for below in (child, *descendants(child))]


def _children(pid: int) -> list[int]:
    found = []
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat_file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat_file.parent.name))
    return found
