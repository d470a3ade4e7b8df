"""Roles: viewer, operator, admin; each may do what the one before may. One table for pages and API."""

from __future__ import annotations

from typing import Literal

Role = Literal["viewer", "operator", "admin"]

RANKS = {"viewer": 1, "operator": 2, "admin": 3}


def reaches(role: str, least: str) -> bool:
    """Tell whether a role is this one or a higher one; an unknown role reaches nothing."""
    return RANKS.get(role, 0) >= RANKS[least]


def weaker(one: str, other: str) -> str:
    """Return the role of the two that may do less."""
    return min(one, other, key=lambda role: RANKS.get(role, 0))
