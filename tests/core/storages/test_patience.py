"""Nobody waits for long at a page, a storage that hangs holds up no other, and what passes is not alerted."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

from core.alerting import alerts
from core.db import utc_now, write
from core.errors import Unreachable
from core.models import Storage
from core.storages import providers, storage_probe, storage_setup, storages
from storage_adapters.errors import StorageUnreachable
from storage_adapters.local import LocalAdapter
from storage_adapters.patience import BoundedAdapter, Patience
from storage_adapters.retry import RetryPolicy
from storage_adapters.s3 import S3Settings
from tests.core import servers
from tests.core.making import make_storage
from tests.ports import free_port
from tests.servers.wire import SLOW_DOWN, Reply, Wire, always, wire_to

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> float:
    """Let a look from a page end after a second; return how long such a look may take in all."""
    short = Patience(RetryPolicy(attempts=2, first_wait_s=0.01), connect_s=1, answer_s=20, in_all_s=1)
    monkeypatch.setattr(providers, "AT_A_PAGE", short)
    return 10  # the machine may be busy; the server alone would take 20 s


@contextmanager
def silent_server() -> Iterator[int]:
    """Yield the port of a server that takes connections and never says a word."""
    never = threading.Event()

    class Silent(BaseRequestHandler):
        def handle(self) -> None:
            never.wait(120)

    with ThreadingTCPServer(("127.0.0.1", 0), Silent) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        never.set()
        server.shutdown()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def test_the_bound_of_a_page_is_one_that_a_person_waits_for() -> None:
    page = providers.AT_A_PAGE
    assert page.in_all_s is not None
    assert page.in_all_s <= 15


def test_a_silent_s3_server_is_given_up_soon(tmp_path: Path, hurried: float, s3_settings: S3Settings) -> None:
    make_storage(tmp_path)
    with silent_server() as port:
        settings = replace(s3_settings, endpoint=f"http://127.0.0.1:{port}")
        with within(hurried), pytest.raises(Unreachable, match="did not answer within 1 second"):
            storage_setup.look(servers.parse(servers.s3_form(settings)))


def test_a_silent_sftp_server_is_given_up_soon(tmp_path: Path, hurried: float) -> None:
    make_storage(tmp_path)
    form = {
        "provider": "sftp", "name": "NAS", "host": "127.0.0.1", "user": "nobody", "path": "/x",
        "password": "secret",
    }  # fmt: skip
    with silent_server() as port:
        with within(hurried), pytest.raises(Unreachable, match="127"):
            storage_setup.look(servers.parse({**form, "port": str(port)}))
        with within(hurried), pytest.raises(Unreachable, match="does not answer as an SSH server"):
            providers.host_keys("127.0.0.1", port)


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    """Return a storage on a mount whose server died: no call comes back before the test ends."""
    make_storage(tmp_path)
    over, true_get = threading.Event(), LocalAdapter.get

    def get(self: LocalAdapter, key: str, offset: int = 0, length: int | None = None) -> bytes:
        over.wait(120)
        return true_get(self, key, offset, length)

    monkeypatch.setattr(LocalAdapter, "get", get)
    yield storages.list_all()[0]
    over.set()


def test_a_dead_mount_is_given_up_and_not_asked_again_while_it_hangs(
    hanging: Storage, hurried: float
) -> None:
    with within(hurried), pytest.raises(Unreachable, match="did not answer within 1 second"):
        storage_probe.test(hanging)
    before = set(threading.enumerate())
    with within(hurried), pytest.raises(Unreachable, match="an earlier call to it has still not come back"):
        storage_probe.test(hanging)
    assert set(threading.enumerate()) <= before
    assert storages.get(hanging.id).unreachable_since is not None


def test_what_comes_back_after_all_is_used_again(tmp_path: Path) -> None:
    (tmp_path / "object").write_bytes(b"x")
    over = threading.Event()

    class Slow(LocalAdapter):
        def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
            over.wait(120)
            return super().get(key, offset, length)

    inner = Slow(str(tmp_path))
    with pytest.raises(StorageUnreachable, match="did not answer"):
        BoundedAdapter(inner, 0.05, str(tmp_path)).get("object")
    over.set()
    again = BoundedAdapter(inner, 30, str(tmp_path))
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            assert again.get("object") == b"x"
            return
        except StorageUnreachable:
            continue
    raise AssertionError("it was never asked again")


def test_an_error_of_the_storage_itself_passes_the_bound(tmp_path: Path) -> None:
    bounded = BoundedAdapter(LocalAdapter(str(tmp_path / "gone")), 30, "gone")
    with pytest.raises(Exception, match="is its disk mounted"):
        list(bounded.list(""))


# Calm


@pytest.fixture
def bucket(tmp_path: Path, s3_settings: S3Settings) -> Iterator[tuple[Storage, Wire]]:
    """Return a bucket behind a wire."""
    make_storage(tmp_path)
    with wire_to(s3_settings.endpoint) as wire:
        form = servers.s3_form(replace(s3_settings, endpoint=wire.url))
        yield servers.create(form), wire


def _age(storage: Storage, by: timedelta) -> None:
    with write() as session:
        session.get_one(Storage, storage.id).unreachable_since = utc_now() - by


def test_a_burst_of_503_is_seen_and_not_alerted(bucket: tuple[Storage, Wire]) -> None:
    storage, wire = bucket
    wire.restart_counting(always(Reply(503, SLOW_DOWN)))
    assert storages.check_all() == [storage.id]
    assert storages.get(storage.id).unreachable_since is not None
    assert alerts.list_open() == []
    wire.restart_counting()
    assert storages.check_all() == []
    assert storages.get(storage.id).unreachable_since is None
    assert list(alerts.list_recent()) == []


def test_the_watch_looks_again_until_it_has_lasted(bucket: tuple[Storage, Wire]) -> None:
    storage, wire = bucket
    wire.restart_counting(always(Reply(503, SLOW_DOWN)))
    pauses: list[float] = []

    def pause(seconds: float) -> bool:
        pauses.append(seconds)
        _age(storage, timedelta(seconds=sum(pauses)))
        return False

    assert not storages.watch(storage.id, pause)
    assert [alert.kind for alert in alerts.list_open()] == ["unreachable"]
    assert len(pauses) == 3
    wire.restart_counting()
    assert storages.watch(storage.id, pause)
    assert alerts.list_open() == []


def test_a_watch_that_is_ended_looks_no_more(bucket: tuple[Storage, Wire]) -> None:
    storage, wire = bucket
    wire.restart_counting(always(Reply(503, SLOW_DOWN)))
    assert not storages.watch(storage.id, lambda seconds: True)
    assert alerts.list_open() == []


def test_what_cannot_pass_by_itself_is_alerted_at_once(tmp_path: Path) -> None:
    make_storage(tmp_path)
    os.rename(tmp_path / "backups", tmp_path / "away")
    assert len(storages.check_all()) == 1
    assert [alert.kind for alert in alerts.list_open()] == ["unreachable"]


def test_what_failed_a_job_is_alerted_at_once(
    bucket: tuple[Storage, Wire], monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, wire = bucket
    monkeypatch.setattr(storages, "RETRY", RetryPolicy(attempts=2, first_wait_s=0.01))
    wire.restart_counting(always(Reply(503, SLOW_DOWN)))
    with pytest.raises(Unreachable):
        storages.open_adapter(storage)
    assert [alert.kind for alert in alerts.list_open()] == ["unreachable"]


def test_a_port_that_nobody_listens_at_is_said_at_once(tmp_path: Path, s3_settings: S3Settings) -> None:
    make_storage(tmp_path)
    settings = replace(s3_settings, endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Unreachable, match="does not answer"):
        storage_setup.look(servers.parse(servers.s3_form(settings)))
