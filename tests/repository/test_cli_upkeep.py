"""The commands that look after a repository: restic's options, answers in words and JSON, exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repository import cli
from repository.cli_prune import parse_bytes, parse_unused
from repository.cli_session import UsageError
from repository.files import list_packs
from repository.locks import lock_repository
from repository.prune_plan import Unused
from tests.repository.engine import PASSWORD, Restic, new_local_repo, open_local
from tests.repository.test_cli import Cli

DAYS = ("2024-02-28", "2024-02-29", "2024-03-01", "2024-03-02")


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    monkeypatch.setenv("RESTIC_PASSWORD", PASSWORD)
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setattr(cli, "_end_cleanly_on_signals", lambda: None)  # it would outlive the test
    monkeypatch.setattr("repository.locks.SETTLE_S", 0)
    new_local_repo(tmp_path / "repo")
    return Cli(tmp_path / "repo", capsys)


@pytest.fixture
def ids(run: Cli, tmp_path: Path) -> list[str]:
    """Four snapshots, each of which has something to itself."""
    (tmp_path / "tree").mkdir()
    made = []
    for number, day in enumerate(DAYS):
        (tmp_path / "tree" / "file").write_bytes(b"%d" % number * 50_000)
        tag = "odd" if number % 2 else "even"
        snapshot: dict[str, Any] = run.json(
            "backup",
            tmp_path / "tree",
            "--time",
            f"{day} 12:00:00",
            "--tag",
            f"{tag},all",
            "-H",
            f"host{number}",
        )
        made.append(snapshot["snapshot_id"])
    return made


def there(run: Cli) -> list[str]:
    return [snapshot_id.hex() for snapshot_id, _ in open_local(run.repo).list_snapshots()]


@pytest.mark.parametrize(
    "options",
    [
        ["--keep-last", "1", "--group-by", ""],
        ["--keep-monthly", "2", "--group-by", "paths"],
        ["--keep-within", "1d", "--group-by", "tags"],
        ["--keep-daily", "1", "--tag", "odd", "--group-by", "host,paths"],
        ["--keep-tag", "odd,all", "--keep-within-daily", "2d", "-g", "paths"],
        ["-l", "1", "--host", "host0", "--host", "host2", "-g", ""],
    ],
    ids=" ".join,
)
def test_a_policy_removes_what_restic_would_remove(
    run: Cli, ids: list[str], restic: str, options: list[str]
) -> None:
    theirs = json.loads(Restic(restic, run.repo).run("forget", "--json", "--dry-run", *options).stdout)
    planned = run.json("forget", "--dry-run", *options)
    assert there(run) == ids
    done = run.json("forget", *options)
    assert done == planned
    assert decided(done) == decided(theirs)
    gone = {each["id"] for group in theirs for each in group["remove"] or ()}
    assert there(run) == [each for each in ids if each not in gone]


def decided(groups: Any) -> list[Any]:
    """Return what was decided of each group, in any order of groups, each snapshot in the form of restic."""
    return sorted(
        [group["host"], group["paths"], group["tags"], [each["id"] for each in group["keep"] or ()],
         [each["id"] for each in group["remove"] or ()], [each["matches"] for each in group["reasons"] or ()]]
        for group in groups
    )  # fmt: skip


def test_a_dry_run_gives_the_reasons(run: Cli, ids: list[str]) -> None:
    out = run("forget", "--dry-run", "--keep-last", "1", "--keep-tag", "even", "--group-by", "paths")
    lines = {line.split()[0]: line for line in out.splitlines() if line.startswith("  ")}
    assert lines[ids[3][:8]].endswith("last snapshot")
    assert lines[ids[2][:8]].endswith("has tags [even]")
    assert lines[ids[1][:8]].endswith("would be removed, no rule keeps it")
    assert "1 snapshots would be removed" in out
    assert there(run) == ids


def test_forget_refuses_without_a_rule_and_to_remove_all(run: Cli, ids: list[str]) -> None:
    run("forget", code=2)
    assert "--keep-last" in run.errors
    run("forget", "--keep-last", "0", code=2)
    run("forget", "--keep-tag", "nobody's", code=1)
    assert "keeps no snapshot at all of host host0" in run.errors
    run("forget", "--keep-last", "some", code=2)
    run("forget", "--keep-within", "2 weeks", code=2)
    run("forget", "--keep-last", "1", "--group-by", "colour", code=2)
    assert there(run) == ids
    run("forget", "--keep-tag", "nobody's", "--unsafe-allow-remove-all")
    assert there(run) == []


def test_forget_by_id_with_prune_frees_what_its_dry_run_said(run: Cli, ids: list[str]) -> None:
    planned = run.json("forget", ids[0], "--prune", "--dry-run", "--max-unused", "0")
    assert (planned["dry_run"], there(run)) == (True, ids)
    before = sum(list_packs(open_local(run.repo).storage).values())
    done = run.json("forget", ids[0], "--prune", "--max-unused", "0")
    after = sum(list_packs(open_local(run.repo).storage).values())
    assert there(run) == ids[1:]
    assert done["bytes_freed"] == before - after > 0
    assert planned["packs_deleted"] == done["packs_deleted"]
    assert run.json("prune")["bytes_freed"] == 0
    assert "no errors were found" in run("check", "--read-data")


def test_prune_waits_for_nobody(run: Cli, ids: list[str], restic: str) -> None:
    with lock_repository(open_local(run.repo)):
        run("prune", code=11)
        refused = Restic(restic, run.repo).run("prune", check=False)
        assert refused.returncode != 0
        assert "already locked" in refused.stderr
    assert "freed" in run("prune")


def test_tags_are_changed(run: Cli, ids: list[str]) -> None:
    changed = run.json("tag", "--add", "new", "--remove", "odd,even", ids[0])["changed"]
    assert [each["old"] for each in changed] == [ids[0]]
    assert open_local(run.repo).load_snapshot(bytes.fromhex(changed[0]["new"])).tags == ["all", "new"]
    assert len(run.json("tag", "--set", "", "--tag", "all,odd")["changed"]) == 2
    assert [each.tags for _, each in open_local(run.repo).list_snapshots()].count([]) == 2
    run("tag", ids[2], code=2)
    run("tag", "--set", "a", "--add", "b", code=2)


def test_snapshots_are_copied(
    run: Cli, ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new_local_repo(tmp_path / "two")
    two = Cli(tmp_path / "two", run.capture)
    two("copy", code=2)
    two("copy", "--from-repo", run.repo, code=2)
    assert "--from-password-file" in two.errors
    (tmp_path / "password").write_text(PASSWORD + "\n")
    from_one = ("--from-repo", run.repo, "--from-password-file", tmp_path / "password")
    assert [each["from"] for each in two.json("copy", *from_one, ids[1], ids[2])["copied"]] == ids[1:3]
    monkeypatch.setenv("RESTIC_FROM_REPOSITORY", str(run.repo))
    monkeypatch.setenv("RESTIC_FROM_PASSWORD", PASSWORD)
    rest = two.json("copy", "--tag", "odd")
    assert ([each["from"] for each in rest["copied"]], len(rest["skipped"])) == ([ids[3]], 1)
    monkeypatch.setenv("RESTIC_FROM_PASSWORD", "wrong")
    two("copy", code=12)
    assert "no errors were found" in two("check", "--read-data")


def test_passwords_are_listed_added_changed_and_removed(
    run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "new").write_text("second\n")
    first = run.json("key", "list")[0]
    added = run.json("key", "add", "--new-password-file", tmp_path / "new")["id"]
    assert [each["id"] for each in run.json("key", "list") if each["current"]] == [first["id"]]
    assert f"*{first['id'][:8]}" in run("key", "list")
    run("key", "remove", first["id"], code=1)
    assert "in use" in run.errors
    run("key", "remove", code=2)
    run("key", "remove", "zz", code=1)
    run("key", "remove", added[:12])
    run("key", "passwd", "--new-password-file", tmp_path / "new")
    run("snapshots", code=12)
    monkeypatch.setenv("RESTIC_PASSWORD", "second")
    assert len(run.json("key", "list")) == 1
    (tmp_path / "new").write_text("\n")
    run("key", "passwd", "--new-password-file", tmp_path / "new", code=2)
    run("key", "add", code=2)


@pytest.mark.parametrize(
    "command", [["rebuild-index"], ["repair", "index"], ["repair", "index", "--read-all-packs"]]
)
def test_the_index_is_made_anew(run: Cli, ids: list[str], command: list[str]) -> None:
    repo = open_local(run.repo)
    for file in repo.files.list("index"):
        repo.files.remove("index", file.id)
    run("check", code=1)
    assert run.json(*command)["packs_read"] == len(list_packs(repo.storage))
    run("check", "--read-data")
    assert there(run) == ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5%", Unused(5.0)),
        ("0", Unused(size_bytes=0)),
        ("10k", Unused(size_bytes=10_240)),
        ("unlimited", Unused()),
    ],
)
def test_limits_are_read(text: str, expected: Unused) -> None:
    assert parse_unused(text) == expected


@pytest.mark.parametrize("text", ["", "-1", "5 %%", "x%", "101%", "-1%", "10X", "1.5G", "²"])
def test_bad_limits_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_unused(text)


def test_sizes_are_powers_of_1024() -> None:
    assert [parse_bytes(text) for text in ("7", "1K", "2m", "1G", "1t")] == [7, 2**10, 2**21, 2**30, 2**40]
