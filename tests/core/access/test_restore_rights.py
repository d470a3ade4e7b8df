"""Operators restore where an admin allowed it, and nothing that gives rights away."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from flask import Flask

from core.access import restore_rights
from core.errors import Invalid, Refused
from core.models import Job, Point
from core.points import points
from core.restores import restores
from tests.core.making import back_up, make_config, make_storage, run


@pytest.fixture
def point(context: Flask, tmp_path: Path) -> Point:
    """Return a point of a tree with a setuid file of another user, and a link that leads out."""
    make_storage(tmp_path)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "tool").write_text("#!/bin/sh\n")
    os.chown(tree / "tool", 1234, 1234)
    (tree / "tool").chmod(0o4755)
    os.mkfifo(tree / "pipe")
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tree / "out").symlink_to(tmp_path / "elsewhere")
    config = make_config(tree)
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    return found


def ask(point: Point, target: Path, *, limited: bool = True) -> Job:
    return restores.create(
        restores.validate({"point_id": point.id, "target_path": str(target)}), limited=limited
    )


def test_nothing_is_allowed_at_first(point: Point, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="No folder is allowed"):
        ask(point, tmp_path / "allowed")


@pytest.mark.parametrize("place", ["", "/sub/deep", "/../allowed/x"])
def test_below_an_allowed_folder_it_goes(point: Point, tmp_path: Path, place: str) -> None:
    restore_rights.set_folders([str(tmp_path / "allowed")])
    assert ask(point, Path(f"{tmp_path}/allowed{place}")).id


@pytest.mark.parametrize(
    "place", ["/elsewhere", "/allowed-not", "/allowed/../elsewhere", "/allowed/link", ""]
)
def test_nowhere_else(point: Point, tmp_path: Path, place: str) -> None:
    (tmp_path / "allowed").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(tmp_path / "elsewhere")
    restore_rights.set_folders([str(tmp_path / "allowed")])
    with pytest.raises(Invalid) as caught:
        ask(point, Path(f"{tmp_path}{place}"))
    assert list(caught.value.fields) == ["target_path"]


def test_to_another_machine_only_admins(point: Point, tmp_path: Path) -> None:
    restore_rights.set_folders([str(tmp_path / "allowed")])
    with pytest.raises(Invalid) as caught:
        restore_rights.check(str(tmp_path / "allowed"), "some-host")
    assert list(caught.value.fields) == ["host_id"]


def test_owners_setuid_and_devices_are_left_out(point: Point, tmp_path: Path) -> None:
    restore_rights.set_folders([str(tmp_path / "allowed")])
    job = run(ask(point, tmp_path / "allowed"))
    restored = Path(f"{tmp_path}/allowed{tmp_path}/tree")
    found = (restored / "tool").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (os.getuid(), 0o755)
    assert not (restored / "null").exists()
    assert (restored / "tool").read_text() == "#!/bin/sh\n"
    assert job.status in ("completed", "warning")


def test_an_admin_gets_all_of_it(point: Point, tmp_path: Path) -> None:
    run(ask(point, tmp_path / "anywhere", limited=False))
    found = Path(f"{tmp_path}/anywhere{tmp_path}/tree/tool").stat()
    assert (found.st_uid, stat.S_IMODE(found.st_mode)) == (1234, 0o4755)


def test_a_link_that_comes_between_leads_nowhere(point: Point, tmp_path: Path) -> None:
    """Asked for while the place was fine; by the time the job runs, it is a link out of the folder."""
    (tmp_path / "allowed").mkdir()
    (tmp_path / "elsewhere").mkdir()
    restore_rights.set_folders([str(tmp_path / "allowed")])
    job = ask(point, tmp_path / "allowed" / "later")
    (tmp_path / "allowed" / "later").symlink_to(tmp_path / "elsewhere")
    assert run(job).status == "failed"
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_what_is_allowed_no_more_is_not_done(point: Point, tmp_path: Path) -> None:
    restore_rights.set_folders([str(tmp_path / "allowed")])
    job = ask(point, tmp_path / "allowed")
    restore_rights.set_folders([])
    assert run(job).status == "failed"
    assert not (tmp_path / "allowed").exists()


@pytest.mark.parametrize("folder", ["relative", "/", "/srv/a\nb"])
def test_a_folder_that_cannot_be_is_not_allowed(context: Flask, folder: str) -> None:
    with pytest.raises(Invalid) as caught:
        restore_rights.set_folders([folder])
    assert list(caught.value.fields) == ["folders"]


def test_holdfasts_own_folders_are_not_allowed(point: Point, tmp_path: Path) -> None:
    for folder in ("data", "backups", "backups/repository"):
        with pytest.raises(Invalid):
            restore_rights.set_folders([str(tmp_path / folder)])
    assert restore_rights.folders() == []
