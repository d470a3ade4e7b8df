"""What the system catalogs say: databases, and in each of them tables, extensions, roles, settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

from psycopg import sql

from sources.postgres.manifest import Database, Extension, Grant, Setting, Table
from sources.postgres.server import Session

# Made by the hosts of managed servers for themselves; a user cannot connect to them.
OF_PROVIDERS = frozenset({"rdsadmin", "cloudsqladmin", "azure_maintenance", "azure_sys", "alloydbadmin"})
TEMPLATE = "a template for new databases"
_LARGE_OBJECTS = "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"


@dataclass(frozen=True, slots=True)
class Found:
    """A database of the server. `size_bytes` is None where this user may not know. `skip`: why it cannot be
    dumped, "" if it can."""

    name: str
    size_bytes: int | None
    skip: str = ""
    may_connect: bool = True


def version_num(session: Session) -> int:
    """Return the server's version as PostgreSQL counts it: 150008 is 15.8."""
    return session.info.server_version


def version_text(session: Session) -> str:
    """Return the server's version as it tells it, such as `15.8 (Debian 15.8-1)`."""
    return session.info.parameter_status("server_version") or str(version_num(session))


def list_databases(session: Session) -> list[Found]:
    """Return all databases, by name."""
    rows = session.execute(
        "SELECT datname, datallowconn, datistemplate, datconnlimit = -2,"
        " pg_catalog.has_database_privilege(oid, 'CONNECT'),"
        " CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT')"
        " THEN pg_catalog.pg_database_size(oid) END"
        " FROM pg_catalog.pg_database"
    )
    found = [
        Found(name, size, _why_not(name, connectable, template, broken, may), bool(may))
        for name, connectable, template, broken, may, size in rows
    ]
    return sorted(found, key=lambda each: each.name)


def _why_not(name: str, connectable: bool, template: bool, broken: bool, may_connect: bool) -> str:
    if template:
        return TEMPLATE
    if broken:
        return "its removal was interrupted; drop it again"
    if not connectable:
        return "the server allows no connection to it"
    if name in OF_PROVIDERS and not may_connect:
        return "it belongs to the provider of the server"
    return ""


def exists(session: Session, database: str) -> bool:
    """Tell whether the server has a database of this name."""
    found = session.execute("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", [database])
    return found.fetchone() is not None


def describe_database(session: Session, file: str) -> Database:
    """Return all that a restore of the session's database needs to know, without its tables."""
    record = _properties(session, file)
    record.grants = _grants(session)
    record.settings = _settings(session)
    found = session.execute("SELECT extname, extversion FROM pg_catalog.pg_extension ORDER BY extname")
    record.extensions = [Extension(name, version) for name, version in found]
    record.roles = _roles(session)
    found = session.execute(
        "SELECT DISTINCT spcname FROM pg_catalog.pg_tablespace t JOIN pg_catalog.pg_class c"
        " ON c.reltablespace = t.oid WHERE spcname NOT LIKE 'pg\\_%' ORDER BY spcname"
    )
    record.tablespaces = [name for (name,) in found]
    return record


