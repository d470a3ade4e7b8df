"""The local target: it writes whole things or nothing, stays below its root, and says what is in the way."""

from __future__ import annotations

import errno
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository.entries import Entry, TargetError, TargetFull
from sources import flush, leftovers
from sources.flush import flush_file_system
from sources.local_target import LocalTarget
from sources.restore_metadata import MetadataWriter
from sources.special_nodes import describe_node
from tests.conftest import PROJECT
from tests.sources.test_local import in_own_mounts
from tests.sources.trees import needs_root

UID, GID = os.getuid(), os.getgid()


def file_entry(size: int = 0, mode: int = 0o644) -> Entry:
    return Entry(b"f", "file", mode, 10**18, uid=UID, gid=GID, size=size)


def link_entry(target: bytes) -> Entry:
    return Entry(b"l", "symlink", 0o777, 10**18, uid=UID, gid=GID, linktarget=target)


DIR = Entry(b"d", "dir", 0o750, 10**18 + 7, uid=UID, gid=GID)
FIFO = Entry(b"p", "fifo", 0o604, 5, uid=UID, gid=GID)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "root"


@pytest.fixture
def target(root: Path) -> LocalTarget:
    return LocalTarget(root)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_root_is_made_when_something_is_written_not_before(root: Path, target: LocalTarget) -> None:
    assert target.existing(b"/") is None
    assert target.existing(b"/x/y") is None
    assert not root.exists()
    target.write_file(b"/f", file_entry(1), [b"x"])
    assert names(root) == ["f"]
    found = target.existing(b"/")
    assert found is not None
    assert found.kind == "dir"


def test_what_stands_there_is_told(root: Path, target: LocalTarget) -> None:
    target.start_dir(b"/d")
    target.write_file(b"/d/f", file_entry(3), [b"abc"])
    target.make_special(b"/d/l", link_entry(b"f"))
    target.make_special(b"/d/p", FIFO)
    found = [target.existing(b"/d/" + name) for name in (b"f", b"l", b"p", b"none")]
    assert [entry and (entry.kind, entry.size, entry.linktarget) for entry in found] == [
        ("file", 3, b""),
        ("symlink", 0, b"f"),
        ("fifo", 0, b""),
        None,
    ]
    assert target.existing(b"/none/below") is None
    with pytest.raises(TargetError, match="/d/f/below: a file or a link stands where a folder must go"):
        target.existing(b"/d/f/below")


def test_a_file_replaces_an_old_one_and_leaves_its_links_alone(root: Path, target: LocalTarget) -> None:
    target.write_file(b"/f", file_entry(3), [b"old"])
    os.link(root / "f", root / "other name")
    target.write_file(b"/f", file_entry(5), [b"new", b"er"])
    assert (root / "f").read_text() == "newer"
    assert (root / "other name").read_text() == "old"
    assert names(root) == ["f", "other name"]


def test_a_failing_content_leaves_the_old_file_and_nothing_else(root: Path, target: LocalTarget) -> None:
    target.write_file(b"/f", file_entry(3), [b"old"])

    def broken() -> Iterator[bytes]:
        yield b"new"
        raise OSError("the storage is gone")

    for path in (b"/f", b"/g"):
        with pytest.raises(OSError, match="the storage is gone"):
            target.write_file(path, file_entry(6), broken())
    assert (root / "f").read_text() == "old"
    assert names(root) == ["f"]


_WRITE_AND_WAIT = """
import sys, time
from repository.entries import Entry
from sources.local_target import LocalTarget
from sources.restore_metadata import MetadataWriter
from sources.special_nodes import describe_node
def chunks():
    yield b"new"
    print("writing", flush=True)
    time.sleep(60)
LocalTarget(sys.argv[1]).write_file(b"/f", Entry(b"f", "file", 0o644, 0), chunks())
"""


def test_a_killed_restore_leaves_the_old_file_and_the_next_one_cleans_up(
    root: Path, target: LocalTarget
) -> None:
    target.write_file(b"/f", file_entry(3), [b"old"])
    command = [sys.executable, "-c", _WRITE_AND_WAIT, root]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "writing\n"
            target.start_dir(b"/")
            assert len(names(root)) == 2, "a name that a living restore holds was removed"
        finally:
            writer.send_signal(signal.SIGKILL)
    assert (root / "f").read_text() == "old"
    (root / ".holdfast-not-ours").touch()
    LocalTarget(root).start_dir(b"/")
    assert names(root) == [".holdfast-not-ours", "f"]


