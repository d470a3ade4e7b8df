"""Which databases of a server a backup takes, and why it leaves others out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sources.postgres import catalog
from sources.postgres.catalog import Found
from sources.postgres.errors import MissingRight, NoSuchDatabase
from sources.postgres.manifest import LeftOut
from sources.postgres.server import Server


@dataclass(slots=True)
class Choice:
    """The databases to dump; those left out, and why; of these the names of some that should not be."""

    wanted: list[Found] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    unreachable: list[str] = field(default_factory=list)


def choose_all(found: Sequence[Found], exclude: Collection[str]) -> Choice:
    """Return all databases but templates, excluded ones, and those that let this user not in."""
    choice = Choice()
    for each in found:
        reason = "excluded" if each.name in exclude else each.skip
        if reason:
            choice.left_out.append(LeftOut(each.name, reason))
        elif not each.may_connect:
            choice.unreachable.append(each.name)
            choice.left_out.append(LeftOut(each.name, may_not_connect(each.name)))
        else:
            choice.wanted.append(each)
    return choice


def choose_named(server: Server, names: Sequence[str], found: Sequence[Found]) -> Choice:
    """Return the databases named. Raises NoSuchDatabase, MissingRight."""
    there = {each.name: each for each in found}
    for name in names:
        each = there.get(name)
        if each is None:
            raise NoSuchDatabase(
                f"there is no database {name!r} on {server.place}; was it renamed or dropped? "
                "Correct the config"
            )
        if not each.may_connect:
            raise MissingRight(f"{may_not_connect(name)} (user {server.user!r}, {server.place})")
        if each.skip and each.skip != catalog.TEMPLATE:
            raise NoSuchDatabase(f"database {name!r} on {server.place} cannot be dumped: {each.skip}")
    return Choice([there[name] for name in names])


def may_not_connect(name: str) -> str:
    """Return the sentence about a database that lets this user not in."""
    return (
        f"the user may not connect to database {name!r}; grant CONNECT on it, or exclude it from the config"
    )