def _properties(session: Session, file: str) -> Database:
    version = version_num(session)
    if version >= 170000:
        provider: LiteralString = "datlocprovider, datlocale"
    else:
        provider = "datlocprovider, daticulocale" if version >= 150000 else "'c', NULL"
    row = session.execute(
        sql.SQL(
            "SELECT datname, pg_catalog.pg_get_userbyid(datdba), pg_catalog.pg_encoding_to_char(encoding),"
            " datcollate, datctype, {}, pg_catalog.pg_database_size(oid), datconnlimit,"
            " pg_catalog.shobj_description(oid, 'pg_database')"
            " FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()"
        ).format(sql.SQL(provider))
    ).fetchone()
    assert row is not None  # the database that this session is in
    name, owner, encoding, collate, ctype, locale_provider, locale, size, limit, comment = row
    return Database(
        name,
        file,
        owner,
        encoding,
        collate,
        ctype,
        _text(locale_provider),
        locale or "",
        size,
        limit,
        comment or "",
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _grants(session: Session) -> list[Grant] | None:
    """Return the rights on the database, None if they are the default ones."""
    rows = session.execute(
        "SELECT datacl IS NULL, CASE WHEN grantee <> 0 THEN pg_catalog.pg_get_userbyid(grantee) END,"
        " privilege_type, is_grantable FROM pg_catalog.pg_database"
        " LEFT JOIN LATERAL pg_catalog.aclexplode(datacl) ON true"
        " WHERE datname = pg_catalog.current_database()"
    ).fetchall()
    if rows[0][0]:
        return None
    found = [Grant(role or "", right, bool(grantable)) for _, role, right, grantable in rows if right]
    return sorted(found, key=lambda grant: (grant.role, grant.right))


def _settings(session: Session) -> list[Setting]:
    rows = session.execute(
        "SELECT coalesce(r.rolname, ''), unnest(s.setconfig) FROM pg_catalog.pg_db_role_setting s"
        " JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase"
        " LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole"
        " WHERE d.datname = pg_catalog.current_database()"
    )
    found = [Setting(role, *text.split("=", 1)) for role, text in rows]
    return sorted(found, key=lambda setting: setting.role)  # those of one role keep their order


def _roles(session: Session) -> list[str]:
    """Return the roles that own something in this database or have rights there; not the built-in ones."""
    rows = session.execute(
        "SELECT DISTINCT r.rolname FROM pg_catalog.pg_shdepend s"
        " JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid"
        " JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()"
        " WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass"
        " AND (s.dbid = d.oid OR (s.dbid = 0 AND s.classid = 'pg_catalog.pg_database'::regclass"
        " AND s.objid = d.oid))"
        " AND r.rolname NOT LIKE 'pg\\_%'"
    )
    owners = {name for (name,) in rows} | _bootstrap_owner(session)
    return sorted(owners)


def _bootstrap_owner(session: Session) -> set[str]:
    """Return the first superuser if it owns something here: nothing is said to depend on that one."""
    rows = session.execute(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE oid = 10 AND (EXISTS ("
        " SELECT 1 FROM pg_catalog.pg_class c WHERE relowner = 10 AND c.oid >= 16384 AND NOT EXISTS ("
        " SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))"
        " OR EXISTS (SELECT 1 FROM pg_catalog.pg_namespace n WHERE nspowner = 10 AND n.oid >= 16384"
        r" AND nspname NOT LIKE 'pg\_%')"
        " OR EXISTS (SELECT 1 FROM pg_catalog.pg_database WHERE datdba = 10"
        " AND datname = pg_catalog.current_database()))"
    )
    return {name for (name,) in rows}


def list_roles(session: Session) -> list[str]:
    """Return the names of all roles but the built-in ones."""
    rows = session.execute(
        "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname NOT LIKE 'pg\\_%' ORDER BY rolname"
    )
    return [name for (name,) in rows]


def may_read_passwords(session: Session) -> bool:
    """Tell whether this user may read the (hashed) passwords of roles."""
    row = session.execute(
        "SELECT pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT')"
    ).fetchone()
    return row is not None and bool(row[0])


def list_tables(session: Session, schemas_left_out: Sequence[str] = ()) -> list[Table]:
    """Return the tables that a dump of the session's database holds rows of, by schema and name.

    Tables of extensions are left out: the extension makes and fills them.
    """
    rows = session.execute(
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c"
        " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND c.relpersistence <> 't'"
        " AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        " AND n.nspname NOT LIKE 'pg\\_temp\\_%%' AND NOT n.nspname = ANY(%s)"
        " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'"
        " AND d.classid = 'pg_catalog.pg_class'::regclass)",
        [list(schemas_left_out)],
    )
    return [Table(schema, name) for schema, name in sorted(rows)]


def count_rows(session: Session, table: Table) -> int:
    """Return the rows of one table, those of tables that inherit from it not among them."""
    query = sql.SQL("SELECT count(*) FROM ONLY {}").format(sql.Identifier(table.schema, table.name))
    row = session.execute(query).fetchone()
    assert row is not None
    return int(row[0])


def count_large_objects(session: Session) -> int:
    """Return how many large objects the session's database holds."""
    row = session.execute(_LARGE_OBJECTS).fetchone()
    assert row is not None
    return int(row[0])
