"""The checker of pages finds what it is there for."""

from __future__ import annotations

import pytest

from tests.webapp.html import problems_of

PAGE = "<!doctype html><html lang=en><head><title>x</title></head><body>{}</body></html>"


def test_a_sound_page_has_no_problems() -> None:
    assert problems_of(PAGE.format('<label for="a">A</label><input id="a"><p>text</p>')) == []


@pytest.mark.parametrize(
    "html",
    [
        '<p id="a">1</p><p id="a">2</p>',
        "<div><p>never closed</div></p>",
        "<input name='n'>",
        "<label for='x'>X</label><input name='n'>",
        "<button></button>",
        "<p style='color: red'>x</p>",
        "<script>1</script>",
        "<p onclick='x'>x</p>",
        "<div hx-on:click='x'>x</div>",
        "<a href='https://example.org/'>x</a>",
        "<a href='javascript:x'>x</a>",
        "<img src='/x.png'>",
        "<form method='post'></form>",
        "<p aria-describedby='gone'>x</p>",
        "<ul><li>x</ul></p>",
    ],
)
def test_a_page_with_a_fault_is_found_out(html: str) -> None:
    assert problems_of(PAGE.format(html)) != []


def test_a_fragment_has_one_root_with_an_id() -> None:
    assert problems_of("<p id='a'>x</p>") == []
    assert problems_of("<p>x</p>") != []
    assert problems_of("<p id='a'>x</p><p id='b'>y</p>") != []
