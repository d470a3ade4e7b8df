"""The watch of the storages: one that hangs holds up no other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from flask import Flask

from core import setup
from core.storages import recovery, storage_setup, storages
from jobs.storage_watch import StorageWatch
from tests.waiting import wait_for


def test_one_that_hangs_holds_up_no_other(
    install: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    over, ended = threading.Event(), threading.Event()
    looked: list[str] = []
    with install.app_context():
        hung = setup.create_first_storage(str(tmp_path / "backups")).id
        other = storage_setup.create_local("B", str(tmp_path / "b"), recovery.stored() or "").id

        def look(storage_id: str, pause: object) -> bool:
            if storage_id == hung:
                over.wait(120)
            looked.append(storage_id)
            return True

        monkeypatch.setattr(storages, "watch", look)
        watch = StorageWatch(install, ended)
        watch.look()
        wait_for(lambda: looked == [other])
        wait_for(lambda: not any(thread.name == f"look {other}" for thread in threading.enumerate()))
        watch.look()
        wait_for(lambda: looked == [other, other])
        assert sum(thread.name == f"look {hung}" for thread in threading.enumerate()) == 1
        over.set()
        wait_for(lambda: hung in looked)


def test_a_look_that_fails_is_logged_and_tried_again(
    install: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with install.app_context():
        setup.create_first_storage(str(tmp_path / "backups"))
        calls: list[str] = []

        def look(storage_id: str, pause: object) -> bool:
            calls.append(storage_id)
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr(storages, "watch", look)
        watch = StorageWatch(install, threading.Event())
        for number in (1, 2):
            watch.look()
            wait_for(lambda number=number: len(calls) == number)  # type: ignore[misc]
            wait_for(lambda: not any(each.name.startswith("look ") for each in threading.enumerate()))
    assert "a fault of ours" in caplog.text
