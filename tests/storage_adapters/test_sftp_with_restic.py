"""The real restic and our engine on one repository of an SFTP server, both ways."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from repository.repository import Repository
from storage_adapters.sftp import SftpAdapter, create_root
from tests.repository.engine import PASSWORD, Restic, differences, make_backup, new_repo, restore_to
from tests.servers.sshd import Sshd


def a_tree(folder: Path) -> Path:
    (folder / "sub").mkdir(parents=True)
    (folder / "large").write_bytes(os.urandom(20_000_000))
    for number in range(50):
        (folder / "sub" / f"file {number}").write_bytes(os.urandom(3_000))
    return folder


def test_one_repository_on_sftp_for_both(restic: str, sshd: Sshd, tmp_path: Path) -> None:
    tree, place = a_tree(tmp_path / "tree"), tmp_path / "place"
    command = shlex.join([*sshd.ssh_command(), "-s", "sftp"])
    over_ssh = ("-o", f"sftp.command={command}")
    theirs = Restic(restic, Path(f"sftp:holdfast:{place}"))
    settings = sshd.settings(place)
    create_root(settings)
    repo = new_repo(SftpAdapter(settings))
    made = make_backup(repo, tree)
    assert made.problems == []
    repo.close()

    theirs.run(*over_ssh, "check", "--read-data")
    (tree / "more").write_bytes(os.urandom(2_000_000))
    theirs.run(*over_ssh, "backup", str(tree))
    theirs.run(*over_ssh, "restore", "latest", "--target", tmp_path / "theirs")
    assert differences(tree, Path(f"{tmp_path}/theirs{tree}")) == ""

    repo = Repository.open(SftpAdapter(settings), PASSWORD)
    restore_to(repo, tmp_path / "ours")
    assert differences(tree, Path(f"{tmp_path}/ours{tree}")) == ""
    repo.close()
