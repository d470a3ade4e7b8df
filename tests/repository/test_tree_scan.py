"""The scan of a source, in a thread or in a process of its own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from repository import tree_scan
from repository.tree_scan import TreeScan, scanned
from sources.local import LocalSource
from tests.repository import meddling
from tests.repository.test_workers import children


@pytest.fixture
def source(tmp_path: Path) -> LocalSource:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_bytes(b"content")
    return LocalSource([os.fsencode(tmp_path)])


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_scan.os, "sched_getaffinity", lambda pid: {0, 1})


@pytest.mark.usefixtures("two_processors")
def test_a_process_finds_what_a_thread_finds(source: LocalSource, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(children())
    scan = TreeScan(source, is_large=True)
    assert len(set(children()) - before) == 1
    found = scan.result()
    assert set(children()) <= before
    assert len(found) == 3
    assert found == scanned(source, lambda: False)
    monkeypatch.setattr(tree_scan.os, "sched_getaffinity", lambda pid: {0})
    alone = TreeScan(source, is_large=True)
    assert set(children()) <= before
    assert alone.result() == TreeScan(source).result() == found


@pytest.mark.usefixtures("two_processors")
def test_a_scan_that_is_stopped_leaves_no_process(tmp_path: Path) -> None:
    before = set(children())
    scan = TreeScan(meddling.Hanging(tmp_path, ""), is_large=True)
    scan.stop()
    assert scan.result() == {}
    assert set(children()) <= before


@pytest.mark.usefixtures("two_processors")
def test_a_process_that_is_killed_costs_time_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = set(children())
    scan = TreeScan(meddling.Hanging(tmp_path, ""), is_large=True)
    (pid,) = set(children()) - before
    os.kill(pid, signal.SIGKILL)
    assert scan.result() == {}
    assert "was ended by SIGKILL" in caplog.text
    assert set(children()) <= before


def test_a_source_that_is_gone_has_no_fingerprints(tmp_path: Path) -> None:
    assert scanned(LocalSource([os.fsencode(tmp_path / "gone")]), lambda: False) == {}
