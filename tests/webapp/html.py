"""What every page must keep: HTML without errors, ids once, names for controls, nothing inline."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree.ElementTree import Element

import tinyhtml5
from tinyhtml5.parser import HTMLParser

_VOID_OF_LABEL = ("hidden", "submit", "button")


def problems_of(page: str) -> list[str]:
    """Return what is wrong with a page or a fragment; a fragment must have one root with an id."""
    fragment = not page.lstrip().lower().startswith("<!doctype")
    parser = HTMLParser(namespace_html_elements=False)
    root = parser.parse(page) if not fragment else _body(parser, page)
    found = [f"{code} at {place}" for place, code, _ in parser.errors if not (fragment and "doctype" in code)]
    elements = [element for element in root.iter() if isinstance(element.tag, str)]
    found += _repeated_ids(elements) + _unnamed(elements) + list(_inline(elements))
    found += list(_broken(elements, whole=not fragment))
    if fragment and len(list(root)) != 1:
        found.append(f"a fragment has one root, not {len(list(root))}")
    if fragment and len(list(root)) == 1 and not next(iter(root)).get("id"):
        found.append("the root of a fragment has no id")
    return found


def _body(parser: HTMLParser, page: str) -> Element:
    document = parser.parse(f"<!doctype html><title>x</title><body>{page}</body>")
    body = document.find("body")
    assert body is not None
    return body


def _repeated_ids(elements: list[Element]) -> list[str]:
    count = Counter(element.get("id") for element in elements if element.get("id"))
    return [f"id {name!r} stands {number} times" for name, number in count.items() if number > 1]


def _unnamed(elements: list[Element]) -> list[str]:
    labelled = {element.get("for") for element in elements if element.tag == "label"}
    inside = {id(child) for element in elements if element.tag == "label" for child in element.iter()}
    wanting = []
    for element in elements:
        if element.tag not in ("input", "select", "textarea") or element.get("type") in _VOID_OF_LABEL:
            continue
        if element.get("id") not in labelled and id(element) not in inside and not element.get("aria-label"):
            wanting.append(f"no label for {element.tag} {element.get('name')!r}")
    wanting += [f"{e.tag} without words" for e in elements if e.tag in ("a", "button") and not _words(e)]
    return wanting


def _words(element: Element) -> str:
    return "".join(element.itertext()).strip() or element.get("aria-label", "")


def _inline(elements: list[Element]) -> Iterator[str]:
    for element in elements:
        if element.tag == "style" or (element.tag == "script" and not element.get("src")):
            yield f"inline {element.tag}"
        for name, value in element.attrib.items():
            if name == "style" or name.startswith(("on", "hx-on")):
                yield f"inline {name} on {element.tag}"
            if name in ("href", "src", "action") and value.lower().startswith(
                ("javascript:", "http:", "https:", "//")
            ):
                yield f"{name}={value!r} leads out"


def _broken(elements: list[Element], *, whole: bool) -> Iterator[str]:
    """Look for ids named that a whole page lacks, images without alt, forms by POST without a token."""
    ids = {element.get("id") for element in elements}
    for element in elements:
        for name in ("aria-describedby", "popovertarget", "data-copy", "list", "form"):
            for wanted in (element.get(name) or "").split():
                if whole and wanted not in ids:
                    yield f"{name} of {element.tag} names {wanted!r}, which is not there"
        if element.tag == "img" and element.get("alt") is None:
            yield "img without alt"
        if element.tag == "form" and (element.get("method") or "").lower() == "post":
            names = {child.get("name") for child in element.iter("input")}
            if "csrf_token" not in names:
                yield f"form {element.get('action')!r} has no token"


def parse(page: str) -> Element:
    """Return a page as a tree, for tests that look for something."""
    return tinyhtml5.parse(page, namespace_html_elements=False)
