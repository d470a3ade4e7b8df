"""A host that lets us in for SFTP alone gives what SFTP can tell, and says what it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from repository.entries import Entry, Problem, SourceUnavailable
from sources.local import LocalSource
from sources.rules import Rules
from sources.ssh.host import SshHostSettings
from sources.ssh.source import SshSource
from tests.servers.sshd import Sshd
from tests.sources.nasty import make_nasty_tree
from tests.sources.trees import read_chunks, walk


def over_sftp(sshd: Sshd, tree: Path, rules: Rules | None = None) -> SshSource:
    settings = SshHostSettings(sshd.server(key=sshd.sftp_only_key))
    return SshSource(settings, [str(tree)], rules=rules or Rules())


def told(entry: Entry) -> tuple[object, ...]:
    """Return what SFTP tells."""
    return entry.kind, entry.mode, entry.uid, entry.gid, entry.size, entry.linktarget, entry.mtime_ns // 10**9


def test_the_nasty_tree_and_its_files(sshd: Sshd, tmp_path: Path) -> None:
    tree = make_nasty_tree(tmp_path / "tree")
    (tree / "large").write_bytes(os.urandom(9_000_000))
    source = over_sftp(sshd, tree)
    source.check()
    assert ["SFTP alone" in limit for limit in source.limits] == [True]
    here, there = walk(LocalSource([str(tree)])), walk(source, may_complain=True)
    devices = {path for path, entry in here.items() if entry.kind in ("dev", "chardev")}
    assert here.keys() - there.keys() == devices
    odd = {path for path in there if b"year" in path or not path.startswith(os.fsencode(tree))}
    compared = there.keys() - odd  # beyond 32 bits, the protocol has no times
    assert {path: told(there[path]) for path in compared} == {path: told(here[path]) for path in compared}
    files = [path for path, entry in there.items() if entry.kind == "file"]
    for file in source.open_files(list(files)):
        assert not isinstance(file, Problem), file
        assert b"".join(read_chunks(file)) == Path(os.fsdecode(file.path)).read_bytes()
        assert file.entry_now() is file.entry
        file.close()
        files.remove(file.path)
    assert files == []
    source.close()


def test_devices_are_named_as_left_out(sshd: Sshd, tmp_path: Path) -> None:
    source = over_sftp(sshd, Path("/dev"))
    problems = source.list_dir(b"/dev").problems
    assert (b"/dev/null", "unsupported") in [(each.path, each.kind) for each in problems]
    source.close()


def test_rules_and_tags_hold(sshd: Sshd, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("keep/a", "keep/b.tmp", "cache/x"):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("x")
    (tree / "cache" / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    rules = Rules(exclude=("*.tmp",), exclude_caches=True)
    source = over_sftp(sshd, tree, rules)
    here = walk(LocalSource([str(tree)], rules=rules))
    assert walk(source, may_complain=True).keys() == here.keys()
    source.close()


def test_a_path_that_is_missing_and_sudo_are_refused(sshd: Sshd, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="does not exist"):
        over_sftp(sshd, tmp_path / "not here").check()
    settings = SshHostSettings(sshd.server(key=sshd.sftp_only_key), sudo=True)
    with pytest.raises(SourceUnavailable, match="no sudo"):
        SshSource(settings, [str(tmp_path)]).check()
