"""Sealed values open in their own place, with their own key, and nowhere else."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import secrets
from core.secrets import SealBroken

PLACE = {"table": "repositories", "row": "a1", "column": "password"}


@pytest.fixture(autouse=True, scope="module")
def _master_key() -> None:
    secrets.use_master_key("k" * 64)


@given(st.text())
def test_what_is_sealed_opens_again(text: str) -> None:
    assert secrets.unseal(secrets.seal(text, **PLACE), **PLACE) == text


def test_the_same_text_never_looks_the_same() -> None:
    assert secrets.seal("x", **PLACE) != secrets.seal("x", **PLACE)
    assert "recovery" not in secrets.seal("recovery", **PLACE)


@pytest.mark.parametrize(
    "other",
    [
        {"table": "repositories", "row": "a2", "column": "password"},
        {"table": "storages", "row": "a1", "column": "password"},
        {"table": "repositories", "row": "a1", "column": "token"},
        {"table": "repositoriesa", "row": "1", "column": "password"},
    ],
)
def test_a_value_moved_elsewhere_does_not_open(other: dict[str, str]) -> None:
    with pytest.raises(SealBroken):
        secrets.unseal(secrets.seal("x", **PLACE), **other)


def test_every_flipped_bit_is_noticed() -> None:
    version, key_id, data = secrets.seal("secret", **PLACE).split(".")
    raw = base64.urlsafe_b64decode(data)
    for at in range(len(raw)):
        broken = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(SealBroken):
            secrets.unseal(f"{version}.{key_id}.{base64.urlsafe_b64encode(broken).decode()}", **PLACE)


@pytest.mark.parametrize(
    "text", ["", "v1", "v1.x", "v1..", "v1.0.####", "a.b.c.d", "v2.{id}.QUJDREVGR0hJSktMTU5PUA=="]
)
def test_what_is_no_sealed_value_is_said_to_be_none(text: str) -> None:
    with pytest.raises(SealBroken):
        secrets.unseal(text, **PLACE)


def test_another_master_key_is_named_and_opens_nothing() -> None:
    sealed = secrets.seal("x", **PLACE)
    first = sealed.split(".")[1]
    assert secrets.use_master_key("another" * 9) != first
    with pytest.raises(SealBroken, match=first):
        secrets.unseal(sealed, **PLACE)
    assert secrets.use_master_key("k" * 64) == first
    assert secrets.unseal(sealed, **PLACE) == "x"


def test_sub_keys_differ_by_purpose_and_master_key() -> None:
    session = secrets.derive("session")
    assert len(session) == 32
    assert session == secrets.derive("session") != secrets.derive("csrf")
    secrets.use_master_key("another" * 9)
    assert secrets.derive("session") != session
    secrets.use_master_key("k" * 64)
