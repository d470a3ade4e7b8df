"""Text goes compressed to who takes it, so the first page is light; what is streamed goes as it is."""

from __future__ import annotations

import gzip
import re

import pytest

from tests.webapp.conftest import As
from tests.webapp.world import Browser, World
from webapp import compression

GZIP = {"Accept-Encoding": "gzip, deflate, br"}
STYLES = "/static/css/data.css"
# The promise is 150,000; the difference is room for an Overview with all its cards.
MOST_BYTES = 75_000


def test_a_page_is_the_same_compressed(world: World, as_: As) -> None:
    browser = as_("admin")
    plain = browser.get("/jobs")
    packed = browser.get("/jobs", headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 3
    assert b"Jobs" in gzip.decompress(packed.data)
    assert "Accept-Encoding" in plain.vary
    assert "Accept-Encoding" in packed.vary


def test_the_length_of_a_page_does_not_tell_its_content() -> None:
    page = b"<p>the same page</p>" * 100
    assert len({len(compression.pack_page(page)) for _ in range(30)}) > 3
    assert gzip.decompress(compression.pack_page(page)) == page


def test_a_static_file_is_the_same_compressed_and_is_not_sent_twice(world: World, as_: As) -> None:
    browser = as_("stranger")
    with browser.get(STYLES) as plain, browser.get(STYLES, headers=GZIP) as packed:
        assert gzip.decompress(packed.data) == plain.data
        assert packed.headers["ETag"].startswith("W/")
        tag = packed.headers["ETag"]
    with browser.get(STYLES, headers={**GZIP, "If-None-Match": tag}) as again:
        assert (again.status_code, again.data) == (304, b"")


def test_what_refuses_it_gets_it_plain(world: World, as_: As) -> None:
    page = as_("admin").get("/jobs", headers={"Accept-Encoding": "gzip;q=0, identity"})
    assert "Content-Encoding" not in page.headers
    assert "Jobs" in page.text


def test_backed_up_data_is_streamed_as_it_is(world: World, as_: As) -> None:
    with as_("admin").get(f"/points/{world.point_id}/archive?form=zip", headers=GZIP) as answer:
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer.headers
        assert answer.data[:2] == b"PK"


def weight(browser: Browser, url: str) -> int:
    """Return the bytes of a page and of all that it names, as sent."""
    page = browser.get(url, headers=GZIP)
    assert page.status_code == 200
    assets = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', browser.get(url).text))
    assert len(assets) > 8
    total = len(page.data)
    for asset in assets:
        with browser.get(asset, headers=GZIP) as answer:
            total += len(answer.data)
    return total


@pytest.mark.parametrize(("role", "url"), [("stranger", "/login"), ("admin", "/")])
def test_the_first_page_is_light(role: str, url: str, world: World, as_: As) -> None:
    assert weight(as_(role), url) <= MOST_BYTES
