"""Storages: nothing is used, and nothing written, without the right marker and the right repository."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core import setup
from core.alerting import alerts
from core.db import db
from core.errors import Conflict, Invalid, NotFound, Unreachable
from core.models import RepositoryRecord, Storage
from core.storages import recovery, storage_edit, storage_probe, storage_setup, storage_usage, storages
from repository.errors import WrongPassword
from repository.repository import Repository
from storage_adapters.base import StorageAdapter
from storage_adapters.local import LocalAdapter
from storage_adapters.retry import RetryPolicy


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Return the folder of the storage."""
    return tmp_path / "disk"


@pytest.fixture
def storage(context: Flask, disk: Path) -> Storage:
    """Return a storage that is set up."""
    return setup.create_first_storage(str(disk))


def files(folder: Path) -> dict[str, bytes]:
    """Return all files below a folder with their content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unmount(disk: Path) -> None:
    """Leave an empty folder in the place of the disk, as after an unmount."""
    disk.rename(disk.with_name("away"))
    disk.mkdir()


def mount(disk: Path) -> None:
    """Bring the disk back."""
    shutil.rmtree(disk)
    disk.with_name("away").rename(disk)


def no_disk(disk: Path) -> None:
    """Take the folder away with all in it."""
    disk.rename(disk.with_name("away"))


def no_marker(disk: Path) -> None:
    """Remove the marker."""
    (disk / storages.MARKER).unlink()


def other_marker(disk: Path) -> None:
    """Put in the disk of another storage."""
    (disk / storages.MARKER).unlink()
    (disk / storages.MARKER).write_text('{"storage": "another"}')


def broken_marker(disk: Path) -> None:
    """Damage the marker."""
    (disk / storages.MARKER).unlink()
    (disk / storages.MARKER).write_text("[")


def no_repository(disk: Path) -> None:
    """Empty the storage but for its marker."""
    shutil.rmtree(disk / "repository")


def other_repository(disk: Path) -> None:
    """Put another repository with the same password in its place."""
    shutil.rmtree(disk / "repository")
    (disk / "repository").mkdir()
    Repository.init(LocalAdapter(str(disk / "repository")), recovery.stored() or "", kdf=storages.KDF).close()


@pytest.mark.parametrize(
    "fault", [no_disk, unmount, no_marker, other_marker, broken_marker, no_repository, other_repository]
)
def test_what_is_not_the_one_set_up_is_unreachable_and_stays_untouched(
    storage: Storage, disk: Path, fault: Callable[[Path], None]
) -> None:
    record = storage.repositories[0]
    fault(disk)
    before = files(disk.parent / "away" if not disk.exists() else disk)
    with pytest.raises(Unreachable) as caught:
        storages.open_repository(record)
    assert str(disk) in str(caught.value)
    assert "mounted" in caught.value.advice
    assert files(disk.parent / "away" if not disk.exists() else disk) == before
    assert storages.get(storage.id).unreachable_since is not None
    (alert,) = alerts.list_open()
    assert (alert.kind, alert.storage_id) == ("unreachable", storage.id)


def test_it_is_reachable_again_when_the_disk_is_back(storage: Storage, disk: Path) -> None:
    unmount(disk)
    for _ in range(3):
        with pytest.raises(Unreachable):
            storages.open_adapter(storage)
    (alert,) = alerts.list_open()
    assert alert.count == 1
    mount(disk)
    storages.open_adapter(storage)
    assert storages.get(storage.id).unreachable_since is None
    assert storages.get(storage.id).unreachable_reason == ""
    assert alerts.list_open() == []


def test_the_row_and_the_alert_are_cleared_together(
    storage: Storage, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(session: object, subject: str) -> bool:
        raise KeyboardInterrupt

    unmount(disk)
    with pytest.raises(Unreachable):
        storages.open_adapter(storage)
    mount(disk)
    with monkeypatch.context() as patched:
        patched.setattr(alerts, "resolve_in", die)
        with pytest.raises(KeyboardInterrupt):
            storages.open_adapter(storage)
    assert storages.get(storage.id).unreachable_since is not None
    storages.open_adapter(storage)
    assert alerts.list_open() == []


def test_an_alert_closed_by_hand_opens_again_while_it_is_true(storage: Storage, disk: Path) -> None:
    unmount(disk)
    with pytest.raises(Unreachable):
        storages.open_adapter(storage)
    alerts.resolve_by_hand(alerts.list_open()[0].id)
    with pytest.raises(Unreachable):
        storages.open_adapter(storage)
    assert len(alerts.list_open()) == 1


def test_check_all_looks_at_every_storage(storage: Storage, disk: Path) -> None:
    assert storages.check_all() == []
    unmount(disk)
    assert storages.check_all() == [storage.id]
    assert storages.get(storage.id).unreachable_since is not None
    mount(disk)
    assert storages.check_all() == []
    assert alerts.list_open() == []


def test_a_changed_password_is_said_as_that(storage: Storage, disk: Path) -> None:
    shutil.rmtree(disk / "repository")
    (disk / "repository").mkdir()
    Repository.init(LocalAdapter(str(disk / "repository")), "another", kdf=storages.KDF).close()
    with pytest.raises(WrongPassword):
        storages.open_repository(storage.repositories[0])


def test_the_password_is_sealed_for_its_row(storage: Storage) -> None:
    record = storage.repositories[0]
    assert storages.password_of(record) == recovery.stored()
    assert (recovery.stored() or "?") not in record.password_sealed


def test_a_probe_leaves_nothing(storage: Storage, disk: Path) -> None:
    before = files(disk)
    assert "ms" in storage_probe.test(storage)
    assert files(disk) == before


def test_a_storage_that_cannot_be_written_fails_its_test(
    storage: Storage, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault put in by hand: to root, which tests may run as, nothing is read-only."""

    def refuse(path: str, data: bytes) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("storage_adapters.local._write_durably", refuse)
    with pytest.raises(Unreachable, match="Read-only"):
        storage_probe.test(storage)
    assert storages.get(storage.id).unreachable_since is not None


