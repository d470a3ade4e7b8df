"""Time every page of an install with years in it: `python -m bench.pages --keep` writes bench/PAGES.md.

Each page is asked for by the app's own test client, compressed as for a browser: what it takes to make the
answer, on one core, without the network. The target is 100 ms for 95 of 100 answers. `--install` takes an
install that `python -m bench.seed` made, and saves its minute.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, func, select

from bench import busy_install, busy_real, busy_things, page_list, report
from core.access import metrics_access, sessions, users
from core.db import db
from core.messaging import channels
from core.messaging.channel_inputs import ChannelInput, WebhookTarget
from core.models import (
    Alert,
    ApiToken,
    BuiltDownload,
    Channel,
    Config,
    Host,
    Job,
    Point,
    Report,
    Restore,
    Storage,
    User,
)
from core.points import built_downloads
from core.settings import load
from jobs import gunicorn_conf
from webapp import create_app
from webapp.access import access

TARGET_MS = 100
RESULTS = Path(__file__).with_name("PAGES.md")
_ADMIN = "admin"


@dataclass(slots=True)
class Timed:
    """The answers of one page: milliseconds each, by the clock and of the processor, and of the last one its
    queries and bytes as sent."""

    path: str
    ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    queries: int = 0
    size: int = 0


def main() -> None:
    """Make the install, ask for each page, print and keep the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description=__doc__)
    parser.add_argument("--configs", type=int, default=500)
    parser.add_argument("--jobs", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=1_000_000, help="catalogued files")
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    parser.add_argument("--keep", action="store_true", help=f"write the table to bench/{RESULTS.name}")
    parser.add_argument("--install", type=Path, help="a folder that bench.seed has filled")
    parser.add_argument("--only", default="", help="only addresses that begin so")
    options = parser.parse_args()
    with nullcontext(options.install) if options.install else tempfile.TemporaryDirectory() as folder:
        app = app_in(Path(folder))
        if missing := page_list.forgotten(get_endpoints(app)):
            raise SystemExit(f"Not timed, see bench/page_list.py: {', '.join(missing)}")
        with app.app_context():
            if options.install is None:
                busy_install.fill(Path(folder), options.configs, options.jobs, options.files)
            client, ids = browser(app), find_ids()
            sizes = _sizes(options.files)
        gunicorn_conf.spare_start_up()  # as the server does
        paths = [each for each in page_list.addresses(ids) if each.startswith(options.only)]
        timed = [_time(client, path, options.times) for path in paths]
        with app.app_context():
            db.engine.dispose()
    text = _table(timed, options.times, sizes)
    print(text.partition("\n|")[0])
    if options.keep:
        RESULTS.write_text(text)


def app_in(folder: Path) -> Flask:
    """Return the app on an install in this folder."""
    folders = {"HOLDFAST_DATA_DIR": str(folder / "data"), "BACKUP_DIR": str(folder / "backups")}
    return create_app(load({**os.environ, **folders}))


def get_endpoints(app: Flask) -> list[str]:
    """Return all that can be asked for by GET."""
    return [rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())]


def browser(app: Flask) -> FlaskClient:
    """Return a client that is logged in as the admin."""
    client = app.test_client()
    admin = next(each for each in users.list_all() if each.name == _ADMIN)
    client.set_cookie(access.COOKIE, sessions.start(admin, "127.0.0.1"))
    return client


