"""Snapshots."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repository.errors import Damaged
from repository.snapshot import Snapshot
from tests.repository.hostile import HOSTILE_TEXTS, mutations, odd_documents, refuses_or_decodes

TIME = "2026-11-23T03:04:05.123456789+01:00"
FULL = Snapshot(
    TIME,
    b"\x11" * 32,
    ["/srv/b", "/a & ü"],
    hostname="h",
    username="u",
    uid=1,
    gid=2,
    excludes=["*.tmp"],
    tags=["t", "<x>"],
    parent=b"\x22" * 32,
    original=b"\x33" * 32,
    program_version="holdfast 0.1.0",
    summary={"files_new": 1, "backup_start": TIME},
    extra={"label": "l", "delete": {"x": [None, 2]}},
)


def test_the_keys_are_in_restics_order() -> None:
    assert FULL.encode().decode() == (
        f'{{"time":"{TIME}","parent":"{"22" * 32}","tree":"{"11" * 32}","paths":["/srv/b","/a \\u0026 ü"],'
        '"hostname":"h","username":"u","uid":1,"gid":2,"excludes":["*.tmp"],"tags":["t","\\u003cx\\u003e"],'
        f'"original":"{"33" * 32}","program_version":"holdfast 0.1.0",'
        f'"summary":{{"files_new":1,"backup_start":"{TIME}"}},"label":"l","delete":{{"x":[null,2]}}}}'
    )


def test_what_is_empty_is_left_out() -> None:
    text = Snapshot(TIME, b"\x11" * 32, ["/"]).encode().decode()
    assert text == f'{{"time":"{TIME}","tree":"{"11" * 32}","paths":["/"]}}'


def test_paths_stand_even_when_there_are_none() -> None:
    assert Snapshot(TIME, b"\x11" * 32, []).encode().endswith(b'","paths":[]}')


def test_a_snapshot_comes_back() -> None:
    assert Snapshot.decode(FULL.encode()) == FULL
    assert FULL.time_ns == 1_795_399_445_123_456_789


@given(st.lists(st.text(), max_size=3), st.text(), st.integers(0, 2**32 - 1))
def test_any_text_comes_back(texts: list[str], host: str, uid: int) -> None:
    snapshot = Snapshot(TIME, b"\x11" * 32, texts, hostname=host, uid=uid, excludes=texts, tags=texts)
    assert Snapshot.decode(snapshot.encode()) == snapshot


def test_unknown_keys_stay_when_it_is_written_again() -> None:
    text = FULL.encode()[:-1] + b',"description":1.50}'
    assert Snapshot.decode(text).encode() == text


@pytest.mark.parametrize(
    "fields",
    [
        {"tree": None},
        {"tree": "12"},
        {"tree": 5},
        {"time": None},
        {"time": "now"},
        {"time": "2026-02-30T00:00:00Z"},
        {"paths": "/"},
        {"paths": [1]},
        {"tags": {}},
        {"uid": 2**32},
        {"uid": -1},
        {"parent": "latest"},
        {"summary": []},
        {"hostname": 1},
    ],
)
def test_snapshots_that_cannot_be_are_damage(fields: dict[str, object]) -> None:
    with pytest.raises(Damaged):
        Snapshot.decode(json.dumps(json.loads(FULL.encode()) | fields).encode())


def test_null_means_absent() -> None:
    document = {"time": TIME, "tree": "11" * 32, "paths": None, "tags": None, "parent": None, "summary": None}
    assert Snapshot.decode(json.dumps(document).encode()) == Snapshot(TIME, b"\x11" * 32, [])


@given(mutations(FULL.encode()))
def test_mutated_snapshots_are_damaged_or_decode(data: bytes) -> None:
    snapshot = refuses_or_decodes(Snapshot.decode, data)
    assert snapshot is None or Snapshot.decode(snapshot.encode()) == snapshot


def test_hostile_snapshots_are_damaged() -> None:
    for data in HOSTILE_TEXTS:
        with pytest.raises(Damaged):
            Snapshot.decode(data)
    for data in odd_documents(FULL.encode()):
        refuses_or_decodes(Snapshot.decode, data)
