"""Numbers with their nouns."""

from __future__ import annotations

import pytest

from core import words


@pytest.mark.parametrize(
    ("number", "noun", "said"),
    [(1, "second", "1 second"), (2, "day", "2 days"), (1200, "copy", "1,200 copies"), (0, "file", "0 files")],
)
def test_a_number_has_its_noun(number: int, noun: str, said: str) -> None:
    assert words.count(number, noun) == said
