"""Schedules go into the form and come out of it the same."""

from __future__ import annotations

import pytest

from core.errors import Invalid
from webapp.configs import config_form
from webapp.forms import Form


@pytest.mark.parametrize(
    ("cron", "schedule"),
    [
        ("", "manual"),
        ("0 * * * *", "hourly"),
        ("15 * * * *", "hourly"),
        ("0 2 * * *", "daily"),
        ("59 23 * * *", "daily"),
        ("30 4 * * 0", "weekly"),
        ("5 4 * * 6", "weekly"),
        ("0 1 31 * *", "monthly"),
        ("0 1 1 * 1", "custom"),
        ("*/10 * * * *", "custom"),
        ("0 2 * * 1-5", "custom"),
        ("0 2,14 * * *", "custom"),
        ("0 2 * 1 *", "custom"),
    ],
)
def test_a_cron_line_survives_the_form(cron: str, schedule: str) -> None:
    form = config_form.from_input({"cron": cron})
    assert form.value("schedule") == schedule
    assert config_form.cron_of(form) == cron


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"schedule": "daily", "time": ""}, "time"),
        ({"schedule": "daily", "time": "24:00"}, "time"),
        ({"schedule": "daily", "time": "2:5"}, "time"),
        ({"schedule": "hourly", "minute": "60"}, "minute"),
        ({"schedule": "hourly", "minute": "¼"}, "minute"),
        ({"schedule": "weekly", "time": "02:00", "weekday": "7"}, "weekday"),
        ({"schedule": "monthly", "time": "02:00", "monthday": "0"}, "monthday"),
        ({"schedule": "", "time": ""}, "time"),
    ],
)
def test_a_schedule_that_is_none_names_its_field(values: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        config_form.cron_of(Form(values))
    assert list(caught.value.fields) == [field]
