"""Passwords whose hashes take a millisecond: the algorithm stays, its cost tells most tests nothing."""

from __future__ import annotations

from argon2 import PasswordHasher

from core.access import users

_HASHER = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


def let_passwords_be_cheap() -> None:
    """For all that this process does from now on."""
    users._hasher = _HASHER
    users._NOBODY = users.hash_of_nobody()
