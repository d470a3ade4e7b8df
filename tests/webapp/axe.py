"""axe-core in a page: what it finds, in short lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

SCRIPT = Path(__file__).parent.parent / "vendor" / "axe-core-4.14.1.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# What another width or other colours can change.
BY_LOOK = ["color-contrast", "target-size", "scrollable-region-focusable", "page-has-heading-one", "region"]
_RUN = """async ([only, samples]) => {
    const found = await axe.run(document, {
        runOnly: only, resultTypes: ["violations"], preload: false,
        rules: {"landmark-unique": {enabled: !samples}},
    });
    return found.violations.flatMap((rule) => rule.nodes.map(
        (node) => [rule.id, node.target.join(" "), node.failureSummary.split("\\n")[1].trim()]));
}"""


def problems(page: Page, *, by_look: bool = False) -> list[str]:
    """Return what axe-core finds in a page as it is now; `by_look`: only by rules that look at it.

    The page of components shows the same landmarks many times; no other may.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(SCRIPT.read_text())
    wanted: Any = {"type": "rule", "values": BY_LOOK} if by_look else {"type": "tag", "values": RULES}
    found = page.evaluate(_RUN, [wanted, page.url.endswith("/components")])
    return [f"{rule} at {place}: {why}" for rule, place, why in found]
