"""Check input against a schema, with a sentence for each field that cannot be taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from core.errors import Invalid

Model = TypeVar("Model", bound=BaseModel)

_NEEDED = ("missing", "string_too_short")


def validate(model: type[Model], data: Mapping[str, Any]) -> Model:
    """Return the input that `data` describes. Raises Invalid; nested fields as "retention.days"."""
    problem: ValidationError | None = None
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        problem = error
    # Not from inside the handler: what was typed may be a secret, and hangs on the error.
    raise Invalid(sentences(problem))


def sentences(error: ValidationError) -> dict[str, str]:
    """Return one sentence by field."""
    found: dict[str, str] = {}
    for each in error.errors(include_input=False, include_url=False, include_context=False):
        field = ".".join(str(part) for part in each["loc"])
        found.setdefault(field, _sentence(each["msg"], each["type"]))
    return found


def _sentence(message: str, kind: str) -> str:
    if kind in _NEEDED:
        return "This is needed."
    if kind == "extra_forbidden":
        return "This field is not known."
    text = message.removeprefix("Value error, ").removeprefix("Input ").strip()
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
