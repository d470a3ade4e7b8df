"""Hosts that lie, and programs on them that fail: never a file stored as whole that is not."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repository.entries import Problem, SourceUnavailable
from sources.rules import Rules
from sources.ssh import host
from sources.ssh.dialects import POSIX
from sources.ssh.host import SshHostSettings
from sources.ssh.packing import Compression
from sources.ssh.rows import Malformed
from sources.ssh.source import SshSource
from sources.ssh.tree import HostTree
from tests.conftest import need_program
from tests.servers.sshd import Sshd, start_sshd, stop_sshd
from tests.sources.trees import read_chunks, walk

Fake = Callable[[str, str], Sshd]


@pytest.fixture
def host_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    """Start a server on which one program is another one."""
    started = []

    def start(name: str, script: str) -> Sshd:
        folder = tmp_path_factory.mktemp("faulty")
        (folder / "tools").mkdir()
        (folder / "tools" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "tools" / name).chmod(0o755)
        server = start_sshd(folder, environment=f"PATH={folder}/tools:{os.environ['PATH']}")
        started.append(server)
        return server

    yield start
    for server in started:
        stop_sshd(server)


def read_all(server: Sshd, tree: Path, compression: Compression = "auto") -> dict[str, str | bytes]:
    """Return the content of each file by name, or the kind of problem, or the words of an OSError."""
    source = SshSource(SshHostSettings(server.server(), compression=compression), [str(tree)])
    files = [path for path, entry in walk(source).items() if entry.kind == "file"]
    seen: dict[str, str | bytes] = {}
    for file in source.open_files(files):
        name = Path(os.fsdecode(file.path)).name
        if isinstance(file, Problem):
            seen[name] = f"{file.kind}: {file.message}"
            continue
        try:
            content = b"".join(read_chunks(file))
            file.entry_now()
            seen[name] = content
        except OSError as error:
            seen[name] = f"error: {error}"
        file.close()
    source.close()
    return seen


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "bad").write_bytes(b"bad")
    (tmp_path / "tree" / "good").write_bytes(b"good")
    (tmp_path / "tree" / "large").write_bytes(b"l" * 5_000_000)
    return tmp_path / "tree"


def test_a_file_that_the_disk_does_not_give_is_not_stored_as_zeros(host_with: Fake, tree: Path) -> None:
    """GNU tar fills up with zeros what it cannot read, says so, and sends the file all the same."""
    complaint = "Read error at byte 0, while reading 3 bytes: Input/output error"
    script = f"""cat > "$0.$$"; /usr/bin/tar "$@" < "$0.$$"
        for name in $(tr '\\0' '\\n' < "$0.$$" | grep -E 'bad|large'); do
            echo "tar: $name: {complaint}" >&2; bad=2
        done
        exit ${{bad:-0}}"""
    seen = read_all(host_with("tar", script), tree)
    assert seen["good"] == b"good"
    assert str(seen["bad"]).startswith("unreadable: cannot be read: Read error at byte 0")
    assert str(seen["large"]).startswith("error: Read error at byte 0")


def test_a_complaint_of_nobody_makes_it_ask_for_each_alone(host_with: Fake, tree: Path) -> None:
    script = '/usr/bin/tar "$@"; echo "tar: something is wrong with one of them" >&2; exit 2'
    seen = read_all(host_with("tar", script), tree)
    assert all("something is wrong" in str(each) for each in seen.values())
    assert len(seen) == 3


@pytest.mark.parametrize("compression", ["never", "always"])
def test_a_tar_that_dies_is_no_end_of_file(host_with: Fake, tree: Path, compression: Compression) -> None:
    seen = read_all(host_with("tar", '/usr/bin/tar "$@" | head -c 700; exit 1'), tree, compression)
    assert not any(isinstance(each, bytes) for each in seen.values())


def test_files_that_nobody_asked_for_are_refused(host_with: Fake, tree: Path) -> None:
    seen = read_all(host_with("tar", "/usr/bin/tar -c -f - -P /etc/hostname"), tree)
    assert not any(isinstance(each, bytes) for each in seen.values())


@pytest.mark.parametrize("compression", ["never", "always"])
def test_a_file_without_an_end_ends(host_with: Fake, tree: Path, compression: Compression) -> None:
    """One that says it has a terabyte: nobody waits for the end of it, nor keeps it."""
    endless = tree.parent / "header"
    member = tarfile.TarInfo(f"{tree}/good")
    member.size = 1 << 40
    endless.write_bytes(member.tobuf(tarfile.GNU_FORMAT))
    script = f'case "$*" in *version*) exec /usr/bin/tar "$@";; esac\ncat {endless}; exec cat /dev/zero'
    seen = read_all(host_with("tar", script), tree, compression)
    assert not any(isinstance(each, bytes) for each in seen.values())
    assert "far larger than it was when listed" in str(seen["good"])


@pytest.mark.parametrize(
    "script",
    [
        "printf 'noise'",
        "printf 'f 644 0 0 1 1 1 1 1 1 1\\0/etc/passwd\\0\\0'",
        "yes | head -c 1000000",
        'printf \'d 755 0 0 1 1 1 1 1 1 1\\0%s\\0\\0f 644 x\\0%s/../../etc\\0\\0\' "$1" "$1"',
    ],
)
def test_a_listing_that_is_none_is_refused(host_with: Fake, tree: Path, script: str) -> None:
    """The fake answers wrongly only where the whole tree is asked for."""
    server = host_with(
        "find", f'case "$*" in *maxdepth*|*version*|*getfattr*) exec /usr/bin/find "$@";; esac\n{script}'
    )
    source = SshSource(SshHostSettings(server.server()), [str(tree)])
    with pytest.raises(SourceUnavailable, match="no proper listing"):
        source.list_dir(os.fsencode(tree))
    source.close()


FIND_DIES = """case "$*" in *maxdepth*) ;; *getfattr*) kill -9 $$;; esac\nexec /usr/bin/find "$@\""""
LISTING_DIES = """case "$*" in *maxdepth*|*version*|*getfattr*) exec /usr/bin/find "$@";; esac
/usr/bin/find "$@"; kill -9 $$"""


