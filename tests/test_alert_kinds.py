"""The list of alerts in docs/alerts.md is complete and true: kinds, words, and the tests it names."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from core.alerting import job_alerts, silence
from tests.conftest import PROJECT
from webapp.alerting import alert_words

PAGE = (PROJECT / "docs" / "alerts.md").read_text()
LISTED = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))


def raised() -> Iterator[str]:
    """Yield the kinds of alerts that the code names where it raises one."""
    yield from (kind for kind, _ in job_alerts._BAD.values())
    yield from silence.TELL_AFTER_S  # the subjects of its alerts say the kind
    for folder in ("core", "jobs"):
        for path in (PROJECT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                    yield from _kind_of(node, node.func.attr)


def _kind_of(call: ast.Call, name: str) -> Iterator[str]:
    if name not in ("raise_alert", "raise_in"):
        return
    given = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "kind")]
    yield from (
        each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)
    )


def test_every_kind_that_is_raised_is_listed() -> None:
    found = set(raised())
    assert {"failure", "missed", "slow", "unreachable"} <= found, "the check sees them"
    assert found - LISTED == set()
    assert LISTED - found == set(), "nothing raises what the page promises"


def test_every_kind_listed_has_words() -> None:
    assert len(LISTED) > 12
    assert LISTED - set(alert_words.KINDS) == set()


def test_every_test_that_the_list_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE))
    source = "\n".join(path.read_text() for path in (PROJECT / "tests").rglob("test_*.py"))
    assert len(named) > 15
    assert named - set(re.findall(r"def (test_\w+)\(", source)) == set()
