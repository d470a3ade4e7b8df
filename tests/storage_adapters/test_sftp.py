"""What only an SFTP server can show: logins, host keys, cuts, a full disk. Against a real sshd."""

from __future__ import annotations

import os
import secrets
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ssh import private_keys
from ssh.connection import TimeLimits
from storage_adapters.errors import (
    InvalidSettings,
    ObjectNotFound,
    PermissionDenied,
    StorageError,
    StorageFull,
    StorageUnavailable,
    StorageUnreachable,
    TransientStorageError,
)
from storage_adapters.retry import RetryingAdapter, RetryPolicy
from storage_adapters.sftp import HostKeyRefused, SftpAdapter, SftpSettings, create_root, host_keys
from tests.ports import free_port
from tests.servers.sshd import Sshd, cut_sessions, descendants, start_sshd, stop_sshd
from tests.servers.tcp_wire import wire_to

BIG = 5_000_000
QUICK = RetryPolicy(attempts=4, first_wait_s=0.05)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs or add a user")


@pytest.fixture
def storage(sshd: Sshd, tmp_path: Path) -> Iterator[SftpAdapter]:
    adapter = SftpAdapter(sshd.settings(tmp_path))
    yield adapter
    adapter.close()


def error_of(settings: SftpSettings, kind: type[Exception]) -> str:
    """Return what the first call says, which must fail."""
    adapter = SftpAdapter(settings)
    try:
        with pytest.raises(kind) as caught:
            adapter.stat("config")
    finally:
        adapter.close()
    return str(caught.value)


# Host keys


def test_the_keys_of_a_server_are_those_that_ssh_keygen_shows(sshd: Sshd) -> None:
    found = host_keys("127.0.0.1", sshd.port)
    assert {key.line for key in found} == set(sshd.host_key_lines)
    shown = [
        subprocess.run(
            ["ssh-keygen", "-lf", file], capture_output=True, text=True, check=True
        ).stdout.split()[1]
        for file in sshd.folder.glob("host_*.pub")
    ]
    assert {key.fingerprint for key in found} == set(shown)


def test_an_unknown_server_is_refused_with_its_fingerprint(sshd: Sshd, tmp_path: Path) -> None:
    text = error_of(replace(sshd.settings(tmp_path), known_host_keys=()), HostKeyRefused)
    assert host_keys("127.0.0.1", sshd.port)[0].fingerprint in text
    assert "not known yet" in text


def test_a_changed_host_key_is_refused_with_both_fingerprints(
    sshd: Sshd, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = start_sshd(tmp_path_factory.mktemp("other"))
    stop_sshd(other)
    settings = replace(sshd.settings(tmp_path), known_host_keys=other.host_key_lines[:1])
    text = error_of(settings, HostKeyRefused)
    found = host_keys("127.0.0.1", sshd.port)[0].fingerprint
    pinned = subprocess.run(
        ["ssh-keygen", "-lf", other.folder / "host_ed25519.pub"], capture_output=True, text=True, check=True
    ).stdout.split()[1]
    assert found in text
    assert pinned in text
    assert "another host key" in text


def test_the_pinned_type_is_asked_for_even_if_the_server_prefers_another(sshd: Sshd, tmp_path: Path) -> None:
    rsa = [line for line in sshd.host_key_lines if line.startswith("ssh-rsa")]
    adapter = SftpAdapter(replace(sshd.settings(tmp_path), known_host_keys=tuple(rsa)))
    adapter.put("config", b"x")
    adapter.close()


def test_a_pinned_line_that_is_no_key_is_named(sshd: Sshd, tmp_path: Path) -> None:
    settings = replace(sshd.settings(tmp_path), known_host_keys=("ssh-ed25519 no-key",))
    assert "no host key line" in error_of(settings, InvalidSettings)


# Logins


def test_a_key_that_the_server_does_not_know_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    key, _ = private_keys.make("stranger")
    text = error_of(replace(sshd.settings(tmp_path), private_key=key), PermissionDenied)
    assert "the private key" in text
    assert "authorized_keys" in text


def test_a_wrong_password_is_refused_and_not_shown(sshd: Sshd, tmp_path: Path) -> None:
    secret = secrets.token_hex(12)
    settings = replace(sshd.settings(tmp_path), private_key=None, password=secret)
    assert secret not in error_of(settings, PermissionDenied)
    assert secret not in repr(settings)
    assert secret not in repr(settings.server)


def test_nothing_to_log_in_with_is_said(sshd: Sshd, tmp_path: Path) -> None:
    settings = replace(sshd.settings(tmp_path), private_key=None)
    assert "no key and no password was given" in error_of(settings, PermissionDenied)


def test_a_key_with_a_passphrase(sshd: Sshd, tmp_path: Path) -> None:
    file = tmp_path / "locked"
    file.write_bytes(sshd.key.read_bytes())
    file.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "open it", "-f", file], check=True)
    settings = replace(sshd.settings(tmp_path), private_key=file.read_text())
    assert "has a passphrase" in error_of(settings, InvalidSettings)
    assert "one of the two is wrong" in error_of(replace(settings, passphrase="wrong"), InvalidSettings)
    adapter = SftpAdapter(replace(settings, passphrase="open it"))
    adapter.put("config", b"x")
    adapter.close()
    assert "no private key" in error_of(replace(settings, private_key="nonsense"), InvalidSettings)


