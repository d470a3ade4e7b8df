"""A tree over SSH is what the same tree is when it is read here."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs

from repository.entries import Entry, Problem, ScannableSource, SourceUnavailable
from sources.local import LocalSource
from sources.rules import Rules
from sources.ssh import patience
from sources.ssh.host import SshHostSettings
from sources.ssh.in_place import SshInPlaceTarget
from sources.ssh.source import SshSource
from ssh.server import Server
from tests.ports import free_port
from tests.servers.sshd import Sshd
from tests.servers.tcp_wire import wire_to
from tests.sources.nasty import make_nasty_tree
from tests.sources.trees import needs_root, read_chunks, walk

NO_RULES = Rules()


def over_ssh(sshd: Sshd, *paths: Path | str, rules: Rules = NO_RULES, **more: object) -> SshSource:
    return SshSource(SshHostSettings(sshd.server()), [str(path) for path in paths], rules=rules, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = make_nasty_tree(tmp_path_factory.mktemp("ssh") / "nasty")
    os.link(tree / "sizes" / "sparse", tree / "sizes" / "another name")
    (tree / "large").write_bytes(os.urandom(9_000_001))
    return tree


def plain(entry: Entry) -> Entry:
    """Return the entry but for the order of its attributes, which getfattr does not keep."""
    return structs.replace(entry, xattrs=tuple(sorted(entry.xattrs)))


def test_the_nasty_tree_is_the_same_as_read_here(sshd: Sshd, nasty: Path) -> None:
    source = over_ssh(sshd, nasty)
    source.check()
    here = walk(LocalSource([str(nasty)]), may_complain=True)
    there = walk(source, may_complain=True)
    assert there.keys() == here.keys()
    below = [path for path in here if path.startswith(os.fsencode(nasty))]
    assert [plain(there[path]) for path in below] == [plain(here[path]) for path in below]
    assert isinstance(source, ScannableSource)
    source.close()


def test_the_content_of_every_file_is_the_same(sshd: Sshd, nasty: Path) -> None:
    source = over_ssh(sshd, nasty)
    files = [path for path, entry in walk(source).items() if entry.kind == "file"]
    for file in source.open_files(list(files)):
        assert not isinstance(file, Problem), file
        assert b"".join(read_chunks(file)) == Path(os.fsdecode(file.path)).read_bytes()
        assert file.entry_now() is file.entry
        file.close()
        files.remove(file.path)
    assert files == []
    source.close()


def test_rules_leave_out_the_same_as_here(sshd: Sshd, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in (
        "keep/a.txt",
        "keep/a.tmp",
        "cache/x/y",
        "Build/out",
        "odd[1]/file",
        "deep/no/no/file",
        "big",
    ):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_bytes(b"x" * (5000 if name == "big" else 10))
    (tree / "tagged").mkdir()
    (tree / "tagged" / ".nobackup").touch()
    (tree / "tagged" / "below").mkdir()
    (tree / "tagged" / "below" / "file").touch()
    (tree / "cached").mkdir()
    (tree / "cached" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    (tree / "cached" / "file").touch()
    (tree / "not cached").mkdir()
    (tree / "not cached" / "CACHEDIR.TAG").write_text("no signature")
    (tree / "not cached" / "file").touch()
    rules = Rules(
        exclude=(f"{tree}/cache", "*.tmp", "deep/**/file", f"{tree}/odd[[]1]"),
        iexclude=("build",),
        exclude_caches=True,
        exclude_if_present=(".nobackup",),
        exclude_larger_than=4000,
    )
    source = over_ssh(sshd, tree, rules=rules)
    here, there = walk(LocalSource([str(tree)], rules=rules)), walk(source)
    assert there.keys() == here.keys()
    scanned = {each.path for each in source.scan()}
    assert scanned == {
        path for path, entry in there.items() if entry.kind == "dir" and path.startswith(os.fsencode(tree))
    }
    assert (
        over_ssh(sshd, tree, rules=Rules(exclude=(str(tree),))).list_dir(os.fsencode(tmp_path)).entries == []
    )
    source.close()


def test_places_that_are_never_backed_up(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "tree" / "[its data]").mkdir(parents=True)
    (tmp_path / "tree" / "[its data]" / "file").touch()
    (tmp_path / "tree" / "other").touch()
    source = over_ssh(sshd, tmp_path / "tree", never=[(str(tmp_path / "tree" / "[its data]"), "our own")])
    assert [path.rpartition(b"/")[2] for path in walk(source)][-1:] == [b"other"]
    source.close()


def test_paths_that_are_missing_or_relative_are_refused(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="does not exist"):
        over_ssh(sshd, tmp_path, tmp_path / "not here").check()
    with pytest.raises(SourceUnavailable, match="absolute"):
        over_ssh(sshd, "etc")


def test_targets_within_each_other_and_links(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "real" / "below" / "file").write_text("x")
    (tmp_path / "way").symlink_to("real")
    targets = [tmp_path / "way" / "below", tmp_path / "real", tmp_path / "real" / "below"]
    source = over_ssh(sshd, *targets)
    here, there = walk(LocalSource([str(t) for t in targets])), walk(source)
    assert there.keys() == here.keys()
    assert there[os.fsencode(tmp_path / "way")].kind == "dir", "links above a target are followed"
    link = over_ssh(sshd, tmp_path / "way")
    problems = link.list_dir(os.fsencode(tmp_path)).problems
    assert ["Name that itself" in problem.message for problem in problems] == [True]
    source.close()
    link.close()


def test_a_file_that_changed_since_the_listing_is_noticed_and_read_again(sshd: Sshd, tmp_path: Path) -> None:
    small, large, gone, other = (tmp_path / name for name in ("small", "large", "gone", "other"))
    for path in (small, gone, other):
        path.write_bytes(b"before")
    large.write_bytes(b"before" * 1_000_000)
    source = over_ssh(sshd, tmp_path)
    files = [path for path, entry in walk(source).items() if entry.kind == "file"]
    small.write_bytes(b"afterwards")
    large.write_bytes(b"later!" * 1_000_000)
    gone.unlink()
    other.unlink()
    other.mkdir()
    seen = {}
    for file in source.open_files(files):
        if isinstance(file, Problem):
            seen[Path(os.fsdecode(file.path)).name] = file.kind
            continue
        b"".join(read_chunks(file))
        assert file.entry_now() != file.entry
        file.close()
    assert seen == {"gone": "vanished", "other": "vanished"}
    for path in (small, large):
        for file in source.open_files([os.fsencode(path)]):
            assert not isinstance(file, Problem)
            assert b"".join(read_chunks(file)) == path.read_bytes()
            assert file.entry_now() is file.entry
            assert file.entry.size == path.stat().st_size
            file.close()
    source.close()


def test_a_lost_host_is_a_lost_source(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "WAITS_S", (0.0, 0.0))
    (tmp_path / "large").write_bytes(os.urandom(30_000_000))
    with wire_to(sshd.port) as wire:
        source = SshSource(SshHostSettings(sshd.server(port=wire.port)), [str(tmp_path)])
        walk(source)
        wire.cut_after(down=5_000_000, for_good=True)
        opened = source.open_files([os.fsencode(tmp_path / "large")])
        file = next(iter(opened))
        assert not isinstance(file, Problem)
        with pytest.raises(SourceUnavailable, match="the next run goes on"):
            b"".join(read_chunks(file))
        source.close()


def test_a_large_file_goes_on_after_cuts(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one with holes."""
    monkeypatch.setattr(patience, "WAITS_S", (0.0,) * 6)
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.write(os.urandom(20_000_000))
        file.seek(25_000_000)
        file.write(os.urandom(5_000_000))
    with wire_to(sshd.port) as wire:
        source = SshSource(SshHostSettings(sshd.server(port=wire.port)), [str(tmp_path)])
        walk(source)
        wire.cut_after(down=9_000_000)
        (file,) = source.open_files([os.fsencode(path)])
        assert not isinstance(file, Problem)
        content = bytearray()
        for piece in read_chunks(file):
            content += piece
            if wire.cuts == 1 and len(content) > 12_000_000:
                wire.cut()
        assert content == path.read_bytes()
        assert file.entry_now() is file.entry
        assert wire.cuts == 2
        file.close()
        source.close()


