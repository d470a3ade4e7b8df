"""What all tests share: no missing component goes unseen on CI, and nothing leaks in from the environment."""

from __future__ import annotations

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from repository import locks

pytest_plugins = ["tests.servers.postgres", "tests.servers.s3", "tests.servers.sshd"]

ON_CI = os.environ.get("CI") == "true"
PROJECT = Path(__file__).parent.parent
FIXTURES = PROJECT.parent / "shared" / "fixtures"
LONGEST = (
    "tests/e2e/test_first_hour.py",
    "tests/webapp/test_in_browser.py",
    "tests/core/schedules/test_simulated_time.py",
)
PRODUCT_PREFIXES = ("HOLDFAST_", "BACKUP_", "RESTIC_", "AWS_", "HUEY_", "DATABASE_URL", "SUPABASE_", "FLASK_")

# The examples are the same each time: whether all is well does not depend on luck. The long suites vary them.
for profile, varied in (("same", False), ("varied", True)):
    settings.register_profile(
        profile,
        deadline=None,
        derandomize=not varied,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("same")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start each test without variables that the product reads."""
    for name in list(os.environ):
        if name.startswith(PRODUCT_PREFIXES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def usual_umask() -> None:
    """Give files the modes that tests expect, whoever runs them."""
    os.umask(0o022)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_locks() -> None:
    """Let no lock wait for who may be taking one just now: here nobody is, and it is a fifth of a second."""
    locks.SETTLE_S = 0.0


@pytest.fixture(scope="session")
def restic() -> str:
    """Return the path of the real restic."""
    return need_program("restic")


def need_program(name: str) -> str:
    """Return the path of a real program; a test that needs one that is missing is skipped, or fails on CI."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (see tests/prepare.sh)")
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files come first: begun late, one would be waited for by all other processes."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    """Spare the thousands of tests just found from each collection of garbage: they stay."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Turn every skip into a failure on CI: there, everything that a test needs must be present."""
    report: pytest.TestReport = yield
    if ON_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where nothing may be missing: {report.longrepr}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """The same for a file that skips itself whole."""
    report: pytest.CollectReport = yield
    if ON_CI and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped on CI, where nothing may be missing: {report.longrepr}"
    return report
