"""Restores to hosts: Holdfast's own data stays untouched, and what one storage lost comes from another."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from flask import Flask

from core.configs import configs
from core.db import write
from core.errors import Invalid, Refused
from core.hosts import host_here, host_inputs, host_restoring, hosts
from core.jobs import jobs
from core.models import Config, Host, Point
from core.points import points
from core.points.tokens import token_from_path
from core.restores import restores
from core.settings import Settings
from tests.core.backups.test_copying import add_disk, copy_jobs, first
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage, make_tree, run
from tests.core.restores.test_restores import spoil_pack
from tests.servers.sshd import Sshd
from tests.sources.trees import differences, needs_root


@pytest.fixture
def host(context: Flask, tmp_path: Path, sshd: Sshd) -> Host:
    make_storage(tmp_path)
    return make_host(sshd)


def backed_up(host: Host | None, tree: Path, **more: object) -> Point:
    source = {"paths": [str(tree)], "host_id": host.id if host else None}
    config = configs.create(configs.parse({"name": "Remote", "source": source, **more}))
    back_up(config.id)
    return newest(config)


def newest(config: Config) -> Point:
    found = points.latest(config.id)
    assert found is not None
    return found


def wanted(host: Host, point: Point, target: Path, **more: object) -> restores.RestoreInput:
    given = {"point_id": point.id, "target_path": str(target), "host_id": host.id, **more}
    return restores.validate(given)


@pytest.mark.parametrize("known_by", ["its address", "what it says"])
def test_what_is_ours_is_refused_on_a_host_that_is_this_machine(
    host: Host,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    known_by: str,
) -> None:
    point = backed_up(host, make_tree(tmp_path / "tree"))
    if known_by == "what it says":  # as through a tunnel, or by an address of a router
        monkeypatch.setattr(host_here, "is_own", lambda address: False)
    else:
        monkeypatch.setattr(host_here, "_boot_id", lambda: "another machine")
    for place in (Path(settings.data_dir) / "x", tmp_path / "backups", tmp_path / "backups" / "repository"):
        with pytest.raises(Invalid) as refused:
            restores.create(wanted(host, point, place))
        assert list(refused.value.fields) == ["target_path"], place
    (tmp_path / "safe").mkdir()
    assert restores.create(wanted(host, point, tmp_path / "safe" / "new")).status == "queued"


@needs_root
def test_what_is_ours_is_known_by_another_name_too(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a container, whose folders have other names on the machine that it runs on."""
    point = backed_up(host, make_tree(tmp_path / "tree"))
    monkeypatch.setattr(host_here, "is_own", lambda address: False)
    other = tmp_path / "other name"
    other.mkdir()
    subprocess.run(["mount", "--bind", tmp_path / "backups", other], check=True)
    try:
        with pytest.raises(Invalid, match="a storage that keeps backups"):
            restores.create(wanted(host, point, other / "new"))
    finally:
        subprocess.run(["umount", "--lazy", other], check=True)


def test_a_tree_that_leads_over_a_storage_is_refused(host: Host, tmp_path: Path) -> None:
    """The target is fine by itself: what is put below it is not."""
    point = backed_up(host, make_tree(tmp_path / "tree"))
    inside = Path(f"{tmp_path}/there{tmp_path}/tree")
    inside.mkdir(parents=True)
    add_disk(inside, "second")
    with pytest.raises(Invalid, match="write over a storage"):
        restores.create(wanted(host, point, tmp_path / "there"))


def test_a_storage_that_was_set_up_meanwhile_stays_untouched(host: Host, tmp_path: Path) -> None:
    point = backed_up(host, make_tree(tmp_path / "tree"))
    queued = restores.create(wanted(host, point, tmp_path / "second", conflict="replace"))
    add_disk(tmp_path, "second")
    before = sorted(each.name for each in (tmp_path / "second").iterdir())
    job = run(queued)
    assert (job.status, "a storage that keeps backups" in job.summary) == ("failed", True), job.summary
    assert sorted(each.name for each in (tmp_path / "second").iterdir()) == before


