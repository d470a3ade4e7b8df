"""The local source: what it lists, what it leaves out and says so, and files that change while read."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from repository.entries import Excluded, Problem, SourceUnavailable
from sources.local import LocalSource
from sources.local_file import LocalFile
from sources.rules import Rules
from tests.conftest import PROJECT
from tests.sources.trees import join, needs_root, read_chunks, walk


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "t" / "sub").mkdir(parents=True)
    (tmp_path / "t" / "sub" / "f").write_text("content")
    (tmp_path / "t" / "g").write_text("g")
    return tmp_path / "t"


def opened(source: LocalSource, path: Path) -> LocalFile:
    [file] = list(source.open_files([os.fsencode(path)]))
    assert isinstance(file, LocalFile), file
    return file


def test_paths_are_absolute_in_the_order_given() -> None:
    source = LocalSource(["x/../b", b"/c/", "."], cwd=b"/a")
    assert source.paths == ["/a/b", "/c", "/a"]


def test_a_source_without_a_path_is_refused() -> None:
    for nothing in ([], [""]):
        with pytest.raises(SourceUnavailable, match="at least one"):
            LocalSource(nothing)


def test_a_missing_path_is_named_with_what_to_do(tree: Path) -> None:
    with pytest.raises(SourceUnavailable, match=r"/t/gone does not exist\. Is its disk mounted\?"):
        LocalSource([str(tree), str(tree / "gone")]).check()
    with pytest.raises(SourceUnavailable, match="does not exist"):
        LocalSource([str(tree / "g" / "below a file")]).check()
    LocalSource([str(tree)]).check()


def test_a_path_outside_the_targets_is_not_listed(tree: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LocalSource([str(tree / "sub")]).list_dir(b"/etc")


def test_sockets_are_left_out_silently(nasty: Path) -> None:
    listing = LocalSource([str(nasty)]).list_dir(os.fsencode(nasty / "kinds"))
    assert stat.S_ISSOCK((nasty / "kinds" / "socket").lstat().st_mode)
    assert b"socket" not in [entry.name for entry in listing.entries]
    assert listing.excluded == []
    assert listing.problems == []


def test_an_excluded_thing_is_told_with_its_rule(tree: Path) -> None:
    (tree / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (tree / "sub" / "large").write_bytes(bytes(100))
    rules = Rules(exclude=("s*",), iexclude=("G",), exclude_caches=True)
    left_out = LocalSource([str(tree)], rules=rules).list_dir(os.fsencode(tree)).excluded
    assert left_out == [Excluded(b"g", "file", "G"), Excluded(b"sub", "dir", "s*")]
    rules = Rules(exclude_larger_than=99, exclude_caches=True)
    source = LocalSource([str(tree)], rules=rules)
    assert source.list_dir(os.fsencode(tree)).excluded == [
        Excluded(b"g", "file", "the folder holds CACHEDIR.TAG"),
        Excluded(b"sub", "dir", "the folder holds CACHEDIR.TAG"),
    ]
    assert source.list_dir(os.fsencode(tree / "sub")).excluded == [
        Excluded(b"large", "file", "larger than 99 bytes")
    ]


def test_protected_places_are_left_out_however_they_are_reached(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(tree)
    protected = [(tree / "sub", "the data of the application")]
    excluded = [Excluded(b"sub", "dir", "the data of the application")]
    given = [(str(path), reason) for path, reason in protected]
    direct = LocalSource([str(tree)], always_excluded=given)
    assert direct.list_dir(os.fsencode(tree)).excluded == excluded
    through = LocalSource([str(tmp_path / "alias" / ".." / "t")], always_excluded=given)
    assert through.list_dir(os.fsencode(tree)).excluded == excluded
    parent = LocalSource([f"{tmp_path}/alias/sub"], always_excluded=given)
    assert parent.list_dir(os.fsencode(tmp_path / "alias")).excluded == excluded
    inside = LocalSource([f"{tree}/sub/f"], always_excluded=given)
    assert inside.list_dir(os.fsencode(tree / "sub")).excluded[0].rule == "the data of the application"
    named_by_alias = LocalSource([str(tree)], always_excluded=[(f"{tmp_path}/alias/sub", "x")])
    assert [gone.name for gone in named_by_alias.list_dir(os.fsencode(tree)).excluded] == [b"sub"]


def test_a_protected_place_made_later_is_left_out_too(tree: Path) -> None:
    source = LocalSource([str(tree)], always_excluded=[(str(tree / "later"), "made later")])
    assert len(source.list_dir(os.fsencode(tree)).entries) == 2
    (tree / "later").mkdir()
    assert source.list_dir(os.fsencode(tree)).excluded == [Excluded(b"later", "dir", "made later")]


def in_own_mounts(script: str, *args: Path) -> str:
    command = ["unshare", "--mount", "sh", "-ec", script, "sh", *args]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    if "unshare failed" in done.stderr or "permission denied" in done.stderr.lower():
        pytest.skip(f"this machine lets nobody mount: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


_LIST = f'{sys.executable} -c "$3" "$1" "$2"'


@needs_root
def test_a_bind_mount_hides_no_protected_place(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    code = (
        "import sys; from sources.local import LocalSource\n"
        "source = LocalSource([sys.argv[2]], always_excluded=[(sys.argv[1], 'ours')])\n"
        "import os; print(source.list_dir(os.path.dirname(os.fsencode(sys.argv[2]))).excluded)\n"
        "inside = LocalSource([sys.argv[2] + '/f'], always_excluded=[(sys.argv[1], 'ours')])\n"
        "print(inside.list_dir(os.fsencode(sys.argv[2])).excluded)"
    )
    out = in_own_mounts(f'mount --bind "$1" "$2"; {_LIST}', tree / "sub", tmp_path / "mount", Path(code))
    assert [line.count("rule='ours'") for line in out.splitlines()] == [1, 1]


@needs_root
def test_one_file_system_keeps_the_mount_point_only(tree: Path) -> None:
    code = (
        "import sys; from sources.local import LocalSource; from sources.rules import Rules\n"
        "from tests.sources.trees import walk\n"
        "for rules in (Rules(), Rules(one_file_system=True)):\n"
        "    print(sorted(path[len(sys.argv[1]):] for path in walk(LocalSource([sys.argv[1]], rules=rules))"
        " if path.startswith(sys.argv[1].encode())))\n"
    )
    script = f'mount -t tmpfs none "$1/sub"; mkdir "$1/sub/d"; touch "$1/sub/d/f"; {_LIST}'
    every, one = in_own_mounts(script, tree, tree, Path(code)).splitlines()
    assert every == "[b'', b'/g', b'/sub', b'/sub/d', b'/sub/d/f']"
    assert one == "[b'', b'/g', b'/sub']"


@pytest.mark.parametrize("swap", ["gone", "fifo", "symlink", "folder", "parent"])
def test_a_file_replaced_after_the_listing_is_a_problem(tree: Path, swap: str) -> None:
    source = LocalSource([str(tree)])
    assert os.fsencode(tree / "sub" / "f") in walk(source)
    (tree / "sub" / "f").unlink()
    if swap == "fifo":
        os.mkfifo(tree / "sub" / "f")
    elif swap == "symlink":
        (tree / "sub" / "f").symlink_to("/etc/passwd")
    elif swap == "folder":
        (tree / "sub" / "f").mkdir()
    elif swap == "parent":
        (tree / "sub").rmdir()
        (tree.parent / "elsewhere").mkdir()
        (tree.parent / "elsewhere" / "f").write_text("secret")
        (tree / "sub").symlink_to(tree.parent / "elsewhere")
    files = list(source.open_files([os.fsencode(tree / "sub" / "f"), os.fsencode(tree / "g")]))
    assert isinstance(files[0], Problem)
    assert files[0].kind == "vanished"
    assert isinstance(files[1], LocalFile)
    files[1].close()


def test_a_file_that_changes_while_it_is_read(tree: Path) -> None:
    path = tree / "sub" / "f"
    path.write_bytes(b"x" * 1000)
    file = opened(LocalSource([str(tree)]), path)
    buffer = memoryview(bytearray(600))
    assert file.readinto(buffer) == 600
    os.truncate(path, 700)
    assert file.readinto(buffer) == 100
    assert file.readinto(buffer) == 0
    assert (file.entry.size, file.entry_now().size) == (1000, 700)
    with path.open("ab") as more:
        more.write(b"yy")
    assert file.readinto(buffer) == 2
    path.unlink()
    assert file.entry_now().links == 0
    file.close()
    file.close()


_HOLD_A_LEASE = """
import fcntl, os, signal, sys
fd = os.open(sys.argv[1], os.O_RDWR)
def give_up(*_):
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    sys.exit()
signal.signal(signal.SIGIO, give_up)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
signal.pause()
"""


def test_a_file_with_a_lease_is_read_once_it_is_given_up(tree: Path) -> None:
    """As Samba holds them: the first try, which must not block, is refused with EAGAIN."""
    command = [sys.executable, "-c", _HOLD_A_LEASE, tree / "g"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        file = opened(LocalSource([str(tree)]), tree / "g")
        assert b"".join(read_chunks(file)) == b"g"
        file.close()


def test_of_two_tags_each_leaves_out_the_other(tree: Path) -> None:
    (tree / "one").touch()
    (tree / "two").touch()
    source = LocalSource([str(tree)], rules=Rules(exclude_if_present=("one", "two")))
    assert source.list_dir(os.fsencode(tree)).entries == []
    source = LocalSource([str(tree)], rules=Rules(exclude_if_present=("one", "none")))
    assert [entry.name for entry in source.list_dir(os.fsencode(tree)).entries] == [b"one"]


def test_a_link_to_a_protected_place_is_only_a_link(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(tree / "sub")
    source = LocalSource([f"{tmp_path}/alias"], always_excluded=[(str(tree / "sub"), "ours")])
    found = walk(source, may_complain=True)  # it is no folder, as it seems
    assert found[os.fsencode(tmp_path / "alias")].kind == "symlink"


def test_a_buffer_is_filled_unless_the_file_ends(tree: Path) -> None:
    (tree / "g").write_bytes(os.urandom(3 << 20))
    file = opened(LocalSource([str(tree)]), tree / "g")
    assert b"".join(read_chunks(file, 1_000_001)) == (tree / "g").read_bytes()
    file.close()


def test_reading_leaves_the_access_time(tree: Path) -> None:
    os.utime(tree / "g", ns=(5, 5))
    file = opened(LocalSource([str(tree)]), tree / "g")
    list(read_chunks(file))
    file.close()
    assert (tree / "g").stat().st_atime_ns == 5


_AS_NOBODY = """
import os, sys
from sources.local import LocalSource
os.setgroups([]); os.setgid(65534); os.setuid(65534)
source = LocalSource([sys.argv[1]])
top = os.fsencode(sys.argv[1])
[problem] = source.open_files([top + b"/secret"])
print(problem)
try:
    source.list_dir(top + b"/closed")
