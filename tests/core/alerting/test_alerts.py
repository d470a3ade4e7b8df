"""Alerts: one open row a subject, resolved and opened anew."""

from __future__ import annotations

import threading

import pytest
from flask import Flask

from core.access import users
from core.alerting import alerts
from core.errors import NotFound
from core.models import Alert


def open_alert(subject: str = "backup:1", severity: str = "error", what: str = "It failed.") -> Alert:
    """Open an alert."""
    return alerts.raise_alert(
        subject, "failure", severity, what, "Nothing is lost.", "Mount the disk.", "errno 5"
    )


def test_a_repeat_counts_and_renews_the_text(context: Flask) -> None:
    first = open_alert()
    opened_at = first.opened_at
    again = open_alert(what="It failed again.")
    assert (again.id, again.count, again.what) == (first.id, 2, "It failed again.")
    assert again.opened_at == opened_at <= again.last_at
    assert len(alerts.list_open()) == 1


def test_after_it_was_resolved_it_opens_anew(context: Flask) -> None:
    first = open_alert().id
    assert alerts.is_open("backup:1")
    assert alerts.resolve("backup:1")
    assert not alerts.is_open("backup:1")
    assert not alerts.resolve("backup:1")
    assert open_alert().id != first
    assert [alert.id for alert in alerts.list_recent()] == [first]


def test_subjects_do_not_touch_each_other(context: Flask) -> None:
    open_alert("backup:1")
    open_alert("backup:2")
    alerts.resolve("backup:1")
    assert [alert.subject for alert in alerts.list_open()] == ["backup:2"]


def test_errors_stand_before_warnings(context: Flask) -> None:
    open_alert("a", "warning")
    open_alert("b", "error")
    open_alert("c", "warning")
    assert [alert.subject for alert in alerts.list_open()] == ["b", "c", "a"]


def test_who_has_seen_it_first_stays_and_it_stays_open(context: Flask) -> None:
    anna = users.create("Anna", "correct horse battery", "admin")
    bert = users.create("Bert", "correct horse battery", "admin")
    alert = open_alert()
    assert alerts.count_open() == 1
    alerts.acknowledge(alert.id, anna)
    assert alerts.acknowledge(alert.id, bert).acknowledged_by == "Anna"
    assert alerts.count_open() == 0
    assert len(alerts.list_open()) == 1


def test_a_failure_after_a_warning_is_news_though_the_warning_was_known(context: Flask) -> None:
    anna = users.create("Anna", "correct horse battery", "admin")
    first = open_alert(severity="warning").id
    alerts.acknowledge(first, anna)
    open_alert(severity="warning")
    assert alerts.count_open() == 0
    assert alerts.get(first).news == 1
    again = open_alert(severity="error")
    assert (again.id, again.news, again.acknowledged_by) == (first, 2, "")
    assert alerts.count_open() == 1


def test_a_warning_after_a_failure_is_no_news(context: Flask) -> None:
    open_alert(severity="error")
    assert open_alert(severity="warning").news == 1


def test_a_person_may_resolve_it(context: Flask) -> None:
    alert = open_alert()
    when = alerts.resolve_by_hand(alert.id).resolved_at
    assert when is not None
    assert alerts.resolve_by_hand(alert.id).resolved_at == when
    assert alerts.list_open() == []


def test_an_unknown_one_is_not_found(context: Flask) -> None:
    user = users.create("Anna", "correct horse battery", "admin")
    for call in (
        lambda: alerts.get(9),
        lambda: alerts.acknowledge(9, user),
        lambda: alerts.resolve_by_hand(9),
    ):
        with pytest.raises(NotFound):
            call()


def test_the_same_trouble_from_many_threads_is_one_alert(context: Flask) -> None:
    def raise_it() -> None:
        with context.app_context():
            open_alert()

    threads = [threading.Thread(target=raise_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    (alert,) = alerts.list_open()
    assert alert.count == 8
