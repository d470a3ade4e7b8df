"""What addresses may ask for: filters and pages."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

MOST_PER_PAGE = 500
RowId = Annotated[int, Field(ge=0, le=2**63 - 1)]


class Query(BaseModel):
    """Parameters of an address; what is not known is refused, so that a mistyped filter is not ignored."""

    model_config = ConfigDict(extra="forbid")


class Paged(Query):
    """Which page of a list. One that does not exist is brought into range: see `page` of the answer."""

    page: int = Field(default=1, ge=1, le=1_000_000)
    per_page: int = Field(default=50, ge=1, le=MOST_PER_PAGE)


class ConfigQuery(Paged):
    """Which configs. `deleted`: those that were deleted instead."""

    type: str | None = None
    enabled: bool | None = None
    deleted: bool = False


class Days(Paged):
    """Between which days, in UTC, both included."""

    from_: date | None = Field(default=None, alias="from")
    to: date | None = None

    @property
    def since(self) -> datetime | None:
        """When the first day begins."""
        return _midnight(self.from_) if self.from_ else None

    @property
    def until(self) -> datetime | None:
        """When the last day is over."""
        return _midnight(self.to + timedelta(days=1)) if self.to and self.to < date.max else None


class JobQuery(Days):
    """Which jobs. `status` may be `pending` or `ended`; `from` and `to` are days in UTC, both included."""

    kind: str | None = None
    status: str | None = None
    type: str | None = Field(default=None, description="The type of the config.")
    config: str | None = Field(default=None, description="The id of the config.")
    host: str | None = Field(default=None, description="The id of the host that it reads or restores to.")


class LogQuery(Paged):
    """Which lines of a log."""

    problems: bool = Field(default=False, description="Only warnings, and lines about single files.")


class ByConfig(Paged):
    """Of which config; none: of all."""

    config: str | None = Field(default=None, description="The id of the config.")


class FolderQuery(Paged):
    """Which folder of a point: `path` as people write it, or `token` as a listing gives it."""

    path: str | None = None
    token: str | None = None
    copy_id: RowId | None = None


class FileQuery(Query):
    """Which file or folder of a point: `path` as people write it, or `token` as a listing gives it."""

    path: str | None = None
    token: str | None = None
    copy_id: RowId | None = None


class ArchiveQuery(FileQuery):
    """Which folder, and as what."""

    form: Literal["tar", "zip"] = "tar"


class AlertQuery(Paged):
    """Which alerts: those that are open, or those resolved last."""

    state: Literal["open", "resolved"] = "open"
    config: str | None = Field(default=None, description="The id of the config.")


class ById(Query):
    """Which one, where the body does not say."""

    id: str | None = None


class DeleteConfigQuery(Query):
    """`points=trash`: also put all its points into the trash, from where they go after seven days."""

    points: Literal["keep", "trash"] = "keep"


class DeleteConfigById(DeleteConfigQuery):
    """The same for the whole collection, where the id may stand here."""

    id: str | None = None


class DeleteJobQuery(Query):
    """`confirm`: also if more than half of the points would have gone within a day."""

    confirm: bool = False


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
