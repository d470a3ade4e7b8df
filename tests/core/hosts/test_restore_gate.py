"""Restores through a gate: a key of its own, which makes new folders in one folder and does nothing else."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from core.configs import configs
from core.db import db
from core.errors import Invalid
from core.hosts import gate_keys, host_gate, host_restoring, hosts
from core.models import Host, Job, JobLog, Point
from core.points import points
from core.restores import restores
from tests.core.gating import Gated, gated_server, let_in
from tests.core.hosting import make_host
from tests.core.making import back_up, make_storage, run
from tests.sources.trees import needs_root

pytestmark = needs_root


@pytest.fixture(scope="module")
def gated() -> Iterator[Gated]:
    with gated_server() as found:
        yield found


@pytest.fixture
def host(context: Flask, tmp_path: Path, gated: Gated) -> Host:
    make_storage(tmp_path)
    return make_host(gated.sshd, user=gated.user, private_key=gated.key.read_text())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "a root's"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def gate(tmp_path: Path, root: Path) -> Path:
    """The gate itself, as root would run it."""
    file = tmp_path / "gate"
    file.write_text(host_gate.restore_script(str(root)))
    file.chmod(0o755)
    return file


def a_point(host: Host, tree: Path) -> Point:
    config = configs.create(
        configs.ConfigInput(name="Gated", source={"paths": [str(tree)], "host_id": host.id})
    )
    back_up(config.id)
    found = points.latest(config.id)
    assert found is not None
    return found


def wanted(host: Host, point: Point, target: Path) -> restores.RestoreInput:
    return restores.validate({"point_id": point.id, "target_path": str(target), "host_id": host.id})


def make_odd_tree(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a\nname").write_text("content")
    os.chown(folder / "sub" / "a\nname", 1234, 2345)
    os.utime(folder / "sub" / "a\nname", (1_000_000_000, 1_000_000_000))
    (folder / "program").write_text("#!/bin/sh\n")
    (folder / "program").chmod(0o4755)
    (folder / "link").symlink_to("/etc/shadow")
    with open(folder / "holes", "wb") as file:
        file.truncate(3_000_000)
    return folder


def test_a_restore_says_which_key_is_missing_and_goes_through_it_then(
    host: Host, gated: Gated, tmp_path: Path, root: Path
) -> None:
    tree = make_odd_tree(tmp_path / "tree")
    point = a_point(host, tree)
    with pytest.raises(Invalid, match=f"lacks a restore key for {root}"):
        restores.create(wanted(host, point, root / "back"))
    key = gate_keys.make_for_restores(host.id, str(root))
    gate_keys.test_all(host.id)
    assert gate_keys.get(host.id, key.id).trouble, "its line is nowhere yet"
    with pytest.raises(Invalid, match="cannot be used"):
        restores.create(wanted(host, point, root / "back"))
    let_in(gated, key)
    gate_keys.test_all(host.id)
    assert gate_keys.get(host.id, key.id).trouble == ""
    seen = restores.check_place(wanted(host, point, root / "back")).seen
    assert seen is not None
    assert (seen.gated, seen.by_parts, seen.used) == (True, False, False)
    job = run(restores.create(wanted(host, point, root / "back")))
    back = Path(f"{root}/back{tree}")
    assert (job.status, "setuid" in logged(job)) == ("warning", True), job.summary
    odd = back / "sub" / "a\nname"
    assert (odd.read_text(), odd.stat().st_uid, odd.stat().st_mtime) == ("content", 1234, 1_000_000_000)
    assert (back / "holes").stat().st_size == 3_000_000
    assert (back / "holes").stat().st_blocks * 512 < 1_000_000
    assert stat.S_IMODE((back / "program").stat().st_mode) == 0o755
    assert os.readlink(back / "link") == "/etc/shadow"
    assert [each.name for each in root.iterdir()] == ["back"], "nothing of its own is left"
    with pytest.raises(Invalid, match="makes new folders only"):
        restores.create(wanted(host, point, root / "back"))
    (root / "empty").mkdir()
    with pytest.raises(Invalid, match="there already, be it empty"):
        restores.create(wanted(host, point, root / "empty"))
    with pytest.raises(Invalid, match=f"or name a new folder right in {root}"):
        restores.create(wanted(host, point, root / "back" / "deeper"))


def logged(job: Job) -> str:
    found = db.session.scalars(select(JobLog).where(JobLog.job_id == job.id))
    return " ".join(line.message for line in found)


def test_who_may_do_more_needs_no_key(context: Flask, gated: Gated, tmp_path: Path, root: Path) -> None:
    """Nothing is lost on the way of a login that is root already."""
    make_storage(tmp_path)
    host = make_host(gated.sshd)
    gate_keys.make_for_restores(host.id, str(root))
    seen = host_restoring.look(host.id, str(root / "back"), [])
    assert (seen.gated, seen.owners_kept) == (False, True)


def test_what_cannot_be_a_root(host: Host) -> None:
    for place in (
        "/",
        "/etc",
        "/etc/cron.d",
        "/usr/lib/x",
        "//",
        "/srv/../etc",
        "srv",
        "/srv/a\nb",
        "/root",
        "",
    ):
        with pytest.raises(Invalid):
            gate_keys.make_for_restores(host.id, place)
    made = gate_keys.make_for_restores(host.id, "/srv//restored/")
    assert made.place == "/srv/restored"
    with pytest.raises(Invalid, match="already"):
        gate_keys.make_for_restores(host.id, "/srv/restored")
    assert "PRIVATE" not in made.credentials_sealed + repr(made)
    hosts.delete(host.id)
    assert gate_keys.of_host(host.id) == []


def test_a_restore_that_is_cut_leaves_nothing(host: Host, gated: Gated, root: Path) -> None:
    key = gate_keys.make_for_restores(host.id, str(root))
    let_in(gated, key)
    with host_restoring.opened(host.id, str(root / "back"), used=False, rule="keep", gated=True) as target:
        target.start_dir(b"/some")
        assert len(list(root.iterdir())) == 1
        target.flush()  # else the block's end would be one
    assert [each.name for each in root.iterdir()] == ["back"]
    with pytest.raises(KeyError):
        _break_off(host, str(root / "cut"))
    assert wait_for_one(root) == ["back"]


def _break_off(host: Host, place: str) -> None:
    with host_restoring.opened(host.id, place, used=False, rule="keep", gated=True) as target:
        target.start_dir(b"/some")
        raise KeyError


def wait_for_one(root: Path) -> list[str]:
    """The gate clears up by itself, once it has noticed."""
    until = time.monotonic() + 60
    while len(names := [each.name for each in root.iterdir()]) > 1 and time.monotonic() < until:
        time.sleep(0.02)
    return names


def asked(word: str, name: str = "-") -> bytes:
    return f"{word} {name} ".encode().ljust(127) + b"."


def through(gate: Path, data: bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {"PATH": "/usr/bin:/bin", **environment}
    return subprocess.run([gate], input=data, capture_output=True, env=env, timeout=240, check=False)


def stream(*members: tarfile.TarInfo, content: bytes = b"") -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)
    return data.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.mode = kind, link, mode
    return found


@pytest.mark.parametrize(
    "request_",
    [
        b"",
        b"restore",
        asked("restore", "../out"),
        asked("restore", "."),
        asked("restore", ".ssh"),
        asked("restore", "-rf"),
        asked("restore", "a/b"),
        asked("restore", "$(touch${IFS}ran)"),
        asked("restore", "`id`"),
        asked("restore", ";id"),
        asked("restore", "*"),
        asked("read", "/etc/shadow"),
        asked("sh", "-c"),
        asked("keep"),
        asked("measure"),
        b"restore a\nb ".ljust(127) + b".",
        b"restore a\0b ".ljust(127) + b".",
        b"restore " + "é".encode() + b" ".ljust(117) + b".",
        b"x" * 1_000_000,
        b"restore " + b"a" * 1_000_000,
    ],
)
def test_no_odd_request_does_anything(gate: Path, root: Path, tmp_path: Path, request_: bytes) -> None:
    before = sorted(tmp_path.rglob("*"))
    done = through(gate, request_ + stream(member("file")))
    assert (done.returncode, done.stdout) == (69, b""), done.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "members",
    [
        [member("../out")],
        [member("/tmp/../out")],
        [member("sub/../../../out")],
        [member("away", tarfile.SYMTYPE, "../.."), member("away/out")],
        [member("away", tarfile.SYMTYPE, "{root}/.."), member("away/out")],
        [
            member("here", tarfile.SYMTYPE, "."),
            member("here/up", tarfile.SYMTYPE, ".."),
            member("here/up/out"),
        ],
        [member("hard", tarfile.LNKTYPE, "{root}/theirs"), member("hard")],
        [member("hard", tarfile.LNKTYPE, "../../theirs")],
    ],
)
def test_no_stream_writes_elsewhere_or_reaches_what_is_there(
    gate: Path, root: Path, tmp_path: Path, members: list[tarfile.TarInfo]
) -> None:
    (root / "theirs").write_text("as it was")
    before = sorted(tmp_path.rglob("*"))
    for each in members:
        each.linkname = each.linkname.replace("{root}", str(root))
    through(gate, asked("restore", "new") + stream(*members) + asked("keep"))
    after = [path for path in sorted(tmp_path.rglob("*")) if path not in before]
    assert all(path == root / "new" or root / "new" in path.parents for path in after), after
    assert ((root / "theirs").read_text(), (root / "theirs").stat().st_nlink) == ("as it was", 1)


def test_it_tidies_no_file_that_a_link_leads_to(gate: Path, root: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "file").write_text("as it was")
    tree = stream(member("away", tarfile.SYMTYPE, str(theirs)), member("mine"))
    for name in (
        b"-./away/file",
        b"-./../../theirs/file",
        b"+./away/file",
        b"-" + os.fsencode(theirs / "file"),
    ):
        named = name + b"\0"
        data = asked("restore", "new") + tree + asked("tidy", str(len(named))) + named + asked("keep")
        done = through(gate, data)
        assert b"code 0\n" in done.stdout, done
        assert (theirs / "file").read_text() == "as it was", name
        subprocess.run(["rm", "-rf", root / "new"], check=True)
    data = asked("restore", "new") + tree + asked("tidy", "8") + b"-./mine\0" + asked("keep")
    assert through(gate, data).stdout.endswith(b"kept\n")
    assert [each.name for each in (root / "new").iterdir()] == ["away"]


@pytest.mark.parametrize("length", ["99999999999", "-1", "1x", "1;id"])
def test_no_odd_length_is_taken(gate: Path, root: Path, length: str) -> None:
    done = through(gate, asked("restore", "new") + stream(member("a")) + asked("tidy", length))
    assert done.returncode in (65, 75)
    assert list(root.iterdir()) == []


def test_nothing_that_gives_rights_away_gets_a_name(gate: Path, root: Path) -> None:
    tree = stream(
        member("program", mode=0o6755),
        member("folder", tarfile.DIRTYPE, mode=0o2777),
        member("disk", tarfile.BLKTYPE),
        member("null", tarfile.CHRTYPE),
    )
    assert through(gate, asked("restore", "new") + tree + asked("keep")).stdout.endswith(b"kept\n")
    modes = {each.name: oct(each.stat().st_mode) for each in (root / "new").iterdir()}
    assert modes == {"program": "0o100755", "folder": "0o40777"}


def test_nothing_of_the_environment_is_run(gate: Path, root: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("tar", "find", "mv", "dd", "tr", "df", "mktemp"):
        (trap / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (trap / name).chmod(0o755)
    action = f"--checkpoint=1 --checkpoint-action=exec='touch {tmp_path}/ran'"
    done = through(
        gate,
        asked("restore", "new") + stream(member("a")) + asked("keep"),
        PATH=f"{trap}:/usr/bin:/bin",
        TAR_OPTIONS=action,
        IFS="e",
        LC_ALL="de_DE.UTF-8",
        TMPDIR=str(trap),
        CDPATH="/etc",
        SSH_ORIGINAL_COMMAND="id",
        ENV=str(trap / "tar"),
        BASH_ENV=str(trap / "tar"),
    )
    assert done.stdout.endswith(b"kept\n"), done
    assert not (tmp_path / "ran").exists()
    assert [each.name for each in root.iterdir()] == ["new"]


def test_a_root_that_others_may_change_is_refused(gate: Path, root: Path, tmp_path: Path) -> None:
    def refused() -> bytes:
        done = through(gate, asked("restore", "new") + stream(member("a")) + asked("keep"))
        assert (done.returncode, done.stdout) == (69, b"")
        return done.stderr

    root.chmod(0o777)
    assert b"others than root may change" in refused()
    root.chmod(0o755)
    os.chown(tmp_path, 1234, -1)
    assert b"others than root may change" in refused()
    os.chown(tmp_path, 0, -1)
    root.rename(tmp_path / "moved")
    root.symlink_to(tmp_path / "moved")
    assert b"a link leads there" in refused()
    root.unlink()
    assert b"there is no folder" in refused()


@pytest.mark.parametrize("kind", ["file", "link", "used", "empty"])
def test_what_stands_there_stays(gate: Path, root: Path, kind: str) -> None:
    place = root / "new"
    if kind == "file":
        place.write_text("theirs")
    elif kind == "link":
        place.symlink_to("/nowhere")
    else:
        (place / "more" if kind == "used" else place).mkdir(parents=True)
    before = place.lstat()  # reading a link changes when it was read
    done = through(gate, asked("restore", "new") + stream(member("a")) + asked("keep"))
    after = place.lstat()
    assert (done.returncode, after.st_ino, after.st_ctime_ns) == (69, before.st_ino, before.st_ctime_ns)


def test_files_that_tar_left_unread_are_no_requests(gate: Path, root: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    told = "case $1 in --version) exec /usr/bin/tar --version ;; esac"
    (tools / "tar").write_text(f"#!/bin/sh\n{told}\ndd bs=1 count=512 >/dev/null 2>&1; kill -9 $$\n")
    (tools / "tar").chmod(0o755)
    gate.write_text(gate.read_text().replace("PATH=/usr/sbin:", f"PATH={tools}:/usr/sbin:", 1))
    done = through(gate, asked("restore", "new") + bytes(512) + asked("keep"))
    assert (done.returncode, done.stdout.endswith(b"code 137\n")) == (1, True), done
    assert list(root.iterdir()) == []


def test_it_takes_no_arguments(gate: Path) -> None:
    done = subprocess.run([gate, "restore"], capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (64, b"")


def test_a_machine_without_gnu_tar_is_told_so(gate: Path, tmp_path: Path) -> None:
    """BusyBox's shell and tools run the gate itself, and say what they lack."""
    tools = tmp_path / "busybox"
    tools.mkdir()
    subprocess.run(["busybox", "--install", "-s", tools], check=True)
    gate.write_text(gate.read_text().replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"PATH={tools}", 1))
    done = subprocess.run(
        ["busybox", "sh", gate], input=asked("restore", "new"), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"needs GNU tar" in done.stderr
