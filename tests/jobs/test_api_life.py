"""The whole life of a config by a script alone: through the API of a running Holdfast, and by commands."""

from __future__ import annotations

import filecmp
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.db import db
from tests.core.making import make_tree
from tests.jobs.conftest import Start
from tests.jobs.waiting import until
from tests.ports import free_port
from webapp import create_app

ENDED = ("completed", "warning", "failed", "cancelled", "interrupted")


def flask(*arguments: str, given: str = "") -> str:
    """Run a command; it must succeed. Return what it prints. Its jobs run in processes of their own."""
    done = create_app().test_cli_runner().invoke(args=arguments, input=given)
    db.session.rollback()
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def url(start: Start) -> Iterator[str]:
    """Return the address of a Holdfast that runs: web, worker and tick."""
    port = str(free_port())
    supervisor = start("jobs.supervise", PORT=port)
    assert supervisor.stdout is not None
    assert "is running" in supervisor.stdout.readline()
    yield f"http://127.0.0.1:{port}"
    supervisor.terminate()
    supervisor.wait(120)


class Script:
    """A client that knows nothing but the address, a token, and JSON."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.token = url, token

    def call(self, method: str, path: str, document: Any = None) -> Any:
        """Call and return what comes back."""
        request = urllib.request.Request(
            f"{self.url}/api/backup{path}",
            method=method,
            data=None if document is None else json.dumps(document).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=240) as answer:
            content = answer.read()
        return json.loads(content) if content else None

    def wait(self, job_id: int) -> Any:
        """Return a job once it has ended."""
        return until(lambda: self._ended(self.call("GET", f"/jobs/{job_id}")))

    @staticmethod
    def _ended(job: Any) -> Any:
        return job if job["status"] in ENDED else None


def short(tree: Path, backups: Path) -> dict[str, Any]:
    """Return a config in the short shape."""
    return {
        "name": "Wiki", "type": "files", "enabled": True, "schedule": "0 2 * * *",
        "retention": {"days": 30, "maxBackups": 10}, "source": {"paths": [str(tree)]},
        "storage": {"provider": "local", "config": {"path": str(backups), "maxSize": "100GB"}},
        "encryption": {"enabled": True}, "compression": True,
    }  # fmt: skip


def assert_same(tree: Path, restored: Path) -> None:
    """Compare the bytes of all files."""
    names = [str(path.relative_to(tree)) for path in tree.rglob("*") if path.is_file()]
    assert len(names) == 3
    assert filecmp.cmpfiles(tree, restored, names, shallow=False) == (names, [], [])


def test_by_the_api_alone(url: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    token = flask("user", "token", "add", "script", "--role", "admin", "--days", "1").strip()
    script = Script(url, token)

    config = script.call("POST", "/configs", short(tree, tmp_path / "backups"))
    job = script.wait(script.call("POST", f"/configs/{config['id']}/backup", {"type": "files"})["id"])
    assert (job["status"], job["filesDone"]) == ("completed", 3)
    assert script.call("GET", f"/configs/{config['id']}")["state"] == "Protected"

    (point,) = script.call("GET", f"/points?config={config['id']}")["items"]
    assert point["id"] == job["pointId"]
    wanted = {"pointId": point["id"], "targetPath": str(tmp_path / "restored")}
    restore = script.call("POST", "/restores", wanted)
    assert script.wait(restore["job"]["id"])["status"] == "completed"
    assert script.call("GET", f"/restores/{restore['id']}")["files"] == 3
    assert_same(tree, Path(f"{tmp_path}/restored{tree}"))

    script.call("PATCH", f"/configs/{config['id']}", {"enabled": False})
    until(lambda: all(job["status"] in ENDED for job in script.call("GET", "/jobs")["items"]))
    script.call("DELETE", f"/configs/{config['id']}?points=trash")
    assert script.call("GET", "/configs")["items"] == []
    assert script.call("GET", f"/points/{point['id']}")["good"] is False
    flask("user", "token", "revoke", "script")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        script.call("GET", "/configs")


def test_by_commands_alone(install: object, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    document = json.dumps(short(tree, tmp_path / "backups"))
    config_id = flask("backup", "configs", "set", "-", given=document).strip()
    assert "Wiki: completed" in flask("backup", "files", "--config", "Wiki", "--wait")
    (point,) = json.loads(flask("backup", "points", "--json"))["points"]
    flask("backup", "restore", str(point["id"]), "--to", str(tmp_path / "restored"))
    assert_same(tree, Path(f"{tmp_path}/restored{tree}"))
    shown = json.loads(flask("backup", "configs", "show", "Wiki"))
    assert (shown["id"], shown["state"]) == (config_id, "Protected")
    assert "Deleted Wiki. 1 of its points" in flask(
        "backup", "configs", "delete", "Wiki", "--points", "trash"
    )
    assert json.loads(flask("backup", "configs", "list", "--json")) == {"configs": []}
