"""What a config says about its runs beside the schedule: quiet hours, spread, retries, limits, objectives."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from core import spans
from core.models import Config
from core.schedules import quiet_hours

_DAY = 86400
MOST_RETRIES = 10
DEFAULT_DELAY_S = 600


def _given(value: object) -> object:
    """Take a blank text, as forms send it, for none."""
    return 0 if isinstance(value, str) and not value.strip() else value


# In seconds, or as core.spans reads them.
Delay = Annotated[Annotated[int, Field(ge=60, le=_DAY)] | None, BeforeValidator(spans.read)]
Spread = Annotated[Annotated[int, Field(ge=0, le=_DAY // 2)] | None, BeforeValidator(spans.read)]
Longest = Annotated[Annotated[int, Field(ge=60, le=30 * _DAY)] | None, BeforeValidator(spans.read)]
Objective = Annotated[Annotated[int, Field(ge=60, le=3650 * _DAY)] | None, BeforeValidator(spans.read)]


class Retries(BaseModel):
    """How often a scheduled backup that failed is tried again by itself, and how long after."""

    model_config = ConfigDict(extra="forbid")

    count: Annotated[int, Field(ge=0, le=MOST_RETRIES), BeforeValidator(_given)] = 0
    delay: Delay = DEFAULT_DELAY_S

    @property
    def delay_s(self) -> int:
        """How long after a failure, in seconds."""
        return DEFAULT_DELAY_S if self.delay is None else self.delay


class Objectives(BaseModel):
    """How old the newest point may be (`rpo`), and how long a whole restore may take (`rto`), in seconds.

    None: what follows from the schedule, and from the type; see core.configs.objectives.
    """

    model_config = ConfigDict(extra="forbid")

    rpo: Objective = None
    rto: Objective = None


class TimingFields(BaseModel):
    """The fields, as a config's input has them. `blackouts`: lines as in core.schedules.quiet_hours.

    `spread`: runs begin up to so many seconds after their due time, each config at a time of its own.
    `max_duration`: a backup that takes longer is ended, in seconds.
    """

    blackouts: list[str] = []
    spread: Spread = None
    retries: Retries = Retries()
    max_duration: Longest = None
    objectives: Objectives = Objectives()

    @field_validator("blackouts")
    @classmethod
    def _check_blackouts(cls, lines: list[str]) -> list[str]:
        return quiet_hours.check(lines)

    def timing(self) -> dict[str, Any]:
        """Return these fields as they are stored."""
        return self.model_dump(include=set(TimingFields.model_fields))

    @classmethod
    def stored(cls, config: Config) -> Self:
        """Return what a config has stored."""
        return cls.model_validate(config.timing or {})


def of(config: Config) -> TimingFields:
    """Return the timing of a config."""
    return TimingFields.stored(config)


def words_of(fields: TimingFields) -> list[str]:
    """Say what differs from the usual, a sentence each."""
    said = []
    if fields.blackouts:
        said.append(f"No backup begins by itself {' or '.join(fields.blackouts)}.")
    if fields.spread:
        said.append(f"Runs begin up to {spans.say(fields.spread)} later, always by the same time.")
    if fields.retries.count:
        often = "once" if fields.retries.count == 1 else f"up to {fields.retries.count} times"
        said.append(f"A run that failed is tried again {often}, {spans.say(fields.retries.delay_s)} later.")
    if fields.max_duration:
        said.append(f"A backup that takes longer than {spans.say(fields.max_duration)} is ended.")
    return said
