"""The command line: options and answers as restic's, exit codes as promised."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from repository import cli
from repository.cli_output import printable, size_text
from repository.locks import lock_repository
from tests.conftest import PROJECT
from tests.repository.engine import PASSWORD, Restic, differences, new_local_repo, open_local
from tests.repository.nasty import make_nasty_tree


@dataclass
class Cli:
    """The command line on one repository, in this process."""

    repo: Path
    capture: pytest.CaptureFixture[str]

    def __call__(self, *args: str | Path, code: int = 0) -> str:
        """Run; return what stands on stdout."""
        assert cli.main(["-r", str(self.repo), *map(str, args)]) == code
        out, self.errors = self.capture.readouterr()
        return out

    def json(self, *args: str | Path, code: int = 0) -> Any:
        """Run with --json; return the last message."""
        return json.loads(self(*args, "--json", code=code).strip().splitlines()[-1])


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("RESTIC_PASSWORD", PASSWORD)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(cli, "_end_cleanly_on_signals", lambda: None)  # it would outlive the test
    new_local_repo(tmp_path / "repo")
    return Cli(tmp_path / "repo", capsys)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "folder").mkdir(parents=True)
    (tree / "a.txt").write_bytes(b"text of a")
    (tree / "folder" / "b.log").write_bytes(b"log " * 1000)
    (tree / "folder" / "C.TMP").write_bytes(b"temporary")
    (tree / "cache").mkdir()
    (tree / "cache" / "CACHEDIR.TAG").write_bytes(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    (tree / "cache" / "cached").write_bytes(b"x")
    return tree


def test_init_makes_a_repository_that_restic_opens(restic: str, tmp_path: Path, run: Cli) -> None:
    run.repo = tmp_path / "new" / "repo"
    made = run.json("init")
    assert made["message_type"] == "initialized"
    assert json.loads(Restic(restic, run.repo).run("cat", "config").stdout)["id"] == made["id"]
    run("init", code=1)
    assert "there is a repository already" in run.errors


def test_backup_restore_check_from_end_to_end(run: Cli, tmp_path: Path) -> None:
    make_nasty_tree(tmp_path / "tree", raw_links=True)
    summary = run.json("backup", tmp_path / "tree")
    assert (summary["message_type"], len(summary["snapshot_id"])) == ("summary", 64)
    restored = run.json("restore", f"latest:{tmp_path}/tree", "--target", tmp_path / "out", "--verify")
    assert restored["files_restored"] == summary["files_new"]
    assert differences(tmp_path / "tree", tmp_path / "out") == ""
    assert run.json("check", "--read-data")["num_errors"] == 0
    again = run.json("backup", tmp_path / "tree")
    assert again["files_unmodified"] == summary["files_new"]


def listed(run: Cli, tree: Path) -> list[str]:
    prefix = len(str(tree)) + 1
    return sorted(line[prefix:] for line in run("ls", "latest", "-q").splitlines() if len(line) >= prefix)


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        (["--exclude", "*.log"], {"folder/b.log"}),
        (["-e", "/folder", "-e", "folder/C*"], {"folder/C.TMP"}),
        (["--iexclude", "*.tmp"], {"folder/C.TMP"}),
        (["--exclude-caches"], {"cache/cached"}),
        (["--exclude-if-present", "CACHEDIR.TAG:Signature"], {"cache/cached"}),
        (["--exclude-larger-than", "1k"], {"folder/b.log"}),
        (["--one-file-system"], set()),
    ],
)
def test_exclude_options(run: Cli, tree: Path, options: list[str], left_out: set[str]) -> None:
    run("backup", *options, tree)
    everything = {str(path.relative_to(tree)) for path in tree.rglob("*")}
    missing = everything - set(listed(run, tree))
    assert missing == left_out


def test_exclude_file_and_what_the_snapshot_records(run: Cli, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "rules").write_text("# comment\n*.log\n\n")
    run("backup", "--exclude-file", tmp_path / "rules", tree, "-e", "*.TMP", "--tag", "a,b", "--tag", "c")
    (snapshot,) = run.json("snapshots")
    assert snapshot["excludes"] == ["*.TMP", "*.log"]
    assert snapshot["tags"] == ["a", "b", "c"]
    assert "folder/b.log" not in listed(run, tree)
    run("backup", "--exclude-file", tmp_path / "none", tree, code=1)
    assert "cannot read the exclude file" in run.errors


def test_host_time_parent_and_force(run: Cli, tree: Path) -> None:
    first = run.json("backup", tree, "--host", "h", "--time", "2024-01-31 14:00:00")
    later = run.json("backup", tree, "--host", "other", "--parent", first["snapshot_id"][:12])
    forced = run.json("backup", tree, "--host", "h", "--force")
    shots = {each["id"]: each for each in run.json("snapshots")}
    assert shots[first["snapshot_id"]]["time"] == "2024-01-31T14:00:00Z"
    assert shots[first["snapshot_id"]]["hostname"] == "h"
    assert shots[later["snapshot_id"]]["parent"] == first["snapshot_id"]
    assert "parent" not in shots[forced["snapshot_id"]]
    assert (later["files_unmodified"], forced["files_unmodified"], forced["data_blobs"]) == (5, 0, 0)
    run("backup", tree, "--time", "yesterday", code=2)


def test_snapshots_are_filtered(run: Cli, tree: Path) -> None:
    for host, tag in (("a", "x"), ("a", "y"), ("b", "x")):
        run("backup", tree, "--host", host, "--tag", tag)
    assert len(run("snapshots", "--host", "a", "-q").splitlines()) == 2
    assert len(run.json("snapshots", "--tag", "x")) == 2
    assert len(run.json("snapshots", "--path", tree)) == 3
    assert run.json("snapshots", "--path", "/none") == []
    assert [each["hostname"] for each in run.json("snapshots", "--latest", "1")] == ["a", "b"]
    wanted = run.json("snapshots")[1]
    assert [each["id"] for each in run.json("snapshots", wanted["short_id"])] == [wanted["id"]]
    assert f"{wanted['short_id']}  " in run("snapshots")


def test_ls_shows_folders_and_modes(run: Cli, tree: Path) -> None:
    (tree / "a.txt").chmod(0o4751)
    os.symlink("a.txt", tree / "link")
    run("backup", tree)
    lines = run("ls", "-l", "latest", tree).splitlines()
    assert [line.split()[0] for line in lines] == ["-rwsr-x--x", "drwxr-xr-x", "drwxr-xr-x", "lrwxrwxrwx"]
    assert lines[-1].endswith(f"{tree}/link -> a.txt")
    assert str(tree / "folder" / "b.log") in run("ls", "latest", tree, "--recursive").splitlines()
    assert run.json("ls", "latest", tree / "folder") == {
        "name": "b.log",
        "type": "file",
        "path": f"{tree}/folder/b.log",
        "size": 4000,
        "struct_type": "node",
        "permissions": "-rw-r--r--",
        "mode": 0o644,
        "uid": os.getuid(),
        "gid": os.getgid(),
        **{key: run.json("ls", "latest", tree / "folder")[key] for key in ("mtime", "atime", "ctime")},
    }
    run("ls", "latest", "/none", code=1)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], {"a.txt", "cache/CACHEDIR.TAG", "cache/cached", "folder/b.log", "folder/C.TMP"}),
        (["--include", "*.log"], {"folder/b.log"}),
        (["--include", "folder"], {"folder/b.log", "folder/C.TMP"}),
        (["-i", "folder", "-e", "*.TMP"], {"folder/b.log"}),
        (["--exclude", "folder"], {"a.txt", "cache/CACHEDIR.TAG", "cache/cached"}),
    ],
)
def test_restore_selects_by_patterns(
    run: Cli, tree: Path, tmp_path: Path, options: list[str], expected: set[str]
) -> None:
    run("backup", tree)
    run("restore", "latest", "-t", tmp_path / "out", *options)
    top = Path(f"{tmp_path}/out{tree}")
    assert {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()} == expected


def test_a_restore_of_nothing_fails(run: Cli, tree: Path, tmp_path: Path) -> None:
    run("backup", tree)
    run("restore", "latest", "--target", tmp_path / "out", "--include", "none", code=1)
    assert "nothing in the snapshot fits" in run.errors


def test_overwrite_never_keeps_what_is_there(run: Cli, tree: Path, tmp_path: Path) -> None:
    run("backup", tree)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_bytes(b"mine")
    to = ["--target", tmp_path / "out"]
    assert run.json("restore", f"latest:{tree}", *to, "--overwrite", "never")["files_skipped"] == 1
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"mine"
    run("restore", f"latest:{tree}", *to, "--overwrite", "never", "--verify", code=2)
    run("restore", f"latest:{tree}", *to)
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"text of a"


def test_a_damaged_pack_fails_check_and_restore(run: Cli, tree: Path, tmp_path: Path) -> None:
    run("backup", tree)
    for pack in (run.repo / "data").glob("??/*"):
        data = bytearray(pack.read_bytes())
        data[20] ^= 1
        pack.chmod(0o600)
        pack.write_bytes(data)
    report = run.json("check", "--read-data", code=1)
    assert report["num_errors"] >= 4
    assert report["affected"]
    run("restore", "latest", "--target", tmp_path / "out", code=1)
    assert "the file" in run.errors or "pack" in run.errors


def test_verify_sees_what_changed_after_the_restore(
    run: Cli, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from repository import cli_restore

    restore = cli_restore.restore

    def restore_and_spoil(*args: Any) -> Any:
        result = restore(*args)
        (tmp_path / "out" / "a.txt").write_bytes(b"TEXT OF A")
        return result

    run("backup", tree)
    monkeypatch.setattr(cli_restore, "restore", restore_and_spoil)
    run("restore", f"latest:{tree}", "--target", tmp_path / "out", "--verify", code=1)
    assert "/a.txt: its content is not what was written" in run.errors


def test_forget_and_unlock(run: Cli, tree: Path) -> None:
    kept, gone = (run.json("backup", tree)["snapshot_id"] for _ in range(2))
    assert run.json("forget", gone[:10])["removed"] == [gone]
    assert [each["id"] for each in run.json("snapshots")] == [kept]
    run("forget", gone, code=1)
    with lock_repository(open_local(run.repo)):
        assert run.json("unlock")["removed"] == []
        assert len(run.json("unlock", "--remove-all")["removed"]) == 1


def test_exit_codes_of_failures(
    run: Cli, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lock_repository(open_local(run.repo), exclusive=True):
        for command in (["backup", str(tree)], ["snapshots"], ["check"]):
            run(*command, code=11)
            assert "the repository is locked by exclusively" in run.errors
        run("snapshots", "--no-lock")
    run("backup", tree / "none", code=1)
    run("restore", "latest", "-t", tmp_path / "out", code=1)
    monkeypatch.setenv("RESTIC_PASSWORD", "wrong")
    run("snapshots", code=12)
    monkeypatch.delenv("RESTIC_PASSWORD")
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    run("snapshots", code=2)
    run.repo = tree
    monkeypatch.setenv("RESTIC_PASSWORD", PASSWORD)
    run("snapshots", code=10)
    run.repo = tmp_path / "none"
    run("snapshots", code=10)
    run.repo = Path("s3:host/bucket")
    run("snapshots", code=2)


def test_failures_are_json_where_asked(run: Cli, tmp_path: Path) -> None:
    run.repo = tmp_path / "none"
    run("snapshots", "--json", code=10)
    assert json.loads(run.errors)["code"] == 10


@pytest.mark.parametrize("argv", [[], ["none"], ["backup"], ["restore", "latest"], ["ls", "latest", "--bad"]])
def test_bad_usage_is_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["--help"], ["backup", "--help"]):
        with pytest.raises(SystemExit):
            cli.main(argv)
        assert "130  interrupted" in capsys.readouterr().out


@pytest.mark.parametrize(
    "data",
    [b"geheim", b"  geheim\r\n", b"\xef\xbb\xbfgeheim\n", "geheim\n".encode("utf-16")],
    ids=["plain", "spaces", "bom", "utf-16"],
)
def test_password_files_are_read_as_restic_reads_them(
    run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    (tmp_path / "password").write_bytes(data)
    monkeypatch.setenv("RESTIC_PASSWORD", "wrong, and not asked for")
    run("snapshots", "--password-file", tmp_path / "password")
    monkeypatch.setenv("RESTIC_PASSWORD_FILE", str(tmp_path / "password"))
    run("snapshots")


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("Europe/Berlin", "+01:00"), (":Europe/Berlin", "+01:00"), ("", "Z"), ("Nowhere/None", "Z")],
)
def test_times_are_in_the_zone_that_tz_names(
    run: Cli, tree: Path, monkeypatch: pytest.MonkeyPatch, zone: str, expected: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    run("backup", tree, "--time", "2024-01-31 14:00:00")
    assert run.json("snapshots")[0]["time"] == f"2024-01-31T14:00:00{expected}"


def test_a_reader_that_goes_away_is_no_traceback(run: Cli, tree: Path) -> None:
    run("backup", tree)
    place = {"RESTIC_PASSWORD": PASSWORD, "RESTIC_REPOSITORY": str(run.repo)}
    process = subprocess.Popen(
        [sys.executable, "-m", "repository", "ls", "latest"],
        env={"PATH": os.environ["PATH"], **place},
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (1, b"")
    assert open_local(run.repo).files.list("locks") == []


def test_names_cannot_write_on_the_terminal(run: Cli, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "red \x1b[31m\nline").write_bytes(b"")
    run("backup", tmp_path / "tree")
    assert run("ls", "latest", tmp_path / "tree") == f"{tmp_path}/tree/red \\x1b[31m\\nline\n"
    assert printable("\u202e") == "\\u202e"


def test_sizes_are_said_for_people() -> None:
    assert [size_text(size) for size in (0, 1023, 1536, 5 * 2**30, 2**60)] == [
        *("0 B", "1023 B", "1.5 KiB", "5.0 GiB", "1024.0 PiB")
    ]
