"""The list of faults in docs/crash-safety.md is true: each test that it names is there."""

from __future__ import annotations

import re

from tests.conftest import PROJECT


def test_every_test_that_the_list_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (PROJECT / "docs" / "crash-safety.md").read_text()))
    source = "\n".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    assert len(named) > 30
    assert named - set(re.findall(r"def (test_\w+)\(", source)) == set()
