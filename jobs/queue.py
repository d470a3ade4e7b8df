"""The two queues, each a SQLite file in the data folder, and a bare app that gives tasks the database.

The minute tick has a queue and a worker of its own, so that long jobs cannot starve it. Which files they are
is known only once the settings are read: until `bind` was called, using a queue is a RuntimeError.
"""

from __future__ import annotations

import os
from typing import Any, TypeAlias

from flask import Flask
from huey import Huey
from huey.storage import BaseStorage, SqliteStorage

from core import app_state
from core.db import db
from core.settings import Settings

# What else in this package passes on; flask itself is named only here.
App: TypeAlias = Flask


class _Unbound(BaseStorage):  # type: ignore[misc]  # huey has no types
    """Stands for a file that is not known yet."""

    def enqueue(self, data: Any, priority: Any = None) -> None:
        raise RuntimeError("jobs.queue.bind comes first")

    dequeue = enqueued_items = enqueue


main = Huey("holdfast", results=False, storage_class=_Unbound)
tick = Huey("holdfast-tick", results=False, storage_class=_Unbound)


class _State:
    app: Flask | None = None


_state = _State()


def bind(settings: Settings) -> None:
    """Let both queues use their files in the data folder, which `app_state.prepare` has made."""
    for queue, name in ((main, "queue.db"), (tick, "tick.db")):
        queue.storage.close()
        queue.storage = SqliteStorage(queue.name, filename=os.path.join(settings.data_dir, name), fsync=True)


def make_app(settings: Settings) -> Flask:
    """Prepare this process (data folder, migrations, queues) and return an app for its context alone."""
    app_state.prepare(settings)
    bind(settings)
    app = Flask("holdfast")
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    db.init_app(app)
    _state.app = app
    return app


def app() -> Flask:
    """Return the app that `make_app` made in this process."""
    if _state.app is None:
        raise RuntimeError("jobs.queue.make_app comes first")
    return _state.app


def waiting_ids() -> set[int]:
    """Return the jobs that stand in the main queue and that no worker has taken yet."""
    return {task.args[0] for task in main.pending()}
