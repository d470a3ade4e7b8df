"""What `ssh` itself would use: the answers are compared with its own (`ssh -G`, `ssh-keygen -F`)."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ssh import private_keys
from ssh.connection import connect
from ssh.errors import HostKeyRefused, SshError
from ssh.user_files import known_host_keys, like_ssh
from tests.servers.sshd import Sshd


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / ".ssh").mkdir()
    return tmp_path / ".ssh"


def test_the_users_files_log_in(sshd: Sshd, home: Path) -> None:
    (home / "known_hosts").write_text(
        "".join(f"[127.0.0.1]:{sshd.port} {line} comment\n" for line in sshd.host_key_lines)
    )
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", home / "known_hosts"], check=True, capture_output=True)
    (home / "id_ed25519").write_bytes(sshd.key.read_bytes())
    connect(like_ssh("127.0.0.1", None, sshd.port)).close()
    (home / "known_hosts").unlink()
    with pytest.raises(HostKeyRefused, match="not known yet"):
        connect(like_ssh("127.0.0.1", None, sshd.port))


def test_the_config_names_the_server(home: Path) -> None:
    (home / "config").write_text(
        "Host nas\n HostName 192.0.2.7\n Port 2022\n User backup\n IdentityFile ~/.ssh/nas\n"
    )
    server = like_ssh("nas", None, None)
    assert (server.host, server.port, server.user) == ("192.0.2.7", 2022, "backup")
    assert server.key_files[0] == str(home / "nas")
    given = like_ssh("nas", "me", 22)
    assert (given.port, given.user) == (22, "me")


def test_a_host_key_alias_is_looked_up_as_ssh_does_without_the_port(sshd: Sshd, home: Path) -> None:
    (home / "config").write_text("Host nas\n HostName 127.0.0.1\n HostKeyAlias the-nas\n")
    (home / "known_hosts").write_text(f"the-nas {sshd.host_key_lines[0]}\n")
    (home / "id_ed25519").write_bytes(sshd.key.read_bytes())
    way = f"-o BatchMode=yes -o UserKnownHostsFile={home}/known_hosts -i {sshd.key} -p {sshd.port}".split()
    subprocess.run(["ssh", "-F", home / "config", *way, "nas", "true"], check=True)
    connect(like_ssh("nas", None, sshd.port)).close()


def test_a_jump_host_in_the_config_is_said_to_be_unsupported(home: Path) -> None:
    (home / "config").write_text("Host nas\n ProxyJump other\n")
    with pytest.raises(SshError, match="proxyjump"):
        like_ssh("nas", None, None)


def test_an_agent_signs(sshd: Sshd, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = home / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        while subprocess.run(["ssh-add", "-q", sshd.key], capture_output=True).returncode:
            assert agent.poll() is None
        (home / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key_lines[0]}\n")
        connect(like_ssh("127.0.0.1", None, sshd.port)).close()
    finally:
        agent.terminate()
        agent.wait()


def test_hosts_that_nobody_knows_have_no_keys(home: Path) -> None:
    assert known_host_keys("nowhere.invalid", 22) == ()
    (home / "known_hosts").write_bytes(b"\xff\xfe broken\n")
    with pytest.raises(SshError, match="cannot be read"):
        known_host_keys("nowhere.invalid", 22)


@pytest.mark.parametrize(
    "options",
    [
        ["-t", "ed25519"],
        ["-t", "ecdsa"],
        ["-t", "rsa", "-b", "2048", "-m", "PEM"],
        ["-t", "ecdsa", "-m", "PKCS8"],
    ],
)
def test_private_keys_of_every_format_are_read(tmp_path: Path, options: list[str]) -> None:
    for passphrase in ("", "secret"):
        file = tmp_path / f"key{passphrase}"
        subprocess.run(["ssh-keygen", "-q", *options, "-N", passphrase, "-f", file], check=True)
        key = private_keys.load(file.read_text(), passphrase or None)
        assert Path(f"{file}.pub").read_text().split()[1] == key.get_base64()


def test_a_key_made_here_is_one_that_openssh_reads(tmp_path: Path) -> None:
    text, line = private_keys.make("holdfast")
    (tmp_path / "key").write_text(text)
    (tmp_path / "key").chmod(0o600)
    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", tmp_path / "key"], capture_output=True, text=True, check=True
    )
    assert shown.stdout.split()[:2] == line.split()[:2]
    assert line.endswith(" holdfast")
