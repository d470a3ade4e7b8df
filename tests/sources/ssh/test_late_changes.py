"""What comes to a place on a host, or changes there, while a restore to it runs: the rule decides."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from repository.entries import HALF_MADE, Conflict, Entry, Problem, TargetError
from repository.repository import Repository
from repository.restore import RestoreOptions, RestoreResult, restore
from sources.ssh.host import SshHostSettings
from sources.ssh.in_place import SshInPlaceTarget
from sources.ssh.sftp_target import SftpTarget
from tests.repository.engine import latest, make_backup, new_repo
from tests.servers.sshd import Sshd
from tests.sources.trees import needs_root

HOUR_NS = 3600 * 10**9
NOW_NS = 1_700_000_000_123_456_789
FILE = Entry(b"file", "file", 0o644, NOW_NS, size=4)
RULES: list[Conflict] = ["keep", "rename", "replace-if-older", "replace"]

Open = Callable[[Path, Conflict], SshInPlaceTarget]


@pytest.fixture
def opened(sshd: Sshd) -> Iterator[Open]:
    """Return what opens a folder on the host as a target, by a rule."""
    targets = []

    def open_(place: Path, rule: Conflict) -> SshInPlaceTarget:
        targets.append(SshInPlaceTarget(SshHostSettings(sshd.server()), str(place), rule))
        return targets[-1]

    yield open_
    for each in targets:
        each.close()


@pytest.fixture(params=["same disk", "another disk"])
def used(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder in the one that is restored to; maybe on another file system."""
    folder = tmp_path / "there" / "used"
    folder.mkdir(parents=True)
    if request.param == "same disk":
        yield folder
        return
    if os.geteuid():
        pytest.skip("only root mounts")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def send(there: SshInPlaceTarget) -> None:
    """Send three files and a folder: when it was planned, nothing but /used stood there."""
    for folder in (b"/", b"/used", b"/used/new"):
        there.start_dir(folder)
    for name in (b"newer", b"older", b"free", b"new/below"):
        there.write_file(b"/used/" + name, replace(FILE, name=name), [b"ours"])
    there.make_special(b"/used/link", Entry(b"link", "symlink", 0o777, NOW_NS, linktarget=b"ours"))
    there.finish_dir(b"/used/new", Entry(b"new", "dir", 0o755, NOW_NS))


def somebody_else_writes(used: Path) -> None:
    for name, shift in (("newer", HOUR_NS), ("older", -HOUR_NS)):
        (used / name).write_text("theirs")
        os.utime(used / name, ns=(0, NOW_NS + shift))
    (used / "link").symlink_to("nowhere of theirs")
    os.utime(used / "link", ns=(0, NOW_NS + 1), follow_symlinks=False)
    (used / "new").mkdir()
    (used / "new" / "precious").write_text("theirs")


@pytest.mark.parametrize("rule", RULES)
def test_what_came_meanwhile_stays_unless_the_rule_replaces_it(
    opened: Open, used: Path, rule: Conflict
) -> None:
    there = opened(used.parent, rule)
    send(there)
    somebody_else_writes(used)
    if rule == "replace":
        with pytest.raises(TargetError, match="new"):  # a folder is never replaced
            there.flush()
    else:
        there.flush()
    found = {each.name: each.read_text() for each in used.iterdir() if each.name not in ("new", "link")}
    replaced = {"replace": {"newer", "older"}, "replace-if-older": {"older"}}.get(rule, set())
    assert found == {name: "ours" if name in replaced else "theirs" for name in ("newer", "older")} | {
        "free": "ours"
    }
    assert os.readlink(used / "link") == ("ours" if rule == "replace" else "nowhere of theirs")
    assert (used / "new" / "precious").read_text() == "theirs"
    assert not list(used.parent.rglob(".holdfast-*")), "nothing of ours lies about"
    if rule != "replace":
        left = {each.path: each for each in there.left_out}
        left_names = {b"newer", b"older", b"link", b"new"} - {name.encode() for name in replaced}
        assert set(left) == {b"/used/" + name for name in left_names}
        assert left[b"/used/newer"].kept == (rule != "rename")
        assert (left[b"/used/new"].kept, left[b"/used/new"].files, left[b"/used/new"].bytes) == (False, 1, 4)


def test_a_link_that_is_newer_by_what_it_leads_to_is_still_older(opened: Open, used: Path) -> None:
    there = opened(used.parent, "replace-if-older")
    send(there)
    (used / "young").write_text("x")
    (used / "older").symlink_to("young")
    os.utime(used / "older", ns=(0, NOW_NS - HOUR_NS), follow_symlinks=False)
    there.flush()
    assert (used / "older").read_text() == "ours"
    assert not (used / "older").is_symlink()
    assert there.left_out == []


def back_up(tree: Path) -> Repository:
    repo = new_repo()
    make_backup(repo, tree)
    repo.load_index()
    return repo


