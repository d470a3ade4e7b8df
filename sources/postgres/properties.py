"""Make a database as the manifest says, with what is kept outside of its dump: rights, settings, comment."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import sql

from sources.postgres.errors import RestoreRefused
from sources.postgres.manifest import Database
from sources.postgres.server import Server, Session


def create_database(server: Server, name: str, record: Database, *, owner: bool, locale: bool) -> None:
    """Make an empty database with the encoding, and as asked the owner and locale, of the one dumped.

    Raises RestoreRefused, ServerUnavailable.
    """
    words = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {}").format(
            sql.Identifier(name), sql.Literal(record.encoding)
        )
    ]
    if owner:
        words.append(sql.SQL("OWNER {}").format(sql.Identifier(record.owner)))
    with server.connect() as session:
        words += _locale(session, record) if locale else []
        try:
            session.execute(sql.SQL(" ").join(words))
        except psycopg.Error as err:
            raise RestoreRefused(
                f"the database for the restore cannot be made on {server.place}: {server.scrub(str(err))}. "
                "If it is for the locale, install that there, or restore with the server's own locale"
            ) from err


def _locale(session: Session, record: Database) -> Iterator[sql.Composed]:
    pairs = [("LC_COLLATE", record.collate), ("LC_CTYPE", record.ctype)]
    if session.info.server_version >= 150000:
        provider = {"i": "icu", "b": "builtin"}.get(record.locale_provider, "libc")
        pairs.append(("LOCALE_PROVIDER", provider))
        if provider != "libc":
            pairs.append(("ICU_LOCALE" if provider == "icu" else "BUILTIN_LOCALE", record.icu_locale))
    for keyword, value in pairs:
        yield sql.SQL("{} {}").format(sql.SQL(keyword), sql.Literal(value))


def describe(server: Server, name: str, record: Database, *, rights: bool) -> list[str]:
    """Give a database its comment, connection limit, settings and rights; return what failed, in words.

    `rights`: with what names roles. Raises ServerUnavailable.
    """
    errors = []
    with server.connect(name) as session:
        for statement in _statements(session, name, record, rights):
            try:
                session.execute(statement)
            except psycopg.Error as err:
                text = statement.as_string(session)
                errors.append(f"{server.scrub(str(err))} (statement: {server.scrub(text)})")
    return errors


def _statements(session: Session, name: str, record: Database, rights: bool) -> Iterator[sql.Composed]:
    database = sql.Identifier(name)
    yield sql.SQL("COMMENT ON DATABASE {} IS {}").format(database, sql.Literal(record.comment or None))
    if record.connection_limit != -1:
        limit = sql.Literal(record.connection_limit)
        yield sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit)
    yield from _settings(database, record, rights)
    if rights and record.grants is not None:
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database)
        yield sql.SQL("REVOKE ALL ON DATABASE {} FROM {}").format(database, sql.Identifier(record.owner))
        for grant in record.grants:
            to = sql.Identifier(grant.role) if grant.role else sql.SQL("PUBLIC")
            option = sql.SQL(" WITH GRANT OPTION" if grant.grantable else "")
            yield sql.SQL("GRANT {} ON DATABASE {} TO {}{}").format(
                sql.SQL(_right(grant.right)),
                database,
                to,
                option,
            )


def _settings(database: sql.Identifier, record: Database, rights: bool) -> Iterator[sql.Composed]:
    """A value is kept as the server itself puts it: set for the session, then taken from there."""
    for setting in record.settings:
        if setting.role and not rights:
            continue
        name = sql.SQL(".").join(sql.Identifier(part) for part in setting.name.split("."))
        yield sql.SQL("SELECT pg_catalog.set_config({}, {}, false)").format(
            sql.Literal(setting.name), sql.Literal(setting.value)
        )
        whom = sql.SQL("ALTER DATABASE {}").format(database)
        if setting.role:
            whom = sql.SQL("ALTER ROLE {} IN DATABASE {}").format(sql.Identifier(setting.role), database)
        yield sql.SQL("{} SET {} FROM CURRENT").format(whom, name)


def _right(name: str) -> str:
    """Return the name of a right on a database; the manifest is not trusted with SQL."""
    known = {"CREATE": "CREATE", "CONNECT": "CONNECT", "TEMPORARY": "TEMPORARY"}
    return known.get(name, "CONNECT")
