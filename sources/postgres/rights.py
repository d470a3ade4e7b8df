"""What a user may not read of the databases it is to dump, and the SQL that makes one that may."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from sources.postgres import catalog
from sources.postgres.dump import DumpOptions
from sources.postgres.errors import ServerUnavailable
from sources.postgres.server import Server, Session

_DEFAULTS = DumpOptions()
_EXAMPLES = 5
_AT_ONCE = 4
# Since version 14 one role may read all tables of all databases, also those made later.
_READ_ALL_SINCE = 140000

_DUMPED = (
    "c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
    " AND NOT n.nspname = ANY(%s) AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d"
    " WHERE d.objid = c.oid AND d.deptype = 'e' AND d.classid = 'pg_catalog.pg_class'::regclass)"
)
_UNREADABLE: LiteralString = (
    "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"  # noqa: S608
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'S') AND NOT (pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
    " AND CASE c.relkind WHEN 'S' THEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT')"
    " ELSE pg_catalog.has_table_privilege(c.oid, 'SELECT') END) AND " + _DUMPED + " ORDER BY 1"
)
_BY_POLICY: LiteralString = (
    "SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"  # noqa: S608
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND pg_catalog.row_security_active(c.oid)"
    " AND " + _DUMPED + " ORDER BY 1"
)
_LARGE_OBJECTS: LiteralString = (
    "SELECT oid::text FROM pg_catalog.pg_largeobject_metadata m"
    " WHERE NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)"
    " AND pg_catalog.current_setting('lo_compat_privileges') <> 'on'"
    " AND NOT pg_catalog.pg_has_role(m.lomowner, 'USAGE') AND NOT EXISTS ("
    " SELECT 1 FROM pg_catalog.aclexplode(m.lomacl) a WHERE a.privilege_type = 'SELECT'"
    " AND (a.grantee = 0 OR pg_catalog.pg_has_role(a.grantee, 'USAGE'))) ORDER BY oid"
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a user lacks. `stops`: a dump fails over it; else a part is missing, as `text` says.

    `database` is "" for what concerns the whole server. `remedy` is SQL for somebody who may run it.
    """

    database: str
    text: str
    remedy: str
    stops: bool = True


def check_rights(
    server: Server, databases: Sequence[str] | None = None, options: DumpOptions = _DEFAULTS
) -> list[Finding]:
    """Return what keeps this user from dumping these databases, all where None is given.

    Raises ServerUnavailable if it cannot even log in.
    """
    with server.reading() as session:
        found = [each for each in catalog.list_databases(session) if not each.skip]
        may_read_passwords = catalog.may_read_passwords(session)
        version = catalog.version_num(session)
    names = [each.name for each in found] if databases is None else list(databases)
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a login takes a while, and there may be hundreds
        each = pool.map(lambda name: _in_database(server, name, version, options), names)
        findings = [finding for found_there in each for finding in found_there]
    if not may_read_passwords:
        text = "the passwords of roles may not be read: roles are stored without them"
        remedy = f"GRANT SELECT ON pg_catalog.pg_authid TO {quoted(server.user)};"
        findings.append(Finding("", text, remedy, stops=False))
    return findings


def _in_database(server: Server, name: str, version: int, options: DumpOptions) -> list[Finding]:
    user = quoted(server.user)
    try:
        with server.reading(name) as session:
            return _look(session, name, user, version, options)
    except ServerUnavailable as err:
        remedy = f"GRANT CONNECT ON DATABASE {quoted(name)} TO {user};"
        return [Finding(name, f"no connection to the database: {err}", remedy)]
    except psycopg.Error as err:
        return [Finding(name, f"the database cannot be looked at: {server.scrub(str(err))}", "")]


def _look(session: Session, name: str, user: str, version: int, options: DumpOptions) -> list[Finding]:
    schemas = [list(options.schemas_left_out)]
    findings = []
    if tables := _names(session, _UNREADABLE, schemas):
        remedy = "\n".join(_read_all(user, version))
        text = f"{len(tables)} tables or sequences may not be read: {_some(tables)}"
        findings.append(Finding(name, text, remedy))
    if policies := _names(session, _BY_POLICY, schemas):
        text = f"row-level security hides rows of {len(policies)} tables: {_some(policies)}"
        findings.append(Finding(name, text, f"ALTER ROLE {user} BYPASSRLS;"))
    if options.large_objects and (objects := _names(session, _LARGE_OBJECTS, None)):
        text = (
            f"{len(objects)} large objects may not be read: {_some(objects)}; this right must be given again "
            "for those made later. A superuser may read all, or the dump leaves large objects out"
        )
        findings.append(Finding(name, text, _grant_large_objects(user)))
    return findings


def _names(session: Session, query: LiteralString, values: list[list[str]] | None) -> list[str]:
    return [name for (name,) in session.execute(query, values)]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_EXAMPLES]) + (" …" if len(names) > _EXAMPLES else "")


def backup_user_sql(databases: Sequence[str], user: str, *, version_num: int = _READ_ALL_SINCE) -> str:
    """Return what a superuser runs in psql to make a user that may read these databases and change none.

    It cannot log in before it is given a password, by psql's `\\password`: none stands in the text.
    """
    name = quoted(user)
    lines = [
        f"-- A user for backups: it reads everything and changes nothing. Then, in psql:  \\password {name}",
        f"CREATE ROLE {name} LOGIN;",
        f"ALTER ROLE {name} SET default_transaction_read_only = on;",
        "-- Tables with row-level security are dumped whole, or not at all:",
        f"ALTER ROLE {name} BYPASSRLS;",
    ]
    if version_num >= _READ_ALL_SINCE:
        lines += ["-- All tables of all databases, also later ones, and role passwords:"]
        lines += _read_all(name, version_num)
    for database in databases:
        lines += ["", f"\\connect {_for_psql(database)}"]
        lines += [f"GRANT CONNECT ON DATABASE {quoted(database)} TO {name};"]
        lines += [] if version_num >= _READ_ALL_SINCE else _read_all(name, version_num)
        lines += ["-- Large objects: those that there are now.", _grant_large_objects(name)]
    return "\n".join(lines) + "\n"


def _read_all(user: str, version_num: int) -> list[str]:
    if version_num >= _READ_ALL_SINCE:
        return [f"GRANT pg_read_all_data TO {user};"]
    return [
        "DO $$ DECLARE s text; BEGIN FOR s IN SELECT nspname FROM pg_namespace",
        "  WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' LOOP",
        f"  EXECUTE format('GRANT USAGE ON SCHEMA %I TO {_inner(user)}', s);",
        f"  EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO {_inner(user)}', s);",
        f"  EXECUTE format('GRANT SELECT ON ALL SEQUENCES IN SCHEMA %I TO {_inner(user)}', s);",
        "  EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I"
        f" GRANT SELECT ON TABLES TO {_inner(user)}', s);",
        "END LOOP; END $$;",
    ]


def _grant_large_objects(user: str) -> str:
    return (
        "DO $$ DECLARE o oid; BEGIN FOR o IN SELECT oid FROM pg_largeobject_metadata LOOP\n"  # noqa: S608
        f"  EXECUTE format('GRANT SELECT ON LARGE OBJECT %s TO {_inner(user)}', o);\n"
        "END LOOP; END $$;"
    )


def _inner(user: str) -> str:
    """Return a quoted name for use inside a string of format(), inside $$."""
    return user.replace("%", "%%").replace("'", "''")


def _for_psql(database: str) -> str:
    return "'" + database.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted(name: str) -> str:
    """Return a name as SQL takes it, in double quotes."""
    return sql.Identifier(name).as_string(None)
