"""What copies added to a storage, by day and config: all of it, however few configs are told apart."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from core import setup
from core.db import db, utc_now, write
from core.models import Copy, Point, RepositoryRecord, Storage
from core.storages import usage_by_day
from core.storages.usage_by_day import OTHERS
from tests.core.making import make_config


def test_the_largest_are_told_apart_and_nothing_is_lost(
    context: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage_id = setup.create_first_storage(str(tmp_path / "backups")).id
    repository_id = db.session.query(RepositoryRecord.id).scalar()
    config_ids = [make_config(tmp_path, f"Config {number}").id for number in range(4)]
    now = utc_now()
    monkeypatch.setattr(usage_by_day, "utc_now", lambda: now)  # midnight may come meanwhile
    with write() as session:
        for number, config_id in enumerate([*config_ids, None]):
            for days_ago in (0, 1, 30):
                at = now - timedelta(days=days_ago)
                point = Point(config_id=config_id, taken_at=at, tree="0" * 64)
                session.add(point)
                session.flush()
                session.add(
                    Copy(
                        point_id=point.id, repository_id=repository_id, snapshot_id=f"{point.id:064}",
                        created_at=at, bytes_added=10**number,
                    )
                )  # fmt: skip
    storage = db.session.get_one(Storage, storage_id)
    apart = [day.added for day in usage_by_day.over_time(storage, 3, most=5)]
    few = [day.added for day in usage_by_day.over_time(storage, 3, most=3)]
    for held, day in ((1, 0), (2, 1), (3, 2)):
        each = {**{one: 10**number * held for number, one in enumerate(config_ids)}, "": 10_000 * held}
        assert apart[day] == each
        assert few[day] == {"": 10_000 * held, config_ids[3]: 1_000 * held, OTHERS: 111 * held}
