"""The watch of the storages: each in threads of its own, so that one that hangs holds up no other."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from core.errors import NotFound
from core.storages import storage_usage, storages
from jobs.queue import App

_log = logging.getLogger(__name__)


class StorageWatch:
    """Sees which storages answer and, now and then, how full they are. Ends with `ended`."""

    def __init__(self, app: App, ended: threading.Event) -> None:
        self._app = app
        self._ended = ended
        self._threads: dict[tuple[str, str], threading.Thread] = {}

    def look(self) -> None:
        """Begin to look at each storage, and to list it, unless the look before has not come back yet."""
        for storage_id in [storage.id for storage in storages.list_all()]:
            self._start("look", storage_id, partial(storages.watch, storage_id, self._ended.wait))
            self._start("list", storage_id, partial(storage_usage.measure_if_old, storage_id))

    def _start(self, what: str, storage_id: str, duty: Callable[[], object]) -> None:
        before = self._threads.get((what, storage_id))
        if before is not None and before.is_alive():
            return
        # Not joined: a dead network mount may hold it up for ever, and a daemon ends with the process.
        thread = threading.Thread(target=self._run, args=(duty,), name=f"{what} {storage_id}", daemon=True)
        self._threads[what, storage_id] = thread
        thread.start()

    def _run(self, duty: Callable[[], object]) -> None:
        with self._app.app_context():
            try:
                duty()
            except NotFound:
                return  # deleted meanwhile
            except SQLAlchemyError as error:
                _log.warning("a storage could not be looked at this time: %s", error)
            except Exception:  # noqa: BLE001  (logged; the next look tries again)
                _log.exception("a look at a storage failed; it is tried again")
