"""Time every page of an install with years in it: `python -m bench.pages`; the table goes to bench/PAGES.md.

Each page is asked for by the app's own test client: what it takes to make the answer, on one core, without
the network. The target is 100 ms for 95 of 100 answers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select

from bench import busy_install, report
from core.access import sessions, users
from core.configs import configs
from core.configs.configs import ConfigInput
from core.db import db
from core.jobs import attempts, job_kinds, jobs
from core.models import Config, Storage
from core.points import points
from core.points.tokens import token_from_path
from core.settings import load
from core.storages import storage_setup
from core.storages.storage_inputs import LocalInput
from webapp import create_app
from webapp.access import access

TARGET_MS = 100
RESULTS = Path(__file__).with_name("PAGES.md")


@dataclass(slots=True)
class Timed:
    """The answers of one page: milliseconds each, by the clock and of the processor, and of the last one its
    queries and bytes."""

    path: str
    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    queries: int = 0
    size: int = 0

    @property
    def p95(self) -> float:
        """The time that 95 of 100 answers stay below."""
        return sorted(self.ms)[max(0, -(-len(self.ms) * 95 // 100) - 1)]


def main() -> None:
    """Make the install, ask for each page, print and keep the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--configs", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=1_000_000, help="catalogued files")
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    parser.add_argument("--keep", action="store_true", help=f"write the table to bench/{RESULTS.name}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        app = _app(Path(folder))
        with app.app_context():
            client = _browser(
                app, busy_install.fill(Path(folder), options.configs, options.jobs, options.files)
            )
            paths = [*_paths(options.jobs), *_paths_of_real_points(Path(folder))]
        timed = [_time(client, path, options.times) for path in paths]
        with app.app_context():
            db.engine.dispose()
    text = _table(timed, options)
    print(text)
    if options.keep:
        RESULTS.write_text(text)


def _app(folder: Path) -> Flask:
    folders = {"HOLDFAST_DATA_DIR": str(folder / "data"), "BACKUP_DIR": str(folder / "backups")}
    return create_app(load({**os.environ, **folders}))


def _browser(app: Flask, user_id: int) -> FlaskClient:
    client = app.test_client()
    client.set_cookie(access.COOKIE, sessions.start(users.get(user_id), "127.0.0.1"))
    return client


def _paths(newest: int) -> list[str]:
    config_id = db.session.scalars(select(Config.id).order_by(Config.name)).first()
    storage_id = db.session.scalars(select(Storage.id).order_by(Storage.created_at)).first()
    return [
        "/", "/overview/board", "/overview/rail", "/configs", f"/configs/{config_id}",
        f"/configs/{config_id}?range=year", f"/configs/{config_id}/edit", "/configs/new", "/jobs",
        "/jobs?page=900", "/jobs?status=failed", f"/jobs?config={config_id}", f"/jobs/{newest}",
        f"/jobs/{newest}/progress", "/points", f"/points?config={config_id}", "/restores", "/storages",
        f"/storages/{storage_id}", f"/storages/{storage_id}/edit", "/alerts", "/settings",
        "/search", "/trash", "/hosts", "/reports", "/reports/today", "/upkeep", "/audit",
        "/tokens", "/logins", "/channels",
    ]  # fmt: skip


def _paths_of_real_points(folder: Path) -> list[str]:
    """Back some files up twice: other points are only rows, and cannot be looked into."""
    for number in range(1_000):
        (folder / "source" / f"{number:04}.txt").write_text(f"{number}\n" * 20)
    # On a storage of their own: a job on the other one would find that what was seeded is not there.
    storage = storage_setup.create(LocalInput(name="Real", path=str(folder / "real")))
    source = {"paths": [str(folder / "source")]}
    given = ConfigInput(name="Real", source=source, repository_id=storage.repositories[0].id)  # type: ignore[arg-type]
    config_id = configs.create(given).id
    found = [_back_up(config_id)]
    (folder / "source" / "0007.txt").write_text("other\n")
    found.append(_back_up(config_id))
    here, one = (token_from_path(os.fsencode(folder / "source" / name)) for name in ("", "0007.txt"))
    old, new = found
    return [
        "/search?q=invoice-00", "/search?q=*.conf", "/search?q=zq", "/search?q=data/000050/",
        f"/search?q=0007.txt&config={config_id}", f"/search/versions?config={config_id}&path={one}",
        f"/points/{new}", f"/points/{new}/folder?path={here}", f"/points/{new}/card", f"/diffs/{old}/{new}",
        f"/diffs/{old}/{new}/file?path={one}", f"/restores/new?point_id={new}", f"/compare/{new}",
    ]  # fmt: skip


def _back_up(config_id: str) -> int:
    """Do a backup in this process; return its point."""
    attempt = attempts.claim(jobs.create_backup(config_id, "manual").id)
    assert attempt is not None
    job_kinds.perform(attempt)
    point = points.of_job(attempt.job_id)
    if point is None:
        raise SystemExit(f"The backup failed: {jobs.get(attempt.job_id).summary}")
    return point.id


def _time(client: FlaskClient, path: str, times: int) -> Timed:
    found = Timed(path)
    for _ in range(times + 1):  # the first fills caches, as a server's does once
        with _counted() as queries:
            began, cpu_began = time.perf_counter(), time.thread_time()
            answer = client.get(path)
            found.ms.append((time.perf_counter() - began) * 1000)
            found.cpu_ms.append((time.thread_time() - cpu_began) * 1000)
        if answer.status_code != 200:
            raise SystemExit(f"{path} answered {answer.status}.")
        found.queries, found.size = len(queries), len(answer.data)
    del found.ms[0], found.cpu_ms[0]
    return found


@contextmanager
def _counted() -> Iterator[list[str]]:
    """Collect the statements that are sent to any database meanwhile."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _table(timed: list[Timed], options: argparse.Namespace) -> str:
    lines = [
        "# Pages of a busy install, by `python -m bench.pages --keep`",
        f"{options.jobs:,} jobs of {options.configs} configs, {options.files:,} catalogued files; "
        + report.machine(),
        f"Each page {options.times} times; the target is {TARGET_MS} ms for 95 of 100 answers.",
        "| page | median ms | p95 ms | median CPU ms | queries | kB | met |\n|---|---|---|---|---|---|---|\n"
        + "\n".join(map(_row, timed)),
    ]
    return "\n\n".join(lines) + "\n"


def _row(page: Timed) -> str:
    path = page.path if len(page.path) < 40 else page.path[:37] + "…"
    met = "yes" if page.p95 <= TARGET_MS else "**no**"
    median, cpu = statistics.median(page.ms), statistics.median(page.cpu_ms)
    times = f"{median:.0f} | {page.p95:.0f} | {cpu:.0f}"
    return f"| `{path}` | {times} | {page.queries} | {page.size / 1000:.0f} | {met} |"


if __name__ == "__main__":
    main()
