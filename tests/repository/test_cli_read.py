"""dump, find, diff, stats and cat: the same answers as the real restic gives."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from repository.files import list_packs, pack_key
from repository.ids import hash_bytes
from tests.conftest import PROJECT
from tests.repository.engine import PASSWORD, Restic, open_local
from tests.repository.test_cli import Cli, run, tree

__all__ = ["run", "tree"]


@pytest.fixture
def two(run: Cli, tree: Path, restic: str) -> tuple[str, str]:
    """Two snapshots of a tree that changed in every way; their ids."""
    (tree / "link").symlink_to("a.txt")
    (tree / "gone").mkdir()
    (tree / "gone" / "below").write_bytes(b"x" * 5000)
    (tree / "stays").mkdir()
    (tree / "stays" / "same").write_bytes(b"log " * 1000)
    (tree / "kind").write_bytes(b"a file")
    os.link(tree / "a.txt", tree / "a second name")
    run("backup", tree)
    (tree / "link").unlink()
    (tree / "gone" / "below").unlink()
    (tree / "gone").rmdir()
    (tree / "folder" / "b.log").write_bytes(b"changed")
    (tree / "folder" / "C.TMP").chmod(0o600)
    (tree / "folder" / "n\u00e9w").write_bytes(b"new")
    (tree / "kind").unlink()
    (tree / "kind").mkdir()
    (tree / "kind" / "inside").write_bytes(b"inside")
    run("backup", tree)
    first, second = json.loads(run("snapshots", "--json"))
    return first["id"], second["id"]


@pytest.fixture
def theirs(run: Cli, restic: str) -> Restic:
    return Restic(restic, run.repo)


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def by_path(message: dict[str, Any]) -> str:
    return str(message.get("path", "~"))  # the sums come last


@pytest.mark.parametrize("options", [[], ["--metadata"]])
def test_diff_answers_as_restic(run: Cli, two: tuple[str, str], theirs: Restic, options: list[str]) -> None:
    for pair in (two, two[::-1], (two[0], two[0])):
        ours = lines(run("diff", *pair, *options, "--json"))
        other = lines(theirs.run("diff", *pair, *options, "--json").stdout)
        assert sorted(ours, key=by_path) == sorted(other, key=by_path)
    assert f"M    {run.repo.parent}/tree/folder/b.log" in run("diff", *two)


@pytest.mark.parametrize(
    "options",
    [
        ["*.log"],
        ["C*", "inside"],
        ["c.tmp", "-i"],
        ["c.tmp"],
        ["folder"],
        ["nothing"],
        ["*", "--oldest", "2999-01-01"],
        ["a.txt", "--newest", "2999-01-01"],
    ],
)
def test_find_answers_as_restic(run: Cli, two: tuple[str, str], theirs: Restic, options: list[str]) -> None:
    def comparable(text: str) -> dict[str, Any]:
        return {each["snapshot"]: each for each in json.loads(text)}

    ours, other = run("find", *options, "--json"), theirs.run("find", *options, "--json").stdout
    assert comparable(ours) == comparable(other)


def test_find_tells_who_uses_a_blob(run: Cli, two: tuple[str, str], theirs: Restic) -> None:
    blob = hash_bytes(b"x" * 5000).hex()
    ours = json.loads(run("find", "--blob", blob, "--json"))
    assert ours == json.loads(theirs.run("find", "--blob", blob, "--json").stdout)
    assert ours[0]["path"].endswith("/gone/below")
    assert "gone/below" in run("find", "--blob", blob)
    run("find", "--blob", "abc", code=2)


def test_find_may_be_limited_to_snapshots(run: Cli, two: tuple[str, str]) -> None:
    found = json.loads(run("find", "b.log", "--snapshot", two[0], "--json"))
    assert [each["snapshot"] for each in found] == [two[0]]
    assert "tree/folder/b.log" in run("find", "b.log", "-l")


def test_stats_count_as_restic(run: Cli, two: tuple[str, str], theirs: Restic) -> None:
    for ids in ([], [two[0]]):
        for mode in ("restore-size", "raw-data"):
            ours = run.json("stats", "--mode", mode, *ids)
            other = json.loads(theirs.run("stats", "--json", "--mode", mode, *ids).stdout)
            common = ours.keys() & other.keys()
            assert {"total_size", "snapshots_count"} <= common
            assert {key: ours[key] for key in common} == {key: other[key] for key in common}
        ours = run.json("stats", "--mode", "files-by-contents", *ids)
        other = json.loads(theirs.run("stats", "--json", "--mode", "files-by-contents", *ids).stdout)
        # restic counts all folders together as one content more
        assert (ours["total_size"], ours["total_file_count"]) == (
            other["total_size"],
            other["total_file_count"] - 1,
        )


def test_cat_shows_what_restic_shows(run: Cli, two: tuple[str, str], theirs: Restic) -> None:
    for what in (["config"], ["masterkey"]):
        assert json.loads(run("cat", *what)) == json.loads(theirs.run("cat", *what).stdout)
    shown = json.loads(theirs.run("cat", "snapshot", two[1]).stdout)
    ours = json.loads(run("cat", "snapshot", two[1]))
    assert shown == {key: ours[key] for key in shown}  # restic drops newer keys
    for kind, what in (("keys", "key"), ("index", "index")):
        name = next((run.repo / kind).iterdir()).name
        shown = json.loads(run("cat", what, name[:12]))
        assert shown == json.loads(theirs.run("cat", what, name).stdout)
    blob = hash_bytes(b"log " * 1000).hex()
    assert run("cat", "blob", blob) == "log " * 1000
    tree = json.loads(run("cat", "snapshot", two[0]))["tree"]
    assert json.loads(run("cat", "blob", tree))["nodes"]


def test_cat_refuses_what_is_not_there(run: Cli, tree: Path) -> None:
    run("cat", "blob", "0" * 64, code=1)
    run("cat", "blob", "x" * 64, code=1)
    assert "all 64 hex digits" in run.errors
    run("cat", "index", "abc", code=1)
    run("cat", "config", "abc", code=2)
    run("cat", "snapshot", code=2)


def raw(repo: Path, *args: str) -> bytes:
    """Run in a process of its own: what is written is no text."""
    command = [sys.executable, "-m", "repository", "--no-cache", "-r", str(repo), *args]
    env = {**os.environ, "RESTIC_PASSWORD": PASSWORD}
    return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, check=True).stdout


def test_dump_writes_files_and_archives(run: Cli, two: tuple[str, str], theirs: Restic, tree: Path) -> None:
    assert run("dump", two[1], f"{tree}/folder/b.log") == "changed"
    run("dump", two[1], f"{tree}/nothing", code=1)
    assert "nothing" in run.errors
    command = [theirs.program, "-r", str(theirs.repo), "--no-cache", "dump", two[1], str(tree / "folder")]
    other = subprocess.run(command, env=theirs.env(), capture_output=True, check=True).stdout
    ours = raw(run.repo, "dump", two[1], str(tree / "folder"))
    assert _contents(ours) == _contents(other)
    with zipfile.ZipFile(io.BytesIO(raw(run.repo, "dump", "latest", str(tree), "-a", "zip"))) as archive:
        assert archive.testzip() is None
        assert archive.read("tree/kind/inside") == b"inside"


def _contents(data: bytes) -> dict[str, bytes | None]:
    """Return what is in an archive; names from the last folder on, since restic starts them at the root."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {
            member.name[member.name.index("folder") :]: opened.read() if opened else None
            for member in archive
            if "folder/" in member.name
            for opened in [archive.extractfile(member)]
        }


def test_cat_pack_is_the_pack(run: Cli, two: tuple[str, str]) -> None:
    storage = open_local(run.repo).storage
    pack = min(list_packs(storage))
    assert raw(run.repo, "cat", "pack", pack.hex()) == storage.get(pack_key(pack))
