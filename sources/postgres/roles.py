"""Roles and the other things that belong to a whole server: dumped as SQL, put back role by role."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from sources.postgres import catalog
from sources.postgres.manifest import Globals
from sources.postgres.programs import Child, Program, in_short
from sources.postgres.server import Server, Session

_NO_PASSWORDS = (
    "role passwords may not be read by this user, so roles are stored without them: "
    "set them anew after a restore"
)
_NAME = r'("(?:[^"]|"")+"|[^\s";,]+)'
_ABOUT_ROLE = re.compile(rf"(?:CREATE ROLE|ALTER ROLE|COMMENT ON ROLE) {_NAME}")
_MEMBERSHIP = re.compile(rf"GRANT {_NAME} TO {_NAME}(?: |;|\Z)")
_GRANTED_BY = re.compile(rf" GRANTED BY {_NAME}\Z")
# What may stand in SQL and hold a semicolon or a quote that ends nothing.
_PIECES = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\\[^\n]*|;|[^'"\-;\\]+|-""", re.S)


@dataclass(slots=True)
class GlobalsDump:
    """The SQL of a server's globals, b"" where it may not be read at all; what is said of it; hints."""

    content: bytes
    record: Globals
    loses: bool = False


def dump_globals(
    server: Server, session: Session, program: Program, file: str, waiting: Callable[[], None]
) -> GlobalsDump:
    """Run pg_dumpall for roles, tablespaces and settings; `waiting` is called meanwhile and may raise."""
    passwords = catalog.may_read_passwords(session)
    record = Globals(file, catalog.list_roles(session), passwords, "" if passwords else _NO_PASSWORDS)
    code, content, messages = _run(server, program, passwords, waiting)
    if code == 0 and content:
        return GlobalsDump(content, record)
    record.roles, record.role_passwords = [], False
    record.missing = (
        f"roles, tablespaces and their settings could not be read, so the point lacks them: "
        f"{in_short(messages)}. "
        "Use a user with more rights, or make the roles by hand before a restore"
    )
    return GlobalsDump(b"", record, loses=True)


def _run(
    server: Server, program: Program, passwords: bool, waiting: Callable[[], None]
) -> tuple[int, bytes, list[str]]:
    arguments = ["--globals-only", "--no-password", f"--database={server.database}"]
    arguments += [f"--dbname={server.conninfo()}"] + ([] if passwords else ["--no-role-passwords"])
    child = Child(program, arguments, server)
    try:
        content = child.read_all(waiting)
        return child.wait(waiting), content, child.messages()
    finally:
        child.stop()


@dataclass(slots=True)
class RolesRestored:
    """What became of roles: made anew, there before (not touched), and what failed, in words."""

    made: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def restore_roles(server: Server, content: bytes, only: set[str] | None = None) -> RolesRestored:
    """Make the roles of a globals dump that the server lacks, with settings and memberships.

    `only` names those wanted (roles they are members of come too); None is all. A role that is there already
    is not touched: neither its password nor its rights. Raises ServerUnavailable.
    """
    statements = list(split_statements(content.decode("utf-8", "surrogateescape")))
    with server.connect() as session:
        there = set(catalog.list_roles(session))
        wanted = _with_groups(statements, only)
        result = RolesRestored()
        for statement in statements:
            role = _role_of(statement, there, wanted)
            if role is not None:
                _execute(server, session, statement, role, result)
        result.kept = sorted(there & (wanted if wanted is not None else _created(statements)))
    return result


def _execute(server: Server, session: Session, statement: str, role: str, result: RolesRestored) -> None:
    try:
        session.execute(sql.SQL(statement))
    except psycopg.Error as err:
        result.errors.append(f"role {role!r}: {server.scrub(str(err))}")
    else:
        if statement.startswith("CREATE ROLE"):
            result.made.append(role)


def _role_of(statement: str, there: set[str], wanted: set[str] | None) -> str | None:
    """Return the role that a statement makes or describes, None if it is not to be run."""
    role = _subject(statement)
    if role is None or role in there or (wanted is not None and role not in wanted):
        return None
    return role


def _subject(statement: str) -> str | None:
    about = _ABOUT_ROLE.match(statement)
    if about:
        return _unquote(about[1])
    membership = _MEMBERSHIP.match(statement)
    return _unquote(membership[2]) if membership else None


def _created(statements: list[str]) -> set[str]:
    return {_subject(each) or "" for each in statements if each.startswith("CREATE ROLE ")}


def _with_groups(statements: list[str], only: set[str] | None) -> set[str] | None:
    """Return the roles wanted, with those that they are members of, and so on."""
    if only is None:
        return None
    pairs = [match for each in statements if (match := _MEMBERSHIP.match(each))]
    member_of = [(_unquote(match[2]), _unquote(match[1])) for match in pairs]
    wanted = set(only)
    while more := {group for member, group in member_of if member in wanted} - wanted:
        wanted |= more
    return wanted


def _unquote(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def split_statements(text: str) -> Iterator[str]:
    """Yield the SQL statements of a dump, without comments, empty ones and psql's own lines.

    pg_dumpall says who granted a membership; that role may be missing here, so it is left out.
    """
    statement = ""
    for piece in _PIECES.findall(text):
        if piece == ";":
            if statement.strip():
                yield _GRANTED_BY.sub("", statement.strip())
            statement = ""
        elif not piece.startswith(("--", "\\")):  # \connect, \restrict: psql's
            statement += piece
