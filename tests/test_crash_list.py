"""The lists of faults in docs are true: each test that they name is there."""

from __future__ import annotations

import re

import pytest

from tests.conftest import PROJECT


@pytest.mark.parametrize(("page", "least"), [("crash-safety.md", 30), ("silent-failures.md", 25)])
def test_every_test_that_the_list_names_exists(page: str, least: int) -> None:
    named = set(re.findall(r"`(test_\w+)`", (PROJECT / "docs" / page).read_text()))
    source = "\n".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    assert len(named) > least
    assert named - set(re.findall(r"def (test_\w+)\(", source)) == set()