@pytest.mark.parametrize("first", ["file", "dir", "symlink", "fifo"])
@pytest.mark.parametrize("second", ["file", "dir", "symlink", "fifo", "link"])
def test_what_replaces_what(first: str, second: str, root: Path, target: LocalTarget) -> None:
    target.write_file(b"/source", file_entry(1), [b"s"])
    make(target, first)
    in_the_way = (first == "dir") != (second == "dir")
    if in_the_way:
        with pytest.raises(TargetError, match=r"cannot restore /x: .* stands where"):
            make(target, second)
        assert kind_at(target) == first
    else:
        make(target, second)
        assert kind_at(target) == ("file" if second == "link" else second)
    assert [name for name in names(root) if name not in ("x", "source")] == []


def make(target: LocalTarget, kind: str) -> None:
    if kind == "file":
        target.write_file(b"/x", file_entry(1), [b"1"])
    elif kind == "dir":
        target.start_dir(b"/x")
    elif kind == "link":
        target.make_link(b"/x", b"/source")
    else:
        target.make_special(b"/x", FIFO if kind == "fifo" else link_entry(b"nowhere"))


def kind_at(target: LocalTarget) -> str:
    entry = target.existing(b"/x")
    assert entry is not None
    return entry.kind


def test_a_hard_link_is_one_file_in_two_folders_and_may_be_made_twice(
    root: Path, target: LocalTarget
) -> None:
    target.start_dir(b"/a")
    target.start_dir(b"/b")
    target.write_file(b"/a/f", file_entry(1), [b"x"])
    for _ in range(2):
        target.make_link(b"/b/g", b"/a/f")
        assert (root / "a" / "f").stat().st_ino == (root / "b" / "g").stat().st_ino
        assert names(root / "b") == ["g"]
    target.make_special(b"/a/l", link_entry(b"f"))
    target.make_link(b"/b/l", b"/a/l")
    assert (root / "b" / "l").is_symlink()
    with pytest.raises(TargetError, match="/b/h"):
        target.make_link(b"/b/h", b"/a/none")


def test_a_folder_gets_its_metadata_and_loses_what_it_had(root: Path, target: LocalTarget) -> None:
    target.start_dir(b"/d")
    os.setxattr(root / "d", "user.old", b"1")
    target.write_file(b"/d/f", file_entry(), [])
    entry = Entry(b"d", "dir", 0o1770, -5, uid=UID, gid=GID, xattrs=((b"user.new", b"2"),))
    assert target.finish_dir(b"/d", entry) == []
    status = (root / "d").stat()
    assert (status.st_mode & 0o7777, status.st_mtime_ns) == (0o1770, -5)
    assert os.listxattr(root / "d") == ["user.new"]


def test_an_attribute_that_cannot_be_set_is_told_once(target: LocalTarget) -> None:
    entry = Entry(b"f", "file", 0o644, 0, uid=UID, gid=GID, xattrs=((b"nonsense.x", b""),))
    first = target.write_file(b"/f", entry, [])
    assert [(problem.path, problem.kind) for problem in first] == [(b"/f", "incomplete")]
    assert "nonsense.x" in first[0].message
    assert target.write_file(b"/g", entry, []) == []


def test_a_time_beyond_what_the_system_knows_is_a_problem(target: LocalTarget) -> None:
    entry = Entry(b"f", "file", 0o644, 10**30, uid=UID, gid=GID)
    [problem] = target.write_file(b"/f", entry, [b"x"])
    assert problem.kind == "incomplete"


