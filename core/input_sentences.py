"""What is wrong with an input, as sentences by the names of its fields."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError


def of(error: ValidationError, main_fields: Mapping[str, str]) -> dict[str, str]:
    """Return a sentence by field. `main_fields`: where one about a whole source goes, by its type."""
    sentences: dict[str, str] = {}
    for problem in error.errors():
        listed = problem["loc"][:1] == ("destinations",)
        place = [str(part) for part in problem["loc"] if listed or not isinstance(part, int)]
        if place == ["source"] and problem["type"].startswith("union_tag"):
            place = ["type"]
        elif place[:1] == ["source"] and len(place) > 1:  # then comes its type
            place = place[2:] or [main_fields.get(place[1], "paths")]
        field = ".".join(place) or "name"
        sentences.setdefault(field, _sentence(problem["msg"], problem["type"]))
    return sentences


def _sentence(message: str, kind: str) -> str:
    if kind in ("missing", "too_short", "string_too_short"):
        return "This is needed."
    text = message.removeprefix("Value error, ").removeprefix("Input ").strip()
    return text[0].upper() + text[1:].rstrip(".") + "."