@needs_root
def test_a_user_with_a_password(sshd: Sshd) -> None:
    name, secret = f"hf-{secrets.token_hex(6)}", secrets.token_hex(12)
    subprocess.run(["useradd", "--create-home", "--shell", "/bin/sh", name], check=True)
    try:
        subprocess.run(["chpasswd"], input=f"{name}:{secret}\n".encode(), check=True)
        settings = replace(sshd.settings(Path()), user=name, private_key=None, password=secret, path="place")
        create_root(settings)  # relative: in the user's home
        adapter = SftpAdapter(settings)
        adapter.put("data/00/x", b"x")
        adapter.close()
        elsewhere = SftpAdapter(replace(settings, path="/"))
        with pytest.raises(PermissionDenied, match="not allowed"):
            elsewhere.put("x", b"x")
        elsewhere.close()
        subprocess.run(["usermod", "--lock", name], check=True)
        assert "account is not locked" in error_of(settings, PermissionDenied)
    finally:
        subprocess.run(["userdel", "--force", "--remove", name], check=True, capture_output=True)


def test_an_account_for_sftp_alone_is_enough(sshd: Sshd, tmp_path: Path) -> None:
    settings = sshd.settings(tmp_path / "new" / "root", key=sshd.sftp_only_key)
    create_root(settings)
    adapter = SftpAdapter(settings)
    adapter.put("data/00/x", b"x" * BIG)
    assert adapter.get("data/00/x", BIG - 3) == b"xxx"
    assert [found.key for found in adapter.list("")] == ["data/00/x"]
    adapter.delete("data/00/x")
    adapter.close()


# The folder on the server


def test_a_missing_root_is_unavailable_and_never_made(sshd: Sshd, tmp_path: Path) -> None:
    root = tmp_path / "not-mounted"
    storage = SftpAdapter(sshd.settings(root))
    for call in (
        lambda: storage.put("data/x", b"x"),
        lambda: storage.get("data/x"),
        lambda: storage.stat("data/x"),
        lambda: storage.delete("data/x"),
        lambda: list(storage.list("")),
    ):
        with pytest.raises(StorageUnavailable, match="mounted"):
            call()
    storage.close()
    assert not root.exists()