@pytest.mark.parametrize(
    "path",
    [
        b"f",
        b"",
        b"/",
        b"/..",
        b"/../f",
        b"/a/../../f",
        b"/.",
        b"/a//f",
        b"/a/./f",
        b"/a\0b",
        b"/a\0/f",
        b"/d/",
    ],
)
def test_no_path_leads_outside(path: bytes, tmp_path: Path, root: Path, target: LocalTarget) -> None:
    target.start_dir(b"/d")
    attempts = [
        lambda: target.write_file(path, file_entry(1), [b"x"]),
        lambda: target.make_special(path, link_entry(b"x")),
        lambda: target.make_link(path, b"/d"),
        lambda: target.make_link(b"/new", path),
    ]
    if path != b"/":
        attempts += [lambda: target.start_dir(path), lambda: target.finish_dir(path, DIR)]
    for attempt in attempts:
        with pytest.raises(TargetError, match="tampered"):
            attempt()
    assert names(tmp_path) == ["root"]
    assert names(root) == ["d"]


@pytest.mark.parametrize("outside", ["absolute", "relative", "root itself"])
def test_no_link_below_the_root_is_followed(outside: str, root: Path, target: LocalTarget) -> None:
    """A folder that was there, or was made by this restore, is swapped for a link."""
    victim = root.parent / "victim"
    victim.mkdir()
    (victim / "keep").write_text("safe")
    before = victim.stat()
    target.start_dir(b"/d")
    target.start_dir(b"/d/e")
    (root / "d" / "e").rmdir()
    (root / "d").rmdir()
    goal = {"absolute": str(victim), "relative": "../victim", "root itself": "."}[outside]
    (root / "d").symlink_to(goal)
    fresh = LocalTarget(root)
    for one in (fresh,):
        for attempt in (
            lambda one=one: one.start_dir(b"/d"),
            lambda one=one: one.start_dir(b"/d/new"),
            lambda one=one: one.write_file(b"/d/keep", file_entry(1), [b"x"]),
            lambda one=one: one.make_special(b"/d/keep", FIFO),
            lambda one=one: one.make_link(b"/d/l", b"/d/keep"),
            lambda one=one: one.make_link(b"/l", b"/d/keep"),
            lambda one=one: one.finish_dir(b"/d", DIR),
            lambda one=one: one.existing(b"/d/keep"),
        ):
            with pytest.raises(TargetError, match="a link stands where a folder must go"):
                attempt()
    assert names(victim) == ["keep"]
    assert (victim / "keep").read_text() == "safe"
    after = victim.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert names(root) == ["d"]


def test_a_folder_swapped_while_it_is_open_gets_nothing_written_elsewhere(
    root: Path, target: LocalTarget
) -> None:
    victim = root.parent / "victim"
    victim.mkdir()
    target.start_dir(b"/d")
    target.write_file(b"/d/a", file_entry(1), [b"x"])
    (root / "d").rename(root / "moved")
    (root / "d").symlink_to(victim)
    target.write_file(b"/d/b", file_entry(1), [b"x"])
    assert names(victim) == []
    assert names(root / "moved") == ["a", "b"]


def test_a_file_is_never_written_through_a_link_of_its_name(root: Path, target: LocalTarget) -> None:
    victim = root.parent / "victim"
    victim.write_text("safe")
    target.start_dir(b"/")
    (root / "f").symlink_to(victim)
    target.write_file(b"/f", file_entry(1, mode=0o666), [b"x"])
    assert victim.read_text() == "safe"
    assert victim.stat().st_mode & 0o777 != 0o666
    assert not (root / "f").is_symlink()


def test_a_link_in_the_way_to_the_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "alias").symlink_to("real")
    LocalTarget(tmp_path / "alias" / "new").write_file(b"/f", file_entry(1), [b"x"])
    assert (tmp_path / "real" / "new" / "f").read_text() == "x"


