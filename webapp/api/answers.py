"""What each answer of the API is made of: documents, pages of lists, problems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from core.jobs.jobs import Page
from webapp.api.queries import Paged

T = TypeVar("T")


class Out(BaseModel):
    """A document that is given."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)


class ListOut(Out, Generic[T]):
    """One page of a list. `total` counts all pages."""

    items: list[T]
    page: int
    per_page: int
    total: int


class Problem(BaseModel):
    """What went wrong (RFC 9457), what to do, and the fields it is about."""

    class FieldProblem(BaseModel):
        """What is wrong with one field; nested ones with dots."""

        field: str
        reason: str

    type: str
    title: str
    status: int
    detail: str
    advice: str | None = None
    errors: list[FieldProblem] | None = None
    error_id: str | None = None


def page(found: Page[Any], make: Callable[[Any], Any]) -> dict[str, Any]:
    """Return one page of rows, each as `make` gives it: a ListOut."""
    return {
        "items": [make(row) for row in found.items], "page": found.number, "per_page": found.per_page,
        "total": found.total,
    }  # fmt: skip


def part(rows: Sequence[Any], make: Callable[[Any], Any], query: Paged) -> dict[str, Any]:
    """Return one page of rows that are all at hand: a ListOut."""
    last = max(1, -(-len(rows) // query.per_page))
    number = min(query.page, last)
    shown = rows[(number - 1) * query.per_page : number * query.per_page]
    return page(Page(shown, number, query.per_page, len(rows)), make)


def part_of(rows: Sequence[Any], make: Callable[[Sequence[Any]], list[Any]], query: Paged) -> dict[str, Any]:
    """Return the same where all that is shown is made together."""
    found = part(rows, lambda row: row, query)
    return found | {"items": make(found["items"])}
