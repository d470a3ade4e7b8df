"""The bandwidth limits of a storage as they are now: a job that runs for hours follows what people change."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core import app_state
from core.db import utc_now
from core.models import Storage
from core.storages import limit_hours

READ_EVERY_S = 15.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes a second, each None for no limit; they hold at `hours`."""

    upload: int | None = None
    download: int | None = None
    hours: str = ""

    def at(self, now: datetime) -> Limits:
        """Return those that hold at a time."""
        if not (self.upload or self.download) or limit_hours.hold(
            self.hours, now, app_state.settings().timezone
        ):
            return self
        return Limits()


class RowLimits:
    """The limits in the row of a storage, read again now and then. For threads without the app's context."""

    def __init__(self, engine: Engine, storage: Storage, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._storage_id = storage.id
        self._clock = clock
        self._known = Limits(storage.upload_limit, storage.download_limit, storage.limit_hours)
        self._read_at = clock()
        self._mutex = threading.Lock()

    def upload(self) -> int | None:
        """Return how fast may be sent now."""
        return self._now().upload

    def download(self) -> int | None:
        """Return how fast may be fetched now."""
        return self._now().download

    def _now(self) -> Limits:
        with self._mutex:
            due = self._clock() - self._read_at >= READ_EVERY_S
            if due:
                self._read_at = self._clock()
        if due:  # the others go by what is known meanwhile
            self._known = self._read()
        return self._known.at(utc_now())

    def _read(self) -> Limits:
        query = select(Storage.upload_limit, Storage.download_limit, Storage.limit_hours)
        try:
            with Session(self._engine) as session:
                row = session.execute(query.where(Storage.id == self._storage_id)).one_or_none()
        except SQLAlchemyError as error:
            _log.warning("the limits of a storage could not be read; those known before hold: %s", error)
            return self._known
        return self._known if row is None else Limits(*row)
