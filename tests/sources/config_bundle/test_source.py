"""A bundle of files and environment, in a repository and back."""

from __future__ import annotations

import json
from pathlib import Path

from repository.browse import find_node, read_file, walk
from sources.config_bundle.environment import EnvironmentOptions
from sources.config_bundle.source import DOCUMENT, EnvironmentSource, config_source, file_rules
from sources.local import LocalSource
from sources.rules import Rules
from tests.repository.engine import Restic, latest, new_local_repo, new_repo
from tests.sources.test_combined import files_of, store


def test_a_bundle_comes_back_by_real_restic(tmp_path: Path, restic: str) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "compose.yaml").write_text("services: {}\n")
    environment = EnvironmentSource(EnvironmentOptions({"A": "1"}), hostname="h")
    repo = new_local_repo(tmp_path / "repo")
    source = config_source(LocalSource(["app"], cwd=bytes(tmp_path)), environment)
    assert store(repo, source) == []
    real = Restic(restic, tmp_path / "repo")
    real.check()
    dumped = real.run("dump", "latest", DOCUMENT.decode()).stdout
    assert json.loads(dumped) == environment.document
    assert real.run("dump", "latest", "/app/compose.yaml").stdout == "services: {}\n"


def test_secrets_that_are_left_out_are_in_no_byte_of_it_and_are_named(tmp_path: Path) -> None:
    for name in (".env", "db.key", "plain.conf"):
        (tmp_path / "app").mkdir(exist_ok=True)
        (tmp_path / "app" / name).write_text("s3cret" if name != "plain.conf" else "x")
    options = EnvironmentOptions(
        {"TOKEN": "s3cret", "A": "1"}, packages=False, services=False, secrets="leave_out"
    )
    files = LocalSource(["app"], rules=file_rules(Rules(exclude=("*.bak",)), options), cwd=bytes(tmp_path))
    repo = new_repo()
    problems = store(repo, config_source(files, EnvironmentSource(options)))
    assert not any(problem.loses_data for problem in problems)
    texts = " ".join(problem.message for problem in problems)
    assert "variables.TOKEN" in texts
    assert "*.key" in texts
    found = files_of(repo)
    assert found.keys() == {b"/app/plain.conf", DOCUMENT}
    assert b"s3cret" not in b"".join(found.values())


def test_the_environment_alone_is_a_backup(tmp_path: Path) -> None:
    repo = new_repo()
    store(repo, config_source(None, EnvironmentSource(EnvironmentOptions({"A": "1"}), now_ns=5)))
    nodes = dict(walk(repo, find_node(repo, latest(repo), b"/")))
    assert nodes.keys() == {b"/holdfast", DOCUMENT}
    assert nodes[DOCUMENT].mode & 0o777 == 0o600
    assert json.loads(b"".join(read_file(repo, nodes[DOCUMENT])))["variables"] == {"A": "1"}