def find_ids() -> dict[str, object]:
    """Return one id of everything there is; 200 jobs are let run if none does. Needs an app context."""
    ran = db.session.scalars(select(Job).where(Job.status == "completed").order_by(Job.id)).first()
    every = db.session.scalars(
        select(Config.id).where(Config.name.like("Config %")).order_by(Config.name)
    ).all()
    newest = db.session.scalar(select(func.max(Job.id).filter(Job.kind == "backup"))) or 0
    if _first(Job.id, Job.status == "running") is None:
        last = db.session.scalar(select(func.max(Job.id))) or 0
        busy_things.run_many(every[-busy_things.RUNNING :], last + 1, busy_things.RUNNING)
    if _first(Channel.id) is None:
        target = WebhookTarget(url="http://127.0.0.1:1/hook")
        channels.create(ChannelInput(name="Team", kind="webhook", enabled=False), target)
    metrics_access.set_networks("127.0.0.1")
    real = busy_real.find()
    built = _first(BuiltDownload.id) or _order(real.new)
    return {
        "config": every[0], "running_config": _first(Job.config_id, Job.status == "running"),
        "job": ran.id if ran else 0, "running": _first(Job.id, Job.status == "running"), "real_job": newest,
        "point": _first(Point.id), "host": _first(Host.id), "storage": _first(Storage.id),
        "alert": _first(Alert.id), "channel": _first(Channel.id), "day": _first(Report.day),
        "user": _first(User.id), "restore": _first(Restore.id), "token": _first(ApiToken.id),
        "real_config": real.config_id, "old": real.old, "new": real.new, "folder": real.folder,
        "file": real.file, "download": built,
        "download_job": _first(BuiltDownload.job_id, BuiltDownload.id == built),
    }  # fmt: skip


def _order(point_id: int) -> int:
    """Order a download, which no worker builds here."""
    given = built_downloads.validate({"point_id": point_id, "form": "tar"})
    return built_downloads.create(given, "manual", _ADMIN).id


def _first(column: Any, *where: Any) -> Any:
    return db.session.scalars(select(column).where(*where).order_by(column).limit(1)).first()


def _sizes(files: int) -> str:
    counts = [db.session.scalar(select(func.count(each.id))) for each in (Job, Config, Point)]  # type: ignore[attr-defined]
    jobs, configs, points = counts
    return f"{jobs:,} jobs of {configs} configs, {points:,} points, {files:,} catalogued files"


def _time(client: FlaskClient, path: str, times: int) -> Timed:
    found = Timed(path)
    for _ in range(times + 1):  # the first fills caches, as a server's does once
        with counted() as queries:
            began, cpu_began = time.perf_counter(), time.thread_time()
            answer = client.get(path, headers={"Accept-Encoding": "gzip"})
            found.ms.append((time.perf_counter() - began) * 1000)
            found.cpu_ms.append((time.thread_time() - cpu_began) * 1000)
        if answer.status_code not in (200, 303):
            raise SystemExit(f"{path} answered {answer.status}: see the traceback.")
        found.queries, found.size = len(queries), len(answer.data)
    del found.ms[0], found.cpu_ms[0]
    print(_row(found), flush=True)
    return found


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements that are sent to any database meanwhile."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _table(timed: list[Timed], times: int, sizes: str) -> str:
    missed = [page.path for page in timed if _p95(page.ms) > TARGET_MS]
    lines = [
        "# Pages of a busy install, by `python -m bench.pages --keep`",
        f"{sizes}; {report.machine()}",
        f"Each page {times} times, with gzip; the target is {TARGET_MS} ms for 95 of 100 answers. "
        f"{len(timed) - len(missed)} of {len(timed)} addresses meet it. CPU is what the "
        "answer cost, whatever else ran.",
        "| page | median ms | p95 ms | CPU ms, median | CPU ms, p95 | queries | kB sent | met |\n"
        "|---|---|---|---|---|---|---|---|\n" + "\n".join(map(_row, timed)),
        "Not timed: " + "; ".join(f"`{name}` ({why})" for name, why in page_list.LEFT_OUT.items()) + ".",
    ]
    return "\n\n".join(lines) + "\n"


def _row(page: Timed) -> str:
    path = page.path if len(page.path) < 48 else page.path[:45] + "…"
    met = "yes" if _p95(page.ms) <= TARGET_MS else "**no**"
    times = " | ".join(
        f"{each:.0f}" for taken in (page.ms, page.cpu_ms) for each in (statistics.median(taken), _p95(taken))
    )
    return f"| `{path}` | {times} | {page.queries} | {page.size / 1000:.0f} | {met} |"


def _p95(taken: list[float]) -> float:
    """Return the time that 95 of 100 answers stay below."""
    return sorted(taken)[max(0, -(-len(taken) * 95 // 100) - 1)]


if __name__ == "__main__":
    main()