def test_threads_may_write_side_by_side(root: Path, target: LocalTarget) -> None:
    for count in range(8):
        target.start_dir(b"/%d" % count)

    def fill(count: int) -> None:
        for name in range(100):
            target.write_file(b"/%d/%d" % (count, name), file_entry(4), [b"%04d" % name])

    threads = [threading.Thread(target=fill, args=(count,)) for count in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(
        (root / str(count) / str(name)).read_text() == f"{name:04d}"
        for count in range(8)
        for name in range(100)
    )


_FILL = """
import os, sys
from repository.entries import Entry, TargetFull
from sources.local_target import LocalTarget
from sources.restore_metadata import MetadataWriter
from sources.special_nodes import describe_node
target = LocalTarget(sys.argv[1])
target.write_file(b"/f", Entry(b"f", "file", 0o644, 0, size=3), [b"old"])
try:
    target.write_file(b"/f", Entry(b"f", "file", 0o644, 0, size=1 << 20), [os.urandom(1 << 20)])
except TargetFull as err:
    print(err)
print(os.listdir(sys.argv[1]), open(sys.argv[1] + "/f").read())
"""


@needs_root
def test_a_full_disk_is_told_apart_and_leaves_the_old_file(root: Path) -> None:
    root.mkdir()
    script = f'mount -t tmpfs -o size=64k none "$1"; {sys.executable} -c "$2" "$1"'
    told, left = in_own_mounts(script, root, Path(_FILL)).splitlines()
    assert told == "cannot restore /f: no space is left; free some, or restore elsewhere"
    assert left == "['f'] old"
    assert issubclass(TargetFull, TargetError)


def test_a_read_only_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="cannot restore /f"):
        LocalTarget("/proc/nothing").write_file(b"/f", file_entry(), [])


def test_the_file_is_on_disk_before_its_name_when_asked(root: Path) -> None:
    """A behaviour that only a power cut shows: look at the system calls."""
    code = (
        "import sys; from repository.entries import Entry; from sources.local_target import LocalTarget\n"
        "LocalTarget(sys.argv[1], fsync=True).write_file(b'/f', Entry(b'f', 'file', 0o644, 0), [b'x'])"
    )
    trace = root.parent / "trace"
    command = ["strace", "-f", "-e", "trace=pwrite64,fsync,rename,renameat,renameat2", "-o", trace]
    if not Path("/usr/bin/strace").exists():
        pytest.skip("strace is not installed")
    subprocess.run([*command, sys.executable, "-c", code, root], cwd=PROJECT, check=True)
    calls = [line.split()[1].split("(")[0] for line in trace.read_text().splitlines() if "(" in line]
    assert calls[-3:-1] == ["pwrite64", "fsync"]
    assert calls[-1].startswith("rename")