except PermissionError as err:
    print("refused")
[file] = source.open_files([top + b"/open"])
print(file.entry.size)
"""


@needs_root
def test_what_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        Path(folder, "secret").touch(0o600)
        Path(folder, "open").write_text("open")
        Path(folder, "closed").mkdir(0o700)
        command = [sys.executable, "-c", _AS_NOBODY, folder]
        out = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[1:] == ["refused", "4"]
    assert "kind='unreadable'" in out
    assert "Permission denied; run the backup as a user who may read it" in out


def test_a_pickled_source_reads_the_same(tree: Path) -> None:
    rules = Rules(exclude=("g",), one_file_system=True)
    source = LocalSource([str(tree)], rules=rules, hostname="h", always_excluded=[("/proc", "kernel")])
    walk(source)
    again = pickle.loads(pickle.dumps(source))
    found, as_before = walk(again), walk(source)
    assert found.keys() == as_before.keys()
    below = [path for path in found if path.startswith(os.fsencode(tree))]  # others change what is above
    assert [found[path] for path in below] == [as_before[path] for path in below]
    assert (again.paths, again.hostname) == (source.paths, "h")
    file = opened(again, tree / "sub" / "f")
    assert b"".join(read_chunks(file)) == b"content"
    file.close()


def test_a_target_may_be_a_single_file_below_a_link(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(tree)
    path = tmp_path / "alias" / "g"
    source = LocalSource([str(path)])
    entries = walk(source)
    assert entries[os.fsencode(path)].size == 1
    assert entries[os.fsencode(tmp_path / "alias")].kind == "dir"
    file = opened(source, path)
    assert b"".join(read_chunks(file)) == b"g"
    file.close()


def test_the_real_place_of_a_tree_path_is_known(tree: Path) -> None:
    source = LocalSource(["t", "../" + tree.parent.name + "/t/sub"], cwd=os.fsencode(tree.parent))
    for path, entry in walk(source).items():
        assert os.lstat(source.real_path(path)).st_ino == entry.inode
    assert join(b"/", b"t") == b"/t"


def test_a_named_place_that_is_never_backed_up_is_a_problem(tmp_path: Path) -> None:
    tree = tmp_path / "own"
    (tree / "sub").mkdir(parents=True)
    (tree / "f").touch()
    source = LocalSource([str(tree / "f"), str(tree / "sub")], always_excluded=[(str(tree / "sub"), "ours")])
    listing = source.list_dir(os.fsencode(tree))
    assert [entry.name for entry in listing.entries] == [b"f"]
    (problem,) = listing.problems
    assert (problem.path, problem.loses_data) == (os.fsencode(tree / "sub"), True)
    assert "lies in, ours, which is never backed up" in problem.message
    whole = LocalSource([str(tree)], always_excluded=[(str(tree / "sub"), "ours")])
    assert whole.list_dir(os.fsencode(tree)).problems == []
