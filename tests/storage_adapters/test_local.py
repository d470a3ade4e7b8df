"""What only a folder of this machine can show: durability, modes, leftovers, faults of the file system."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from storage_adapters import local
from storage_adapters.errors import PermissionDenied, StorageError, StorageFull, StorageUnavailable
from storage_adapters.local import LocalAdapter, create_root

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a tmpfs")


def test_a_missing_root_is_unavailable_and_never_made(tmp_path: Path) -> None:
    root = tmp_path / "not-mounted"
    storage = LocalAdapter(str(root))
    for call in (
        lambda: storage.put("data/x", b"x"),
        lambda: storage.get("data/x"),
        lambda: storage.stat("data/x"),
        lambda: storage.delete("data/x"),
        lambda: list(storage.list("")),
    ):
        with pytest.raises(StorageUnavailable, match="mounted"):
            call()
    assert not root.exists()


def test_create_root_makes_a_private_folder(tmp_path: Path) -> None:
    create_root(str(tmp_path / "a" / "b"))
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        create_root(str(tmp_path / "file" / "below"))


def test_files_are_read_only_and_folders_private(tmp_path: Path) -> None:
    LocalAdapter(str(tmp_path)).put("data/ab/x", b"x")
    assert stat.S_IMODE((tmp_path / "data/ab/x").stat().st_mode) == 0o400
    assert stat.S_IMODE((tmp_path / "data/ab").stat().st_mode) == 0o700


def test_leftovers_and_foreign_names_are_not_listed(tmp_path: Path) -> None:
    storage = LocalAdapter(str(tmp_path))
    storage.put("data/ab/x", b"x")
    (tmp_path / "data/ab/y-tmp-0123").write_bytes(b"half")
    (tmp_path / "data/ab/with space").write_bytes(b"foreign")
    (tmp_path / "data" / "lost+found").mkdir()
    assert [found.key for found in storage.list("")] == ["data/ab/x"]


def test_killed_while_writing_leaves_no_object(tmp_path: Path) -> None:
    """A process that dies in the middle of the write of a big object leaves at most a temporary file."""
    program = (
        "import os, sys, storage_adapters.local as local\n"
        "real = os.write\n"
        "def write(fd, data):\n"
        "    real(fd, data[:1000]); os.kill(os.getpid(), 9)\n"
        "os.write = write\n"
        "local.LocalAdapter(sys.argv[1]).put('data/ab/x', b'z' * 100000)\n"
    )
    child = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert child.returncode == -9
    assert list(LocalAdapter(str(tmp_path)).list("")) == []
    assert len(list((tmp_path / "data/ab").iterdir())) == 1, "the temporary file was being written"


@needs_root
def test_a_full_disk_leaves_the_old_object(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True)
    try:
        storage = LocalAdapter(str(tmp_path))
        storage.put("object", b"old")
        with pytest.raises(StorageFull, match="no space left"):
            storage.put("object", os.urandom(2_000_000))
        assert storage.get("object") == b"old"
        assert [entry.name for entry in tmp_path.iterdir()] == ["object"]
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@needs_root
def test_a_read_only_disk_is_denied(tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)], check=True)
    try:
        with pytest.raises(PermissionDenied):
            LocalAdapter(str(tmp_path)).put("object", b"x")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.parametrize("step", ["_write_durably", "_sync_folder"])
def test_a_root_that_goes_in_the_middle_of_a_write_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    root = tmp_path / "disk"
    root.mkdir()
    storage = LocalAdapter(str(root))
    storage.put("data/ab/x", b"x")
    real = getattr(local, step)

    def pull_first(*arguments: object) -> None:
        root.rename(tmp_path / "away")
        real(*arguments)

    monkeypatch.setattr(local, step, pull_first)
    with pytest.raises(StorageUnavailable, match="mounted"):
        storage.put("data/ab/y", b"y")
    assert not root.exists()


def test_a_file_in_place_of_the_root_is_named_as_that(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageUnavailable, match="is a file, not a folder"):
        LocalAdapter(str(tmp_path / "file")).put("data/x", b"x")


def test_an_object_and_its_folders_are_on_the_disk_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.path.relpath(os.readlink(f"/proc/self/fd/{descriptor}"), tmp_path))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    LocalAdapter(str(tmp_path)).put("data/ab/x", b"x")
    written, folder = synced[-2:]
    assert synced[:-2] == [".", "data"], "each new folder's parent"
    assert written.startswith("data/ab/x-tmp-")
    assert folder == "data/ab"