def test_usage_counts_what_lies_there(storage: Storage, disk: Path) -> None:
    assert storage_usage.of(storage).used_bytes is None
    used = storage_usage.measure(storage)
    assert used.used_bytes == sum(len(content) for content in files(disk).values())
    assert 0 < (used.free_bytes or 0) <= (used.total_bytes or 0)
    (disk / "repository" / "more").write_bytes(b"x" * 1000)
    assert storage_usage.of(storage).used_bytes == used.used_bytes
    assert storage_usage.measure(storage).used_bytes == used.used_bytes + 1000


def test_local_roots_are_named(storage: Storage, disk: Path) -> None:
    assert storages.local_roots() == [str(disk)]


def test_a_second_storage_gets_its_own_marker_and_repository(
    storage: Storage, disk: Path, tmp_path: Path
) -> None:
    other = storage_setup.create_local("Second", str(tmp_path / "second"), recovery.stored() or "")
    assert other.marker_id != storage.marker_id
    assert other.repositories[0].repository_id != storage.repositories[0].repository_id
    assert [one.name for one in storages.list_all()] == ["Local disk", "Second"]
    assert storages.list_repositories()[0].id == storage.repositories[0].id


@pytest.mark.parametrize("place", ["", "/below", "/.."])
def test_storages_do_not_overlap(storage: Storage, disk: Path, place: str) -> None:
    with pytest.raises(Invalid):
        storage_setup.create_local("Second", f"{disk}{place}", "some password")


def test_a_taken_name_is_a_conflict(storage: Storage, tmp_path: Path) -> None:
    with pytest.raises(Conflict):
        storage_setup.create_local("Local disk", str(tmp_path / "second"), "some password")
    assert not (tmp_path / "second").exists()


def test_what_does_not_exist_is_not_found(context: Flask) -> None:
    for call in (lambda: storages.get("x"), lambda: storages.get_repository("x")):
        with pytest.raises(NotFound):
            call()
    assert db.session.scalars(select(RepositoryRecord)).all() == []


def test_a_storage_that_is_deleted_while_the_others_are_looked_at_harms_nothing(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever has its turn after it is still looked at, and so measured."""
    for name in ("A", "B", "C"):
        storage_setup.create_local(name, str(tmp_path / name), recovery.stored() or "")
    ids = {each.name: each.id for each in storages.list_all()}
    (tmp_path / "C").rename(tmp_path / "away")
    looked = storages.open_adapter

    def look(one: Storage, policy: RetryPolicy | None = None) -> StorageAdapter:
        found = looked(one, policy)
        if one.name == "A" and len(storages.list_all()) == 4:
            storage_edit.delete(ids["B"])
        return found

    monkeypatch.setattr(storages, "open_adapter", look)
    assert storages.check_all() == [ids["C"]]


def test_one_that_is_deleted_while_the_others_are_listed_harms_nothing(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("A", "B", "C"):
        storage_setup.create_local(name, str(tmp_path / name), recovery.stored() or "")
    ids = {each.name: each.id for each in storages.list_all()}
    listed = storage_usage.measure

    def measure(one: Storage) -> storage_usage.Usage:
        found = listed(one)
        if one.name == "A":
            storage_edit.delete(ids["B"])
        return found

    monkeypatch.setattr(storage_usage, "measure", measure)
    storage_usage.measure_all()
    assert storages.get(ids["C"]).used_bytes is not None