def test_the_counts_of_a_restore_say_what_was_left_out(
    opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    for name in ("mine", "folder/one", "folder/two"):
        (tree / name).write_text("ours")
    repo, place = back_up(tree), tmp_path / "place"
    place.mkdir()
    there = opened(place, "keep")
    flush = there.flush

    def late() -> None:
        (place / "mine").write_text("theirs")
        (place / "folder").mkdir()
        (place / "folder" / "precious").write_text("theirs")
        flush()

    monkeypatch.setattr(there, "flush", late)
    result, problems = run(repo, there, tree)
    assert (result.files, result.kept, result.failed) == (0, 1, 2)
    assert [(each.path, each.message[:15]) for each in problems] == [
        (os.fsencode(tree / "folder"), "cannot restore ")
    ]


def run(
    repo: Repository, there: SshInPlaceTarget | SftpTarget, tree: Path, conflict: Conflict = "keep"
) -> tuple[RestoreResult, list[Problem]]:
    problems: list[Problem] = []
    options = RestoreOptions(conflict=conflict, strip=os.fsencode(tree))
    return restore(repo, latest(repo), there, options, report=problems.append), problems


def test_a_folder_that_became_a_link_is_not_described(opened: Open, tmp_path: Path) -> None:
    place, outside = tmp_path / "place", tmp_path / "outside"
    (place / "folder" / "below").mkdir(parents=True)
    (outside / "below").mkdir(parents=True)
    for each in (outside, outside / "below"):
        each.chmod(0o755)
    there = opened(place, "replace")
    for path in (b"/", b"/folder", b"/folder/below"):
        there.start_dir(path)
    for path in (b"/folder/below", b"/folder", b"/"):
        there.finish_dir(path, Entry(b"x", "dir", 0o711, NOW_NS))
    subprocess.run(["mv", place / "folder", tmp_path / "away"], check=True)
    (place / "folder").symlink_to(outside)
    with pytest.raises(TargetError, match="a link stands where"):
        there.flush()
    for each in (outside, outside / "below"):
        assert (stat.S_IMODE(each.stat().st_mode), each.stat().st_mtime_ns == NOW_NS) == (0o755, False)
    assert stat.S_IMODE(place.stat().st_mode) == 0o711, "all else is described"
    assert place.stat().st_mtime_ns == NOW_NS


def test_folders_of_any_name_are_described(opened: Open, tmp_path: Path) -> None:
    names = [b"new\nline\n", b" blank ", b"-rf", b"\xff", b"$(x)`y`", b"n" * 255]
    for name in names:
        os.mkdir(os.fsencode(tmp_path) + b"/" + name)
    there = opened(tmp_path, "replace")
    there.start_dir(b"/")
    for name in names:
        there.start_dir(b"/" + name)
        there.finish_dir(b"/" + name, Entry(name, "dir", 0o751, NOW_NS, xattrs=((b"user.x", b"v" * 2000),)))
    there.flush()
    for name in names:
        found = os.stat(os.fsencode(tmp_path) + b"/" + name)
        assert (stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (0o751, NOW_NS), name
        assert os.getxattr(os.fsencode(tmp_path) + b"/" + name, "user.x") == b"v" * 2000


@pytest.fixture
def by_sftp(sshd: Sshd) -> Iterator[Callable[[Path, Conflict], SftpTarget]]:
    targets = []

    def open_(place: Path, rule: Conflict) -> SftpTarget:
        server = sshd.server(key=sshd.sftp_only_key)
        targets.append(SftpTarget(SshHostSettings(server), str(place), rule))
        return targets[-1]

    yield open_
    for each in targets:
        each.close()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("stood", [True, False])
def test_over_sftp_a_file_that_comes_meanwhile_stays(
    by_sftp: Callable[[Path, Conflict], SftpTarget], tmp_path: Path, rule: Conflict, stood: bool
) -> None:
    there, file = by_sftp(tmp_path, rule), tmp_path / "file"
    if stood:
        file.write_text("old")
        os.utime(file, ns=(0, NOW_NS - HOUR_NS))

    def slow() -> Iterator[bytes]:
        yield b"ou"
        file.write_text("theirs")
        yield b"rs"

    there.start_dir(b"/")
    if rule == "replace":
        there.write_file(b"/file", FILE, slow())
    else:
        with pytest.raises(TargetError, match="cannot restore /file: something came to stand there"):
            there.write_file(b"/file", FILE, slow())
    kept = "old" if stood and rule in ("keep", "rename") else "theirs"  # refused before it was read
    assert file.read_text() == ("ours" if rule == "replace" else kept)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_over_sftp_what_an_earlier_try_wrote_is_written_again(
    by_sftp: Callable[[Path, Conflict], SftpTarget], tmp_path: Path
) -> None:
    link = Entry(b"link", "symlink", 0o777, NOW_NS, linktarget=b"ours")
    for _ in range(2):
        there = by_sftp(tmp_path, "keep")
        there.start_dir(b"/")
        there.write_file(b"/file", FILE, [b"ours"])
        there.make_link(b"/twin", b"/file")
        there.make_special(b"/link", link)
    assert (tmp_path / "twin").samefile(tmp_path / "file")


def test_over_sftp_a_folder_that_was_left_half_made_is_mended(
    by_sftp: Callable[[Path, Conflict], SftpTarget], tmp_path: Path
) -> None:
    tree, place = tmp_path / "tree", tmp_path / "place"
    (tree / "folder").mkdir(parents=True)
    (tree / "folder").chmod(0o755)
    (tree / "folder" / "file").write_text("x")
    repo = back_up(tree)
    place.mkdir()
    half = by_sftp(place, "keep")
    half.start_dir(b"/")
    half.start_dir(b"/folder")
    assert stat.S_IMODE((place / "folder").stat().st_mode) == HALF_MADE
    run(repo, by_sftp(place, "keep"), tree)
    assert stat.S_IMODE((place / "folder").stat().st_mode) == 0o755
    assert int((place / "folder").stat().st_mtime) == int((tree / "folder").stat().st_mtime)


@needs_root
def test_a_folder_with_setgid_on_another_disk_takes_files(opened: Open, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=True)
    try:
        disk.chmod(0o2777)
        there = opened(tmp_path, "keep")
        there.start_dir(b"/")
        there.start_dir(b"/disk")
        there.write_file(b"/disk/file", FILE, [b"ours"])
        there.flush()
        assert [each.name for each in disk.iterdir()] == ["file"]
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
