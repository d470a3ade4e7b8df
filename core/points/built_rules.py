"""From what size downloads are built first, how long they are kept, and how much room they may take."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core import input_sentences, instance
from core.errors import Invalid

GIB = 1 << 30
_KEY = "built_downloads"


class Rules(BaseModel):
    """`build_above_bytes`: a download of more, or of a size that is not known soon, is offered to be built.

    `keep_hours`: so long after it was built it is removed. `most_bytes`: all of them together.
    """

    model_config = ConfigDict(extra="forbid")

    build_above_bytes: int = Field(default=2 * GIB, ge=0, le=1 << 50)
    keep_hours: int = Field(default=48, ge=1, le=24 * 90)
    most_bytes: int = Field(default=100 * GIB, ge=1, le=1 << 60)


def current() -> Rules:
    """Return the rules."""
    return Rules.model_validate(instance.get(_KEY) or {})


def change(given: dict[str, Any]) -> Rules:
    """Set rules; those not given stay. Raises Invalid."""
    try:
        chosen = Rules.model_validate({**current().model_dump(), **given})
    except ValidationError as error:
        raise Invalid(input_sentences.of(error, {})) from error
    instance.put(_KEY, chosen.model_dump())
    return chosen