def test_files_are_not_put_back_over_a_storage(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    point = backed_up(host, tree)
    add_disk(tree / "sub", "second")
    given = {
        "point_id": point.id, "host_id": host.id, "put_back": "yes", "conflict": "replace",
        "include": [token_from_path(os.fsencode(tree / "sub"))],
    }  # fmt: skip
    with pytest.raises(Invalid) as refused:
        restores.create(restores.validate(given))
    assert list(refused.value.fields) == ["put_back"]
    given["include"] = [token_from_path(os.fsencode(tree / "sub" / "0.txt"))]
    assert restores.create(restores.validate(given)).status == "queued"


def test_which_addresses_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert host_here.is_own("127.0.0.1")
    assert host_here.is_own("localhost")
    assert host_here.is_own("0.0.0.0"), "connecting to it leads here"
    assert not host_here.is_own("192.0.2.1")
    assert not host_here.is_own("no such name.invalid")
    monkeypatch.setattr(host_here, "_binds", lambda family, place: True)  # where a kernel gives away any
    assert not host_here.is_own("192.0.2.7")
    assert host_here.is_own("127.0.0.1")


def test_a_host_that_is_renamed_or_gets_another_key_while_a_restore_waits(
    host: Host, tmp_path: Path, sshd: Sshd
) -> None:
    """The restore goes to the same machine under its new name, and to none whose key nobody confirmed."""
    point = backed_up(host, make_tree(tmp_path / "tree"))
    first, second = (restores.create(wanted(host, point, tmp_path / name)) for name in ("one", "two"))
    hosts.update(host.id, host_inputs.parse({**host_inputs.to_form(host), "name": "new name"}))
    job = run(first)
    assert job.status == "completed", job.summary
    assert Path(f"{tmp_path}/one{tmp_path}/tree/sub/0.txt").exists()
    with write() as session:  # as if the machine were another one now
        key = sshd.host_key_lines[0].split()
        session.get_one(Host, host.id).host_keys = {"lines": [f"{key[0]} {key[1][:-8]}AAAAAAAA"]}
    job = run(second)
    assert job.status == "failed", job.summary
    assert "host key" in (job.summary + job.advice).lower()
    assert not (tmp_path / "two").exists()


def test_a_host_is_not_deleted_while_a_restore_to_it_waits(host: Host, tmp_path: Path) -> None:
    local = backed_up(None, make_tree(tmp_path / "tree"))
    queued = restores.create(wanted(host, local, tmp_path / "there"))
    with pytest.raises(Refused, match=f"Job {queued.id}"):
        hosts.delete(host.id)
    jobs.request_cancel(queued.id)
    hosts.delete(host.id)
    assert restores.of_job(queued.id).host_name == "web1", "what was to be done is still told"


@pytest.fixture
def on_two(host: Host, tmp_path: Path) -> Point:
    """A point of the host on two disks, of which the first is damaged."""
    tree = make_tree(tmp_path / "tree")
    (tree / "sub" / "large").write_bytes(os.urandom(3_000_000))
    (tree / "sub" / "twin").hardlink_to(tree / "sub" / "large")
    (tree / "link").symlink_to("sub")
    places = [first(), {"repository_id": add_disk(tmp_path, "second"), "tier": "hot"}]
    point = backed_up(host, tree, destinations=places)
    run(copy_jobs()[0])
    spoil_pack(tmp_path / "backups" / "repository", data=True)
    return points.get(point.id)


@pytest.mark.parametrize("conflict", ["keep", "replace", "rename"])
def test_what_is_damaged_on_one_storage_comes_to_the_host_from_another(
    host: Host, on_two: Point, tmp_path: Path, conflict: str
) -> None:
    there = tmp_path / "there"
    job = run(restores.create(wanted(host, on_two, there, conflict=conflict)))
    assert job.status == "warning", (job.summary, job.detail)
    assert "finished from second" in job.summary
    assert "look at that storage" in job.advice
    assert (job.counts["files"], job.counts["kept"], job.counts["failed"]) == (5, 0, 0)
    arrived = Path(f"{there}{tmp_path}/tree")
    assert differences(tmp_path / "tree", arrived, links=True) == ""
    assert differences(arrived, tmp_path / "tree", links=True) == ""
    assert not list(there.rglob(".holdfast-*"))


def test_where_the_other_storage_is_damaged_too_the_rest_is_there_and_the_job_fails(
    host: Host, on_two: Point, tmp_path: Path
) -> None:
    spoil_pack(tmp_path / "second" / "repository", data=True)
    job = run(restores.create(wanted(host, on_two, tmp_path / "there")))
    assert job.status == "failed"
    assert "could not be restored" in job.summary
    assert os.readlink(f"{tmp_path}/there{tmp_path}/tree/link") == "sub"
    assert jobs.log_lines(job.id, problems_only=True).items


def test_a_cancel_between_the_two_says_that_parts_are_there(
    host: Host, on_two: Point, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = host_restoring.opened
    queued = restores.create(wanted(host, on_two, tmp_path / "there"))

    def cancel_the_second(*given: object, **more: object) -> object:
        if more["used"]:
            jobs.request_cancel(queued.id)
            raise KeyboardInterrupt
        return opened(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(host_restoring, "opened", cancel_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(queued)
    assert "at the target" in restores.half_done(queued.id, killed=True)
