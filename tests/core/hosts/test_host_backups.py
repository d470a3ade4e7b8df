"""Configs on a host: backed up with the parent point, previewed, restored to it; what goes wrong is told."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from core.alerting import alerts
from core.backups import safety_backup
from core.configs import configs
from core.db import write
from core.errors import Invalid
from core.hosts import host_confirm, host_inputs, host_limits, host_restoring, host_source, host_test, hosts
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Host, Job, Point
from core.points import points
from core.points.tokens import token_from_path
from core.restores import restores
from sources.ssh import patience
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage, make_tree, run
from tests.ports import free_port
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.servers.tcp_wire import wire_to
from tests.sources.ssh.busybox import start_busybox
from tests.sources.trees import needs_root


@pytest.fixture
def host(context: Flask, tmp_path: Path, sshd: Sshd) -> Host:
    make_storage(tmp_path)
    return make_host(sshd)


def make_config(host: Host, folder: Path, name: str = "Remote", **source: Any) -> Config:
    return configs.create(
        configs.ConfigInput(name=name, source={"paths": [str(folder)], "host_id": host.id, **source})
    )


def ended(job: Job, status: str = "completed") -> Job:
    assert job.status == status, (job.status, job.summary, job.detail)
    return job


def newest(config: Config) -> Point:
    found = points.latest(config.id)
    assert found is not None
    return found


def restore_to(host: Host, point: Point, target: Path, **more: Any) -> Job:
    given = {"point_id": point.id, "target_path": str(target), "host_id": host.id, **more}
    return run(restores.create(restores.validate(given)))


def test_a_host_is_backed_up_and_only_changes_are_read_again(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    config = make_config(host, tree)
    ended(back_up(config.id))
    point = newest(config)
    assert point.files == 3
    assert point.hostname == socket.gethostname()
    assert point.paths == {"paths": [str(tree)]}
    (tree / "sub" / "new.txt").write_text("new")
    second = ended(back_up(config.id))
    assert second.counts["files_new"] == 1
    assert second.counts["files_unmodified"] == 3
    assert newest(config).parent_snapshot == point.copies[0].snapshot_id
    assert f"of {host.name}" in jobs.log_lines(second.id).items[0].message


def test_it_is_restored_to_the_host_into_a_new_folder(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    config = make_config(host, tree)
    back_up(config.id)
    job = ended(restore_to(host, newest(config), tmp_path / "there"))
    assert f"to web1:{tmp_path}/there" in job.summary
    assert (Path(f"{tmp_path}/there{tree}") / "sub" / "1.txt").read_text() == "content 1\n" * 100
    assert restores.of_job(job.id).target == f"web1:{tmp_path}/there"
    (tmp_path / "link").symlink_to(tmp_path)
    for place in (tree / "sub" / "1.txt", tmp_path / "not" / "there", Path("/"), tmp_path / "link"):
        with pytest.raises(Invalid) as refused:
            restore_to(host, newest(config), place)
        assert list(refused.value.fields) == ["target_path"], place


def test_in_a_folder_that_is_in_use_the_rule_decides(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    config = make_config(host, tree)
    back_up(config.id)
    there = tmp_path / "there"
    restore_to(host, newest(config), there)
    changed = Path(f"{there}{tree}") / "sub" / "1.txt"
    changed.write_text("changed there")
    (there / "other").write_text("not ours")
    kept = ended(restore_to(host, newest(config), there), "warning")
    assert "3 files that stood there already were kept" in kept.summary
    assert changed.read_text() == "changed there"
    ended(restore_to(host, newest(config), there, conflict="replace"))
    assert changed.read_text() == "content 1\n" * 100
    changed.write_text("changed there")
    renamed = ended(restore_to(host, newest(config), there, conflict="rename"))
    assert "beside those already there" in renamed.summary
    assert changed.read_text() == "changed there"
    assert (there / "other").read_text() == "not ours"
    assert sorted(each.name for each in there.iterdir()) == ["other", tree.parts[1]]


def test_what_changed_on_the_host_since_the_safety_backup_is_not_replaced(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    config = make_config(host, tree)
    back_up(config.id)
    file = tree / "sub" / "1.txt"
    file.write_text("broken")
    given = {
        "point_id": newest(config).id, "host_id": host.id, "put_back": "yes", "conflict": "replace",
        "include": [restores_token(tree / "sub")],
    }  # fmt: skip
    queued = restores.create(restores.validate(given))
    ended(run(jobs.get(restores.safety_job_of(queued) or 0)))
    file.write_text("edited meanwhile")
    job = ended(run(jobs.get(queued.id)), "failed")
    assert f"{file} has changed since the safety backup" in job.summary
    assert file.read_text() == "edited meanwhile"


def test_chosen_files_are_put_back_after_a_safety_backup(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = make_tree(tmp_path / "tree")
    config = make_config(host, tree)
    back_up(config.id)
    point, file = newest(config), tree / "sub" / "1.txt"
    file.write_text("broken")
    (tree / "sub" / "new.txt").write_text("new")
    given = {
        "point_id": point.id, "host_id": host.id, "put_back": "yes", "conflict": "replace",
        "include": [restores_token(file)],
    }  # fmt: skip
    queued = restores.create(restores.validate(given))
    early = run(queued)
    assert (early.status, early.phase) == ("queued", "waiting")
    assert file.read_text() == "broken"
    safety = restores.safety_job_of(early)
    assert safety is not None
    ended(run(jobs.get(safety)))
    jobs.hasten(queued.id)
    job = ended(run(jobs.get(queued.id)))
    assert f"to web1:{tree}/sub" in job.summary
    assert file.read_text() == "content 1\n" * 100
    assert sorted(each.name for each in (tree / "sub").iterdir()) == ["0.txt", "1.txt", "2.txt", "new.txt"]
    assert newest(config).files == 4, "the safety backup has what stood there"
    data = configs.to_input(configs.get(config.id)).model_dump()
    configs.update(config.id, configs.parse({**data, "source": {**data["source"], "exclude": ["1.txt"]}}))
    queued = restores.create(restores.validate(given))
    ended(run(jobs.get(restores.safety_job_of(queued) or 0)))
    refused_job = ended(run(jobs.get(queued.id)), "failed")
    assert "does not hold" in refused_job.summary
    file.write_text("in no backup now")
    queued = restores.create(restores.validate({**given, "include": [restores_token(tree / "sub")]}))
    ended(run(jobs.get(restores.safety_job_of(queued) or 0)))
    folder_job = ended(run(jobs.get(queued.id)), "failed")
    assert f"does not hold {file}" in folder_job.summary, (
        "the folder is in the safety backup, this file is not"
    )
    assert file.read_text() == "in no backup now"
    monkeypatch.setattr(safety_backup, "GOOD_FOR", timedelta(seconds=-1))
    jobs_later = restores.create(restores.validate(given))
    ended(run(jobs.get(restores.safety_job_of(jobs_later) or 0)))
    assert "too old" in ended(run(jobs.get(jobs_later.id)), "failed").summary
    for wrong in (
        {"include": []},
        {"include": [restores_token(Path("/"))]},
        {"include": [restores_token(Path("/etc")), restores_token(Path("/srv/x"))]},
        {"host_id": None},
    ):
        with pytest.raises(Invalid) as refused:
            restores.create(restores.validate({**given, **wrong}))
        assert list(refused.value.fields) == ["put_back"], wrong


def found(wanted: dict[str, str | int]) -> host_restoring.Look:
    seen = restores.check_place(restores.validate(wanted)).seen
    assert seen is not None
    return seen


def test_over_sftp_alone_files_come_back_one_by_one(host: Host, sshd: Sshd, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    poor = make_host(sshd, "poor", private_key=sshd.sftp_only_key.read_text())
    config = make_config(poor, tree)
    ended(back_up(config.id))
    wanted = {"point_id": newest(config).id, "target_path": str(tmp_path / "there"), "host_id": poor.id}
    seen = found(wanted)
    assert seen.by_parts
    assert not seen.used
    assert "one by one" in seen.notes[0]
    job = restore_to(poor, newest(config), tmp_path / "there")
    assert job.status in ("completed", "warning"), job.summary
    assert (Path(f"{tmp_path}/there{tree}") / "sub" / "1.txt").read_text() == "content 1\n" * 100
    assert found(wanted).used
    wanted["target_path"] = str(tmp_path / "not" / "there")
    with pytest.raises(Invalid, match="no folder"):
        found(wanted)


def test_a_preview_counts_on_the_host(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / "left.tmp").write_text("x")
    source = {"paths": [str(tree)], "host_id": host.id, "exclude": ["*.tmp"]}
    found = configs.preview(configs.ConfigInput(name="x", source=source))
    assert isinstance(found, host_source.HostPreview)
    assert found.host == "web1"
    assert found.counted is not None
    assert (found.counted.files, found.counted.complete) == (3, True)
    source["paths"] = [str(tree / "nowhere")]
    with pytest.raises(Invalid) as refused:
        configs.preview(configs.ConfigInput(name="x", source=source))
    assert list(refused.value.fields) == ["paths"]


def test_a_preview_ends_in_time(host: Host, tmp_path: Path) -> None:
    source = configs.ConfigInput(name="x", source={"paths": ["/usr"], "host_id": host.id}).source
    found = host_source.preview(source, limit_s=0.0)  # type: ignore[arg-type]
    assert found.counted is None


def test_folders_of_a_host_can_be_chosen(host: Host, tmp_path: Path) -> None:
    for name in ("one", ".hidden", "two words", "new\nline"):
        (tmp_path / "tree" / name).mkdir(parents=True)
    (tmp_path / "tree" / "link").symlink_to("one")
    (tmp_path / "tree" / "file").touch()
    found = host_source.folders(host.id, str(tmp_path / "tree"))
    assert sorted(found) == [".hidden", "new\nline", "one", "two words"]


def test_what_cannot_be_kept_is_told_once_and_stays_with_the_point(
    context: Flask, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_storage(tmp_path)
    server = start_busybox(tmp_path_factory.mktemp("busybox"))
    try:
        config = make_config(make_host(server, "box"), make_tree(tmp_path / "tree"))
        job = ended(back_up(config.id))
        assert any("getfattr" in limit for limit in newest(config).limits["limits"])
        told = [line for line in jobs.log_lines(job.id).items if "getfattr" in line.message]
        assert len(told) == 1
    finally:
        stop_sshd(server)


def test_our_own_folders_are_never_read_over_the_loopback(host: Host, tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    config = make_config(host, tmp_path)
    job = ended(back_up(config.id))
    said = " ".join(line.message for line in jobs.log_lines(job.id).items)
    assert f"Left out, as always: {tmp_path}/data" in said
    assert f"Left out, as always: {tmp_path}/backups" in said
    assert newest(config).files == 3


def test_another_host_key_fails_the_job_and_says_what_to_do(host: Host, tmp_path: Path) -> None:
    config = make_config(host, make_tree(tmp_path / "tree"))
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    host_confirm.confirm(host.id, [other], "tests")
    job = ended(back_up(config.id), "failed")
    assert job.summary.startswith("Web1: ") or job.summary.startswith("web1: ")
    assert "another host key" in job.summary
    assert "compare" in job.advice
    (alert,) = alerts.list_open(config_id=config.id)
    assert alert.advice == job.advice
    assert hosts.state_of(hosts.get(host.id)) == "failing"
    assert points.latest(config.id) is None


def test_a_host_that_is_away_fails_the_job_and_comes_back(host: Host, tmp_path: Path, sshd: Sshd) -> None:
    config = make_config(host, make_tree(tmp_path / "tree"))
    away(host, free_port())
    job = ended(back_up(config.id), "failed")
    assert "no connection" in job.summary
    assert "test it on its page" in job.advice
    assert hosts.get(host.id).trouble_since is not None
    away(host, sshd.port)
    ended(back_up(config.id))
    assert hosts.state_of(hosts.get(host.id)) != "failing"
    assert alerts.list_open(config_id=config.id) == []


def away(host: Host, port: int) -> None:
    """Let the host be at another port."""

    with write() as session:
        session.get_one(Host, host.id).port = port


def test_a_locked_account_fails_the_job(host: Host, tmp_path: Path, sshd: Sshd) -> None:
    config = make_config(host, make_tree(tmp_path / "tree"))

    with write() as session:
        session.get_one(Host, host.id).user = "nobody-of-that-name"
    job = ended(back_up(config.id), "failed")
    assert "does not let nobody-of-that-name in" in job.summary
    assert "not locked" in job.advice


def test_a_missing_folder_is_no_trouble_of_the_host(host: Host, tmp_path: Path) -> None:
    config = make_config(host, tmp_path / "nowhere")
    job = ended(back_up(config.id), "failed")
    assert "does not exist" in job.summary
    assert hosts.get(host.id).trouble == ""


def test_a_host_that_is_lost_in_the_middle_makes_no_point_and_the_next_run_goes_on(
    host: Host, tmp_path: Path, sshd: Sshd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "WAITS_S", (0.0,))
    tree = make_tree(tmp_path / "tree")
    (tree / "large").write_bytes(os.urandom(20_000_000))
    config = make_config(host, tree)
    with wire_to(sshd.port) as wire:
        away(host, wire.port)
        wire.cut_after(down=8_000_000, for_good=True)
        job = ended(back_up(config.id), "failed")
        assert wire.cuts
    assert "web1" in job.summary.lower()
    assert "run the job again" in job.advice
    assert points.latest(config.id) is None
    away(host, sshd.port)
    ended(back_up(config.id))


def test_a_cut_restore_leaves_nothing(host: Host, tmp_path: Path, sshd: Sshd) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / "large").write_bytes(os.urandom(20_000_000))
    config = make_config(host, tree)
    back_up(config.id)
    with wire_to(sshd.port) as wire:
        away(host, wire.port)
        given = {"point_id": newest(config).id, "target_path": str(tmp_path / "there"), "host_id": host.id}
        queued = restores.create(restores.validate(given))
        wire.cut_after(up=5_000_000)
        job = ended(run(queued), "failed")
    assert "broke" in job.summary
    assert "run the job again" in job.advice
    assert not [each for each in tmp_path.iterdir() if each.name.startswith("there")]


@needs_root
def test_a_full_disk_at_restore_is_said_and_leaves_nothing(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tree / "large").write_bytes(os.urandom(4_000_000))
    config = make_config(host, tree)
    back_up(config.id)
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=True)
    try:
        with pytest.raises(Invalid, match="are needed"):
            restore_to(host, newest(config), disk / "there")
        large = {"include": [restores_token(tree / "large")]}
        job = ended(restore_to(host, newest(config), disk / "there", **large), "failed")
        assert "no space left" in job.summary.lower()
        assert "Make room" in job.advice
        assert list(disk.iterdir()) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def restores_token(path: Path) -> str:

    return token_from_path(os.fsencode(path))


def test_so_many_jobs_work_on_a_host_and_no_more(host: Host, tmp_path: Path) -> None:

    hosts.update(host.id, host_inputs.parse({**host_inputs.to_form(host), "parallel_jobs": "1"}))
    tree = make_tree(tmp_path / "tree")
    first, second = make_config(host, tree, "First"), make_config(host, tree, "Second")
    running = attempts.claim(jobs.create_backup(first.id, "manual").id)
    assert running is not None

    host_limits.take_place(running, host.id)
    waiting = run(jobs.create_backup(second.id, "manual"))
    assert (waiting.status, waiting.phase) == ("queued", "waiting")
    assert "web1 is busy" in waiting.waiting_reason
    job_kinds.perform(running)
    jobs.hasten(waiting.id)
    ended(run(jobs.get(waiting.id)))


def test_a_cancelled_restore_to_a_host_says_that_nothing_is_left(host: Host, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    config = make_config(host, tree)
    back_up(config.id)
    given = {"point_id": newest(config).id, "target_path": str(tmp_path / "there"), "host_id": host.id}
    job = restores.create(restores.validate(given))
    attempt = attempts.claim(job.id)
    assert attempt is not None
    attempt.cancelled.set()
    job_kinds.perform(attempt)
    ended(jobs.get(job.id), "cancelled")
    assert "Nothing was restored to web1:" in jobs.get(job.id).meaning
    assert not (tmp_path / "there").exists()


@contextmanager
def host_with(folder: Path, name: str, script: str) -> Iterator[Sshd]:
    """A server on which one program is another one."""
    (folder / "tools").mkdir()
    (folder / "tools" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "tools" / name).chmod(0o755)
    server = start_sshd(folder, environment=f"PATH={folder}/tools:{os.environ['PATH']}")
    try:
        yield server
    finally:
        stop_sshd(server)


def test_sudo_that_asks_for_a_password_fails_the_job(
    context: Flask, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make_storage(tmp_path)
    script = "echo 'sudo: a password is required' >&2; exit 1"
    with host_with(tmp_path_factory.mktemp("no-sudo"), "sudo", script) as server:
        host = make_host(server, "strict", sudo="yes")
        config = make_config(host, make_tree(tmp_path / "tree"))
        job = ended(back_up(config.id), "failed")
        tested = host_test.test(host.id)
    assert "a password is required" in job.summary
    assert "sudo without a password" in job.advice
    assert "sudo" in hosts.get(host.id).trouble
    assert tested.failed is not None
    assert tested.failed.name == "Become root"


def test_owners_that_the_login_cannot_set_are_told_once(
    context: Flask, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The host says that we are somebody else than who owns the files."""
    make_storage(tmp_path)
    with host_with(tmp_path_factory.mktemp("somebody"), "id", "echo 4321") as server:
        somebody = make_host(server, "somebody")
        config = make_config(somebody, make_tree(tmp_path / "tree"))
        back_up(config.id)
        job = ended(restore_to(somebody, newest(config), tmp_path / "there"), "warning")
    assert job.problems == 1
    assert "sudo" in job.advice
    (line,) = jobs.log_lines(job.id, problems_only=True).items
    assert "the owner is not restored" in line.message