def test_flushing_covers_each_file_system_written_to(
    target: LocalTarget, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed = []

    def flush_one(fd: int) -> None:
        flushed.append(os.readlink(f"/proc/self/fd/{fd}"))
        flush_file_system(fd)

    monkeypatch.setattr(flush, "flush_file_system", flush_one)
    target.flush()  # nothing was written
    (root / "d").mkdir(parents=True)
    target.start_dir(b"/")
    target.start_dir(b"/d")
    target.write_file(b"/d/f", file_entry(1), [b"x"])
    target.flush()
    assert flushed == [str(root)]


def test_a_disk_that_fails_while_flushing_is_told(
    target: LocalTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(flush, "flush_file_system", fail)
    target.start_dir(b"/")
    with pytest.raises(TargetError, match="did not get to the disk: Input/output error"):
        target.flush()


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> FailingOnce:
    """What stands for the disk while files are written, flushed all the time."""
    disk = FailingOnce()
    monkeypatch.setattr(flush, "flush_file_system", disk.flush)
    monkeypatch.setattr(flush, "EARLY_EVERY_S", 0.001)
    return disk


class FailingOnce:
    """A disk that is told to fail tells it in one flush, as the kernel does; `flushed` counts them."""

    def __init__(self) -> None:
        self.error: int = 0
        self.flushed = 0
        self.told = threading.Event()

    def flush(self, fd: int) -> None:
        self.flushed += 1
        code, self.error = self.error, 0
        if code:
            self.told.set()
            raise OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("code", "kind"), [(errno.EIO, TargetError), (errno.ENOSPC, TargetFull), (errno.EDQUOT, TargetFull)]
)
def test_what_only_an_early_flush_was_told_is_raised_at_the_end(
    target: LocalTarget, disk: FailingOnce, code: int, kind: type[TargetError]
) -> None:
    with target.flushing_early():
        target.start_dir(b"/")
        disk.error = code
        assert disk.told.wait(120)
    target.close()
    for _ in range(2):
        with pytest.raises(kind):
            target.flush()


def test_flushing_early_ends_with_its_block(target: LocalTarget, disk: FailingOnce) -> None:
    def restore_what_fails() -> None:
        with target.flushing_early():
            disk.error = errno.EIO
            assert disk.told.wait(120)
            raise KeyError

    target.start_dir(b"/")
    with pytest.raises(KeyError):
        restore_what_fails()
    assert not [thread for thread in threading.enumerate() if thread.name == "flush"]


def test_disks_are_let_go_with_the_target(root: Path) -> None:
    def held() -> int:
        return sum(
            os.readlink(f"/proc/self/fd/{fd}") == str(root)
            for fd in os.listdir("/proc/self/fd")
            if os.path.exists(f"/proc/self/fd/{fd}")
        )

    target = LocalTarget(root)
    target.start_dir(b"/")
    target.close()
    assert held() == 1
    del target
    assert held() == 0


def test_the_systems_word_on_flushing_is_heard() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        flush_file_system(-1)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.EIO])
def test_a_place_without_locks_is_written_to_all_the_same(
    target: LocalTarget, root: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(fd: int, operation: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(leftovers.fcntl, "flock", refuse)
    root.mkdir()
    (root / ".holdfast-0123456789ab-1").touch()
    if code == errno.EIO:
        with pytest.raises(TargetError, match="Input/output error"):
            target.write_file(b"/f", file_entry(1), [b"x"])
        assert not (root / "f").exists()
        return
    target.start_dir(b"/")
    target.write_file(b"/f", file_entry(1), [b"x"])
    assert names(root) == [".holdfast-0123456789ab-1", "f"]
    os.utime(root / ".holdfast-0123456789ab-1", (0, 0))
    target.start_dir(b"/")
    assert names(root) == ["f"]


def test_a_hard_link_put_in_the_place_of_a_special_gets_no_metadata(tmp_path: Path) -> None:
    """Else whoever may write to the folder could have a file of root's given to him."""
    os.mkfifo(tmp_path / "victim", 0o600)
    os.link(tmp_path / "victim", tmp_path / "temp")
    before = (tmp_path / "victim").stat()
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(TargetError, match="something else was put in its place"):
            describe_node(fd, b"temp", FIFO, b"/p", MetadataWriter(), tidy=False)
    finally:
        os.close(fd)
    after = (tmp_path / "victim").stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_only_dead_leftovers_are_removed(root: Path) -> None:
    """A special has no lock: a young one may be on its way to its name. A folder is never ours."""
    root.mkdir()
    os.mkfifo(root / ".holdfast-0123456789ab-1")
    (root / ".holdfast-0123456789ab-2").touch()
    (root / ".holdfast-0123456789ab-3").mkdir()
    LocalTarget(root).start_dir(b"/")
    assert names(root) == [".holdfast-0123456789ab-1", ".holdfast-0123456789ab-3"]


@needs_root
def test_a_file_left_in_place_keeps_no_capability_that_the_entry_has_not(
    root: Path, target: LocalTarget
) -> None:
    target.write_file(b"/f", file_entry(1), [b"x"])
    os.setxattr(root / "f", "security.capability", bytes.fromhex("0100000200200000" + "00" * 12))
    assert target.describe_file(b"/f", file_entry(1)) == []
    assert "security.capability" not in os.listxattr(root / "f")


@needs_root
def test_a_new_file_gets_the_owner_of_the_entry_whatever_the_folder_hands_down(
    root: Path, target: LocalTarget
) -> None:
    target.start_dir(b"/d")
    os.chown(root / "d", 0, 65534)
    (root / "d").chmod(0o2700)  # what is made in it belongs to its group
    target.write_file(b"/d/f", file_entry(1), [b"x"])
    found = os.stat(root / "d" / "f")
    assert (found.st_uid, found.st_gid) == (UID, GID)


def test_a_root_that_leads_elsewhere_since_it_was_looked_at_is_refused(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    looked_at = LocalTarget(str(root), pinned=True)
    again = pickle.loads(pickle.dumps(looked_at))  # as a helper process gets it
    looked_at.write_file(b"/first", file_entry(5), [b"hello"])
    root.rename(tmp_path / "moved")
    root.symlink_to(elsewhere)
    with pytest.raises(TargetError, match="leads elsewhere"):
        again.write_file(b"/second", file_entry(5), [b"hello"])
    assert list(elsewhere.iterdir()) == []
    looked_at.close()
    again.close()
