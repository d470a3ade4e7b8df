"""Repositories kept open: who waits for one that does not answer waits once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NoReturn

import pytest

from core.errors import Unreachable
from core.points import opened
from core.storages import storages


class Record:
    """A row that tells when somebody has asked for its repository."""

    storage = None

    def __init__(self) -> None:
        self.asked = threading.Event()

    @property
    def id(self) -> str:
        """Return the id."""
        self.asked.set()
        return "one"


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    """Let no test see the repositories of another."""
    opened.forget_all()
    yield
    opened.forget_all()


def test_all_who_wait_for_a_storage_that_does_not_answer_are_told_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each would else wait for its own time-outs, in turn, and keep a thread of the app busy."""
    looked: list[int] = []
    told: list[str] = []
    silent = threading.Event()

    def answer_nothing(*_: Any, **__: Any) -> NoReturn:
        looked.append(1)
        assert silent.wait(120)
        raise Unreachable("no answer")

    def ask(record: Any) -> None:
        with pytest.raises(Unreachable) as caught:
            opened.get(record)
        told.append(caught.value.message)

    monkeypatch.setattr(storages, "open_adapter", answer_nothing)
    records = [Record() for _ in range(4)]
    threads = [threading.Thread(target=ask, args=(record,)) for record in records]
    for thread in threads:
        thread.start()
    assert all(record.asked.wait(120) for record in records)
    silent.set()
    for thread in threads:
        thread.join(120)
    assert (told, len(looked)) == (["no answer"] * 4, 1)
    ask(Record())
    assert len(looked) == 2  # who comes later looks anew
