"""Imports point down (docs/design.md): every import of every module is held against one table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = ("wsgi", "webapp", "jobs", "core", "sources", "repository", "storage_adapters", "ssh")

# Who may import whom. A key is a module or package; the longest one that fits a file counts.
MAY_IMPORT = {
    "wsgi": {"webapp"},
    "webapp": {"webapp", "core", "jobs.tasks"},
    "jobs": {"jobs", "core"},
    "core": {"core", "sources", "repository", "storage_adapters", "ssh.host_keys", "ssh.errors"},
    "core.hosts": {"core", "sources", "repository", "storage_adapters", "ssh"},
    "sources": {"sources", "repository.entries"},
    "sources.ssh": {"sources", "repository.entries", "ssh"},
    "repository": {"repository", "storage_adapters.base", "storage_adapters.errors"},
    "repository.cli": {"repository", "sources", "storage_adapters"},
    "storage_adapters": {"storage_adapters"},
    "storage_adapters.sftp": {"storage_adapters", "ssh"},
    "ssh": {"ssh"},
}

# Packages of others that stay in one room each.
ONLY_IN = {
    "apprise": {"core.messaging.apprise_process"},
    "prometheus_client": {"webapp.reports.metrics"},
    "requests": {"core.messaging.apprise_process"},
    "flask": {"webapp", "jobs.queue"},
    "flask_sqlalchemy": {"core.db", "core.models"},
    "flask_login": {"webapp"},
    "flask_wtf": {"webapp"},
    "htmx_flask": {"webapp"},
    "huey": {"jobs"},
    "minio": {"storage_adapters.s3"},
    "paramiko": {"ssh"},
    "croniter": {"core.schedules.fire_times"},
    "psycopg": {"sources.postgres"},
    "pyfastcdc": {"repository.chunker"},
}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield the dotted name and the file of every module of ours."""
    for top in OURS:
        for path in [*ROOT.glob(f"{top}.py"), *ROOT.glob(f"{top}/**/*.py")]:
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, rooms: set[str]) -> bool:
    """Tell whether a dotted name is one of `rooms` or below one."""
    return any(name == room or name.startswith(room + ".") for room in rooms)


def rules_for(module: str) -> set[str]:
    """Return what `module` may import: the rule of its longest fitting key, cli parts with cli."""
    keys = [key for key in MAY_IMPORT if within(module, {key}) or module.startswith(key + "_")]
    return MAY_IMPORT[max(keys, key=len)]


def test_no_module_imports_upwards() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules()
        for name in imports(path)
        if name.split(".")[0] in OURS and not within(name, rules_for(module))
    ]
    assert wrong == []


def test_packages_of_others_stay_in_their_room() -> None:
    wrong = [
        f"{module} imports {name}"
        for module, path in modules()
        for name in imports(path)
        if (room := ONLY_IN.get(name.split(".")[0])) and not within(module, room)
    ]
    assert wrong == []


def test_the_check_sees_what_it_should() -> None:
    found = dict(modules())
    assert {"storage_adapters.local", "core.db", "repository.entries"} <= found.keys()
    assert "storage_adapters.base.StorageAdapter" in set(imports(found["storage_adapters.retry"]))
    assert not within("corelib", {"core"})