@pytest.mark.parametrize(
    ("name", "script", "who"),
    [
        ("getfattr", "kill -9 $$", "getfattr"),
        ("getfattr", "printf '# file: /x\\nuser.a=0x1'", "getfattr"),
        ("find", FIND_DIES, "getfattr"),
        ("find", LISTING_DIES, "find"),
    ],
)
def test_a_program_that_is_killed_is_no_end_of_a_listing(
    host_with: Fake, tree: Path, name: str, script: str, who: str
) -> None:
    """What came until then is proper: points without attributes, or without files, would be called whole."""
    source = SshSource(SshHostSettings(host_with(name, script).server()), [str(tree)])
    with pytest.raises(SourceUnavailable, match=f"no proper listing: .*{who}.*(before its time|not whole)"):
        source.list_dir(os.fsencode(tree))
    source.close()


def test_what_follows_a_packed_stream_makes_it_none(host_with: Fake, tree: Path) -> None:
    """The fake leaves listings alone."""
    script = f"""cat > "$0.$$"; {need_program("zstd")} "$@" < "$0.$$"
        if head -c 300 "$0.$$" | grep -aq ustar; then echo more; fi"""
    seen = read_all(host_with("zstd", script), tree, "always")
    assert len(seen) == 3
    assert all("more comes after its end" in str(each) for each in seen.values()), seen


