"""Without JavaScript every form works: it goes by POST, and lands on a whole page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import pytest

from tests.webapp.conftest import As
from tests.webapp.html import parse
from tests.webapp.test_in_browser import MORE, whole_pages
from tests.webapp.test_pages import addresses
from tests.webapp.world import Browser, World

# These go last: what they take away, others are about.
_LAST = ("/delete", "/disable", "/end-others", "/remove", "/revoke", "/off", "/replace")
# A whole page with a message, or on to another page; what an earlier form has taken away is not found.
_FINE = (200, 303, 404, 409, 422)


@dataclass(frozen=True)
class Sent:
    """A form as a browser sends it. `page`: where it stands."""

    page: str
    action: str
    fields: tuple[tuple[str, str], ...]


@pytest.fixture(scope="module")
def browser(as_: As) -> Browser:
    """Return one for all: its forms carry tokens of its own session."""
    return as_("admin")


@pytest.fixture(scope="module")
def pages(world: World, browser: Browser) -> dict[str, Element]:
    """Return every page as an admin sees it. The samples of one are about rows that are not there."""
    urls = [*addresses(world), *(one.format(**vars(world)) for one in MORE)]
    found = whole_pages(browser, urls)
    return {url: parse(text) for url, text in found.items() if url != "/components"}


def test_what_htmx_asks_for_is_also_a_link_or_a_form(pages: dict[str, Element]) -> None:
    wrong = []
    for page, root in pages.items():
        parents = {child: parent for parent in root.iter() for child in parent}
        for element in root.iter():
            if post := element.get("hx-post"):
                wrong += [] if _goes_there(element, post, parents) else [(page, "hx-post", post)]
            if (get := element.get("hx-get")) and not _has_another_way(element):
                wrong.append((page, "hx-get", get))
    assert wrong == []


def test_every_form_lands_on_a_whole_page(pages: dict[str, Element], browser: Browser) -> None:
    forms = {form.action: form for page, root in pages.items() for form in _forms(page, root)}
    assert len(forms) >= 40
    wrong, passed = {}, 0
    for action in sorted(forms, key=lambda one: (one == "/logout", one.split("?")[0].endswith(_LAST), one)):
        form = forms[action]
        answer = browser.client.post(action, data=dict(form.fields), headers={"Referer": "http://localhost"})
        whole = answer.status_code == 303 or answer.data[:9] == b"<!doctype"
        passed += answer.status_code in (303, 422)
        if answer.status_code not in _FINE or not whole:
            wrong[action] = (form.page, answer.status_code, answer.text[:80])
    assert wrong == {}
    assert passed >= 30


def _goes_there(element: Element, url: str, parents: dict[Element, Element]) -> bool:
    """Tell whether a browser alone sends the same, or needs not: what only renews words beside a form."""
    if element.get("formaction") == url or element.get("action") == url:
        return True
    if element.get("hx-trigger") or "needs-script" in (element.get("class") or ""):
        return True
    form = element
    while form.tag != "form" and form in parents:
        form = parents[form]
    return form.get("action") == url


def _has_another_way(element: Element) -> bool:
    """Tell whether a link leads there too, or it only renews what the page shows anyway."""
    return bool(element.get("href") or element.get("hx-trigger") or list(element.iter("a")))


def _forms(page: str, root: Element) -> Iterator[Sent]:
    for form in root.iter("form"):
        if (form.get("method") or "get").lower() != "post":
            continue
        inside = [
            *form.iter(),
            *(one for one in root.iter() if form.get("id") and one.get("form") == form.get("id")),
        ]
        fields = (*(pair for element in inside for pair in _value(element)), *_button(inside))
        for action in dict.fromkeys([form.get("action") or page, *_other_ways(inside)]):
            yield Sent(page, action, fields)


def _button(inside: list[Element]) -> list[tuple[str, str]]:
    """Return what the button says that Enter would press."""
    buttons = [one for one in inside if one.tag == "button" and one.get("type", "submit") == "submit"]
    return [(one.get("name") or "", one.get("value") or "") for one in buttons[:1] if one.get("name")]


def _other_ways(inside: list[Element]) -> list[str]:
    return [found for element in inside if (found := element.get("formaction"))]


def _value(element: Element) -> Iterator[tuple[str, str]]:
    """Yield name and value of a field as it stands on the page."""
    name, kind = element.get("name"), element.get("type", "text")
    if not name or element.tag not in ("input", "textarea", "select"):
        return
    if element.tag == "textarea":
        yield name, "".join(element.itertext())
    elif element.tag == "select":
        options = list(element.iter("option"))
        chosen = [one for one in options if one.get("selected") is not None] or options[:1]
        yield from ((name, one.get("value") or "") for one in chosen)
    elif kind not in ("checkbox", "radio") or element.get("checked") is not None:
        yield name, element.get("value") or ""