def test_a_large_file_that_changed_before_it_could_go_on_is_read_anew(sshd: Sshd, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(os.urandom(30_000_000))  # so that nothing packs it
    with wire_to(sshd.port) as wire:
        source = SshSource(SshHostSettings(sshd.server(port=wire.port)), [str(tmp_path)])
        walk(source)
        wire.cut_after(down=9_000_000)
        opened = source.open_files([os.fsencode(path)])
        file = next(iter(opened))
        assert not isinstance(file, Problem)
        pieces = read_chunks(file)
        next(pieces)
        path.write_bytes(os.urandom(30_000_000))
        list(pieces)
        assert file.entry_now() != file.entry
        file.close()
        (file,) = source.open_files([os.fsencode(path)])
        assert not isinstance(file, Problem)
        assert b"".join(read_chunks(file)) == path.read_bytes()
        assert file.entry_now() is file.entry
        source.close()


def test_small_files_survive_a_cut(sshd: Sshd, tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}").write_bytes(os.urandom(1_000_000))
    with wire_to(sshd.port) as wire:
        source = SshSource(SshHostSettings(sshd.server(port=wire.port)), [str(tmp_path)])
        files = [path for path, entry in walk(source).items() if entry.kind == "file"]
        wire.cut_after(down=3_000_000)
        for file in source.open_files(files):
            assert not isinstance(file, Problem)
            assert b"".join(read_chunks(file)) == Path(os.fsdecode(file.path)).read_bytes()
        assert wire.cuts == 1
        source.close()


def test_a_host_that_is_away_or_not_the_right_one(sshd: Sshd, tmp_path: Path) -> None:
    away = SshSource(SshHostSettings(sshd.server(port=free_port())), [str(tmp_path)])
    with pytest.raises(SourceUnavailable, match="no connection"):
        away.check()
    wrong = replace(sshd.server(), known_host_keys=())
    with pytest.raises(SourceUnavailable, match="not known yet"):
        SshSource(SshHostSettings(wrong), [str(tmp_path)]).check()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter; pytest's own ones are closed to them."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    for name, mode in (("open", 0o644), ("secret", 0o600)):
        (folder / name).write_text(name)
        (folder / name).chmod(mode)
    (folder / "closed").mkdir(mode=0o700)
    (folder / "closed" / "file").touch()
    yield folder
    shutil.rmtree(folder)


@needs_root
def test_as_another_user(ordinary: Server, open_folder: Path) -> None:
    source = SshSource(SshHostSettings(ordinary), [str(open_folder)])
    listing = source.list_dir(os.fsencode(open_folder))
    assert listing.problems == []
    with pytest.raises(OSError, match="Permission denied"):
        source.list_dir(os.fsencode(open_folder / "closed"))
    found = list(source.open_files([os.fsencode(open_folder / name) for name in ("secret", "open")]))
    said = {each.path: each.message for each in found if isinstance(each, Problem)}
    assert list(said) == [os.fsencode(open_folder / "secret")]
    assert "Permission denied" in said[os.fsencode(open_folder / "secret")]
    source.close()


@needs_root
def test_sudo_that_is_refused_is_named(ordinary: Server, open_folder: Path) -> None:
    with pytest.raises(SourceUnavailable, match="sudo"):
        SshSource(SshHostSettings(ordinary, sudo=True), [str(open_folder)]).check()


@needs_root
def test_sudo_reads_all_that_root_may(sudoer: Server, open_folder: Path) -> None:
    (open_folder / "closed" / "large").write_bytes(os.urandom(5_000_000))
    source = SshSource(SshHostSettings(sudoer, sudo=True), [str(open_folder)])
    source.check()
    here, there = walk(LocalSource([str(open_folder)])), walk(source)
    below = [path for path in here if path.startswith(os.fsencode(open_folder))]
    assert [there[path] for path in below] == [here[path] for path in below]
    for file in source.open_files([path for path in below if here[path].kind == "file"]):
        assert not isinstance(file, Problem), file
        assert b"".join(read_chunks(file)) == Path(os.fsdecode(file.path)).read_bytes()
        assert file.entry_now() is file.entry
        file.close()
    source.close()


@needs_root
def test_sudo_restores_with_owners(sudoer: Server, open_folder: Path) -> None:
    there = SshInPlaceTarget(SshHostSettings(sudoer, sudo=True), str(open_folder))
    entry = Entry(b"secret", "file", 0o640, 10**18, uid=1234, gid=4321, size=3, links=1)
    there.start_dir(b"/")
    there.write_file(b"/secret", entry, [b"new"])
    there.flush()
    there.close()
    stat = (open_folder / "secret").stat()
    assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o777) == (1234, 4321, 0o640)
    assert (open_folder / "secret").read_text() == "new"


@needs_root
def test_a_locked_account_is_named(ordinary: Server, tmp_path: Path) -> None:
    subprocess.run(["usermod", "--lock", ordinary.user], check=True)
    with pytest.raises(SourceUnavailable, match="the account is not locked"):
        SshSource(SshHostSettings(ordinary), [str(tmp_path)]).check()