@pytest.mark.parametrize("program", ["find", "stat"])
def test_a_program_that_is_killed_ends_a_listing_without_gnu_find(tmp_path: Path, program: str) -> None:
    (tmp_path / program).write_text("#!/bin/sh\nkill -9 $$\n")
    (tmp_path / program).chmod(0o755)
    command = [*POSIX.marked().find[0], os.fsencode(tmp_path)]
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = subprocess.run(command, env={"PATH": path}, capture_output=True, check=False)
    assert done.returncode == 255, done


def test_an_answer_without_end_is_cut_off(
    host_with: Fake, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "MOST_BYTES", 3_000_000)
    source = SshSource(SshHostSettings(host_with("getfattr", "yes").server()), [str(tree)])
    with pytest.raises(SourceUnavailable, match="sends more than"):
        source.list_dir(os.fsencode(tree))
    source.close()


def test_a_login_script_that_prints_is_named(tree: Path, host_with: Fake) -> None:
    server = host_with("env", 'echo hello; exec /usr/bin/env "$@"')
    with pytest.raises(SourceUnavailable, match="login script"):
        SshSource(SshHostSettings(server.server()), [str(tree)]).check()


FACTS = b"f 644 0 0 1 1.0 1.0 1 1 1 1"
DIR = b"d 755 0 0 1 1.0 1.0 1 1 1 1"


@pytest.mark.parametrize(
    "rows",
    [
        [(FACTS, b"/t/a")],
        [(DIR, b"/t"), (FACTS, b"/t/d/a")],
        [(DIR, b"/t"), (FACTS, b"/other/a")],
        [(DIR, b"/t"), (FACTS, b"/t/..")],
        [(DIR, b"/t"), (FACTS, b"/t/")],
        [(DIR, b"/t"), (FACTS, b"a")],
        [(DIR, b"/t"), (b"f 644", b"/t/a")],
        [(DIR, b"/t"), (b"z" + FACTS[1:], b"/t/a")],
        [(DIR, b"/t"), (DIR, b"/t/d"), (FACTS, b"/t/b"), (DIR, b"/t/d"), (DIR, b"/t/e")],
        [
            (DIR, b"/t"),
            (DIR, b"/t/d"),
            (FACTS, b"/t/d/a"),
            (FACTS, b"/t/b"),
            (DIR, b"/t/d"),
            (FACTS, b"/t/d/a"),
        ],
    ],
)
def test_rows_that_find_never_prints_are_refused(rows: list[tuple[bytes, bytes]]) -> None:
    tree = HostTree([b"/t"], Rules())
    fields = [field for facts, path in rows for field in (facts, path, b"")]
    with pytest.raises(Malformed):
        tree.take(fields)


POSIX_FACTS = b"%s 0 0 1 2020-01-01 00:00:00 +0000|2020-01-01 00:00:00 +0000|1 1 1 1"
LINK, FILE = POSIX_FACTS % b"a1ff", POSIX_FACTS % b"81a4"


@pytest.mark.parametrize("shown", [b"'/t/l' -> '/away'", b"/t/l -> /away"])
def test_where_a_link_leads_is_told_with_or_without_quotes(shown: bytes) -> None:
    assert POSIX.translate([LINK, b"/t/l", shown])[2] == b"/away"
    assert POSIX.translate([FILE, b"/t/l", shown])[2] == b""
    assert POSIX.translate([LINK, b"/t/l", b""]) == [], "it vanished"


@pytest.mark.parametrize("shown", [b"'/t/l' -> '/away", b"'/t/l'", b"'/t/other' -> '/away'"])
def test_a_link_that_leads_nowhere_is_refused(shown: bytes) -> None:
    with pytest.raises(Malformed):
        POSIX.translate([LINK, b"/t/l", shown])


def test_nobody_knows_what_separates_the_rows_of_a_listing() -> None:
    one, other = POSIX.marked(), POSIX.marked()
    assert one.separator != other.separator
    assert one.format.count(one.separator) == one.find[0][-1].count(one.separator) == 3
    assert POSIX.separator not in one.format + b"".join(one.find[0])