def test_a_file_in_place_of_the_root_is_named_as_that(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    storage = SftpAdapter(sshd.settings(tmp_path / "file"))
    with pytest.raises(StorageUnavailable, match="is a file, not a folder"):
        list(storage.list(""))
    storage.close()


def test_files_are_read_only_and_folders_private(storage: SftpAdapter, tmp_path: Path) -> None:
    storage.put("data/ab/x", b"x")
    assert stat.S_IMODE((tmp_path / "data/ab/x").stat().st_mode) == 0o400
    assert stat.S_IMODE((tmp_path / "data/ab").stat().st_mode) == 0o700


def test_leftovers_and_foreign_names_are_not_listed(storage: SftpAdapter, tmp_path: Path) -> None:
    storage.put("data/ab/x", b"x")
    (tmp_path / "data/ab/y-tmp-0123").write_bytes(b"half")
    (tmp_path / "data/ab/with space").write_bytes(b"foreign")
    (tmp_path / os.fsdecode(b"data/ab/\xff")).write_bytes(b"foreign")
    (tmp_path / "data/ab/link").symlink_to("x")
    (tmp_path / "data/ab/dangling").symlink_to("nowhere")
    assert sorted(found.key for found in storage.list("")) == ["data/ab/link", "data/ab/x"]


def test_put_waits_for_the_disk(storage: SftpAdapter, sshd: Sshd, tmp_path: Path) -> None:
    """Seen from the server's side: the file is synced before it gets its name, the folder after."""
    others = descendants(sshd.process.pid)
    storage.put("data/00/warm", b"x")
    session = [f"--attach={pid}" for pid in descendants(sshd.process.pid) if pid not in others]
    trace = tmp_path / "trace"
    command = ["strace", "-f", "-o", trace, "-e", "trace=fsync,rename", *session]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        assert tracer.stderr
        for _ in session:
            assert b"attached" in tracer.stderr.readline()
        storage.put("data/00/x", b"x")
        tracer.terminate()
    calls = [
        line.split()[1].split("(")[0] for line in trace.read_text().splitlines() if line.endswith(" = 0")
    ]
    assert calls == ["fsync", "rename", "fsync"]


@needs_root
def test_a_full_disk_leaves_the_old_object(sshd: Sshd, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    storage = SftpAdapter(sshd.settings(tmp_path))
    try:
        storage.put("object", b"old")
        with pytest.raises(StorageFull, match="no space"):
            storage.put("object", os.urandom(BIG))
        assert storage.get("object") == b"old", "the session goes on"
        assert [entry.name for entry in tmp_path.iterdir()] == ["object"]
    finally:
        storage.close()
        subprocess.run(["umount", str(tmp_path)], check=True)


# Faults of the wire


def test_a_session_cut_between_two_calls_is_made_anew(storage: SftpAdapter, sshd: Sshd) -> None:
    storage.put("object", b"x")
    cut_sessions(sshd)
    patient = RetryingAdapter(storage, QUICK)
    assert patient.get("object") == b"x"


def test_a_put_that_is_cut_leaves_nothing_to_see_and_is_repeated(sshd: Sshd, tmp_path: Path) -> None:
    data = os.urandom(BIG)
    with wire_to(sshd.port) as wire:
        storage = SftpAdapter(sshd.settings(tmp_path, port=wire.port))
        storage.put("data/00/x", b"old")
        wire.cut_after(up=BIG // 2)
        with pytest.raises(TransientStorageError, match="broke"):
            storage.put("data/00/x", data)
        assert wire.cuts == 1
        assert storage.get("data/00/x") == b"old"
        wire.cut_after(up=BIG // 2)
        RetryingAdapter(storage, QUICK).put("data/00/x", data)
        assert wire.cuts == 2
        assert storage.get("data/00/x") == data
        assert [found.key for found in storage.list("")] == ["data/00/x"]
        storage.close()


def test_a_get_that_is_cut_is_repeated(sshd: Sshd, tmp_path: Path) -> None:
    data = os.urandom(BIG)
    with wire_to(sshd.port) as wire:
        storage = SftpAdapter(sshd.settings(tmp_path, port=wire.port))
        storage.put("data/00/x", data)
        wire.cut_after(down=BIG // 2)
        with pytest.raises(TransientStorageError):
            storage.get("data/00/x")
        wire.cut_after(down=BIG // 2)
        assert RetryingAdapter(storage, QUICK).get("data/00/x") == data
        assert wire.cuts == 2
        storage.close()


def test_a_server_that_falls_silent_is_given_up(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"x")
    with wire_to(sshd.port) as wire:
        storage = SftpAdapter(sshd.settings(tmp_path, port=wire.port), limits=TimeLimits(idle_s=2))
        assert storage.get("object") == b"x"
        wire.fall_silent()
        with pytest.raises(TransientStorageError, match="no answer in time"):
            storage.get("object")
        storage.close()


def test_a_server_that_is_down_is_unreachable(sshd: Sshd, tmp_path: Path) -> None:
    error_of(sshd.settings(tmp_path, port=free_port()), StorageUnreachable)
    settings = replace(sshd.settings(tmp_path), host="no-such-machine.invalid")
    assert "no machine named" in error_of(settings, StorageUnreachable)


def test_a_server_that_is_started_again_is_found(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("sshd")
    server = start_sshd(folder)
    storage = SftpAdapter(server.settings(tmp_path))
    storage.put("object", b"x")
    stop_sshd(server)
    try:
        with pytest.raises(StorageError) as caught:
            storage.get("object")
        assert caught.value.retryable
    finally:
        server = start_sshd(folder, port=server.port)
    try:
        assert storage.get("object") == b"x"
        with pytest.raises(ObjectNotFound):
            storage.get("other")
    finally:
        storage.close()
        stop_sshd(server)
