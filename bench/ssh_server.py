"""An SSH server of this machine on loopback: the link that rsync and this project share."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ssh import private_keys


@dataclass(frozen=True, slots=True)
class SshServer:
    """A running server; its keys are in `folder`."""

    folder: Path
    port: int
    pid: int = 0

    def ssh_command(self) -> str:
        """Return the `ssh` that logs in here, as rsync wants it."""
        known = f"-o UserKnownHostsFile={self.folder}/known_hosts -o HostKeyAlias=bench -o BatchMode=yes"
        return f"ssh -F none {known} -i {self.folder}/key -p {self.port}"

    @property
    def home(self) -> Path:
        """Return a home folder with the keys."""
        return self.folder / "home"

    @property
    def login(self) -> str:
        """Return user and host."""
        return f"{getpass.getuser()}@127.0.0.1"


def sshd() -> str:
    """Return the path of the server program, empty if it is not installed."""
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


@contextmanager
def serving(folder: Path) -> Iterator[SshServer]:
    """Serve with new keys, kept in `folder`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    server = SshServer(folder, _free_port())
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)  # sshd insists; a service file makes it elsewhere
    _write_files(server)
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([sshd(), "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    try:
        _wait_for(server, process)
        yield replace(server, pid=process.pid)
    finally:
        process.terminate()
        process.wait(20)


def _write_files(server: SshServer) -> None:
    folder = server.folder
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host"], check=True)
    private, line = private_keys.make("bench")
    (folder / "key").write_text(private)
    (folder / "key").chmod(0o600)
    (folder / "authorized_keys").write_text(line + "\n")
    public = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"bench {public}\n")
    _write_home(server, public)
    lines = [f"ListenAddress 127.0.0.1:{server.port}", f"HostKey {folder}/host", "PidFile none"]
    lines += ["SetEnv SHLVL=2"]  # with 2, bash leaves .bashrc alone
    lines += ["Subsystem sftp internal-sftp"]
    lines += [f"AuthorizedKeysFile {folder}/authorized_keys", "StrictModes no", "UsePAM no", "UseDNS no"]
    (folder / "sshd_config").write_text("\n".join([*lines, "PermitRootLogin yes", ""]))


def _write_home(server: SshServer, host_key: str) -> None:
    """Make a home of whoever finds keys as `ssh` does."""
    own = server.home / ".ssh"
    own.mkdir(parents=True, mode=0o700)
    shutil.copy(server.folder / "key", own / "id_ed25519")
    (own / "known_hosts").write_text(f"[127.0.0.1]:{server.port} {host_key}\n")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: SshServer, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                return
        time.sleep(0.1)
    raise SystemExit(f"sshd does not start: see {server.folder}/log")
