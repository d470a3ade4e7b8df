"""Operators restore to hosts where an admin allowed it, and give no rights away there."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from flask import Flask

from core.access import restore_rights
from core.errors import Invalid, NotFound
from core.hosts import host_confirm, host_inputs, host_restoring, hosts
from core.models import Host, Job, Point
from core.points import points
from core.restores import restores
from ssh.server import Server
from tests.core.hosting import make_host
from tests.core.making import back_up, make_config, make_storage, run
from tests.servers.sshd import Sshd
from tests.sources.ssh.conftest import ordinary as ordinary


@pytest.fixture
def point(context: Flask, tmp_path: Path) -> Point:
    """Return a point of a tree with a setuid file of another user, a device and a link that leads out."""
    make_storage(tmp_path)
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "tool").write_text("#!/bin/sh\n")
    os.chown(tree / "tool", 1234, 1234)
    (tree / "tool").chmod(0o4755)
    os.setxattr(tree / "tool", "user.kept", b"yes")
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (tree / "out").symlink_to("/etc")
    config = make_config(tree)
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    return found


@pytest.fixture
def place(ordinary: Server) -> Iterator[Path]:
    """A folder that the ordinary user may reach, unlike those of pytest, with `allowed` of theirs in it."""
    with TemporaryDirectory() as found:
        folder = Path(found)
        folder.chmod(0o755)
        for name in ("allowed", "elsewhere"):
            (folder / name).mkdir()
            os.chown(folder / name, *_ids(ordinary.user))
        yield folder


def _ids(name: str) -> tuple[int, int]:
    found = pwd.getpwnam(name)
    return found.pw_uid, found.pw_gid


@pytest.fixture
def host(context: Flask, ordinary: Server, sshd: Sshd) -> Host:
    """Return a host on which Holdfast is an ordinary user."""
    form = {
        "name": "ordinary", "address": ordinary.host, "port": str(ordinary.port), "user": ordinary.user,
        "login": "password", "password": ordinary.password,
    }  # fmt: skip
    made = hosts.create(host_inputs.parse(form))
    return host_confirm.confirm(made.id, sshd.host_key_lines[:1], "tests")


def ask(point: Point, host: Host, target: Path, **more: object) -> Job:
    given = {"point_id": point.id, "target_path": str(target), "host_id": host.id, **more}
    return restores.create(restores.validate(given), limited=True)


def refused(point: Point, host: Host, target: Path, **more: object) -> list[str]:
    with pytest.raises(Invalid) as caught:
        ask(point, host, target, **more)
    return list(caught.value.fields)


def test_owners_setuid_and_devices_are_left_out(point: Point, host: Host, place: Path) -> None:
    restore_rights.set_folders([str(place / "allowed")], host.id)
    job = run(ask(point, host, place / "allowed" / "new"))
    assert job.status in ("completed", "warning"), job.summary
    restored = Path(f"{place}/allowed/new{point.paths['paths'][0]}")
    tool = (restored / "tool").stat()
    assert (tool.st_uid, stat.S_IMODE(tool.st_mode)) == (_ids(host.user)[0], 0o755)
    assert os.getxattr(restored / "tool", "user.kept") == b"yes"
    assert not (restored / "null").exists()
    assert (restored / "out").is_symlink()


def test_what_is_allowed_here_is_not_allowed_there(point: Point, host: Host, place: Path) -> None:
    restore_rights.set_folders([str(place)])
    assert refused(point, host, place / "allowed" / "new") == ["host_id"]
    restore_rights.set_folders([str(place / "allowed")], host.id)
    assert ask(point, host, place / "allowed" / "new").id
    assert restore_rights.folders() == [str(place)]


def test_nowhere_else_wherever_links_lead(point: Point, host: Host, place: Path) -> None:
    restore_rights.set_folders([str(place / "allowed")], host.id)
    (place / "allowed" / "link").symlink_to(place / "elsewhere")
    for there in (
        "elsewhere",
        "allowed-not",
        "allowed/../elsewhere",
        "allowed/link/new",
        "elsewhere/new/new",
    ):
        assert refused(point, host, place / there) == ["target_path"], there
    assert list((place / "elsewhere").iterdir()) == []


def test_an_allowed_folder_may_itself_be_reached_by_a_link(point: Point, host: Host, place: Path) -> None:
    (place / "by-link").symlink_to(place / "allowed")
    restore_rights.set_folders([str(place / "by-link")], host.id)
    assert ask(point, host, place / "allowed" / "new").id


def test_a_link_that_comes_between_leads_nowhere(point: Point, host: Host, place: Path) -> None:
    restore_rights.set_folders([str(place / "allowed")], host.id)
    (place / "allowed" / "sub").mkdir()
    os.chown(place / "allowed" / "sub", *_ids(host.user))
    job = ask(point, host, place / "allowed" / "sub" / "new")
    (place / "allowed" / "sub").rmdir()
    (place / "allowed" / "sub").symlink_to(place / "elsewhere")
    assert run(job).status == "failed"
    assert list((place / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("used", [False, True])
def test_nor_does_one_that_comes_after_the_last_look(
    point: Point, host: Host, place: Path, monkeypatch: pytest.MonkeyPatch, used: bool
) -> None:
    restore_rights.set_folders([str(place / "allowed")], host.id)
    for each in ("allowed/sub", *(["elsewhere/new", "allowed/sub/new"] if used else [])):
        (place / each).mkdir()
        os.chown(place / each, *_ids(host.user))
    if used:
        (place / "allowed" / "sub" / "new" / "something").touch()
    job, opened = ask(point, host, place / "allowed" / "sub" / "new"), host_restoring.opened

    def swap_and_open(*given: object, **more: object) -> object:
        (place / "allowed" / "sub").rename(place / "allowed" / "away")
        (place / "allowed" / "sub").symlink_to(place / "elsewhere")
        return opened(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(host_restoring, "opened", swap_and_open)
    done = run(job)
    assert (done.status, "leads elsewhere" in done.summary) == ("failed", True), done.summary
    assert [path for path in (place / "elsewhere").rglob("*") if path.name != "new"] == []


def test_a_link_within_what_is_allowed_is_gone_by(point: Point, host: Host, place: Path) -> None:
    restore_rights.set_folders([str(place / "allowed")], host.id)
    (place / "allowed" / "sub").mkdir()
    os.chown(place / "allowed" / "sub", *_ids(host.user))
    (place / "allowed" / "link").symlink_to("sub")
    job = run(ask(point, host, place / "allowed" / "link" / "new"))
    assert job.status in ("completed", "warning"), job.summary
    assert [path.name for path in (place / "allowed" / "sub").iterdir()] == ["new"]


def test_what_is_allowed_no_more_is_not_done(point: Point, host: Host, place: Path) -> None:
    restore_rights.set_folders([str(place / "allowed")], host.id)
    job = ask(point, host, place / "allowed" / "new")
    restore_rights.set_folders([], host.id)
    assert run(job).status == "failed"
    assert list((place / "allowed").iterdir()) == []


def test_where_holdfast_is_root_only_admins_restore(point: Point, sshd: Sshd, tmp_path: Path) -> None:
    root = make_host(sshd, "root")
    restore_rights.set_folders([str(tmp_path)], root.id)
    with pytest.raises(Invalid, match="on which Holdfast is root"):
        ask(point, root, tmp_path / "new")


def test_nothing_is_put_back_where_it_was(point: Point, host: Host, place: Path) -> None:
    restore_rights.set_folders(["/etc"], host.id)
    with pytest.raises(Invalid) as caught:
        restores.create(
            restores.RestoreInput(
                point_id=point.id, target_path="/etc", host_id=host.id, put_back=True, include=["L2V0Yw"]
            ),
            limited=True,
        )
    assert set(caught.value.fields) & {"put_back", "include"}


@pytest.mark.parametrize("folder", ["relative", "/", "/srv/..", "/srv/a\nb"])
def test_a_folder_that_cannot_be_is_not_allowed(host: Host, folder: str) -> None:
    with pytest.raises(Invalid) as caught:
        restore_rights.set_folders([folder], host.id)
    assert list(caught.value.fields) == ["folders"]
    with pytest.raises(NotFound):
        restore_rights.set_folders([], "nix")
