"""What a restore of a dump needs of the server it goes to: looked at before anything is changed there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sources.postgres import catalog
from sources.postgres.errors import RestoreRefused
from sources.postgres.manifest import Database, Manifest
from sources.postgres.programs import Program, find_program
from sources.postgres.server import Server, Session

_NAME_BYTES = 63
# Databases that can be connected to when the one that is restored cannot be, or must not.
_MAINTENANCE = ("postgres", "template1")


@dataclass(frozen=True, slots=True)
class RestoreOptions:
    """How to restore. `owners`: with owners and rights, whose roles must be there; else all is the user's.

    `own_locale`: with the locale it had, else with the server's. `accept_errors` takes a database whose rows
    are all there though some statements failed. `keep_failed` leaves what a failed restore made.
    `jobs`: how many processes restore a parallel dump.
    """

    owners: bool = True
    own_locale: bool = True
    accept_errors: bool = False
    keep_failed: bool = False
    analyze: bool = True
    jobs: int = 1


@dataclass(slots=True)
class RestorePlan:
    """What a restore would do, and what stands in its way (`obstacles`, each with what to do)."""

    name: str
    pg_restore: Program
    taken: bool = False
    tablespaces: bool = True
    missing_roles: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    obstacles: list[str] = field(default_factory=list)

    def require_clear(self) -> None:
        """Raise RestoreRefused if anything stands in the way."""
        if self.obstacles:
            raise RestoreRefused("; ".join(self.obstacles) + ". Nothing was changed")


def plan_restore(
    server: Server, manifest: Manifest, record: Database, name: str, options: RestoreOptions, roles_sql: bytes
) -> RestorePlan:
    """Look at the server; `roles_sql` (b"" for none) is what missing roles would be made from.

    Raises ServerUnavailable, ProgramMissing.
    """
    made_with = int(manifest.tools.get("pg_dump", "0").split(".")[0] or 0)
    plan = RestorePlan(name, find_program("pg_restore", made_with or manifest.server_version_num // 10000))
    with maintenance(server, name).reading() as session:
        plan.taken = catalog.exists(session, name)
        _look_at_rights(plan, session, server)
        _look_at_version(plan, session, manifest)
        _look_at_extensions(plan, session, record)
        if options.owners:
            _look_at_roles(plan, session, record, roles_sql)
        _look_at_tablespaces(plan, session, record)
    return plan


def maintenance(server: Server, *avoid: str) -> Server:
    """Return the same server with a database to connect to that is none of these."""
    names = (server.database, *_MAINTENANCE)
    return on_database(server, next(name for name in names if name not in avoid))


def on_database(server: Server, name: str) -> Server:
    """Return the same server with another database to connect to."""
    return replace(server, database=name)


def fitted_name(name: str, suffix: str) -> str:
    """Return name and suffix, the name cut so that both fit into the 63 bytes of a PostgreSQL name."""
    room = _NAME_BYTES - len(suffix.encode())
    return name.encode()[:room].decode("utf-8", "ignore") + suffix


def _look_at_rights(plan: RestorePlan, session: Session, server: Server) -> None:
    row = session.execute(
        "SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
    ).fetchone()
    if row is None or not row[0]:
        plan.obstacles.append(
            f"the user {server.user!r} may not make databases on {server.place}; use another one, or "
            "ALTER ROLE … CREATEDB"
        )


def _look_at_version(plan: RestorePlan, session: Session, manifest: Manifest) -> None:
    here, there = catalog.version_num(session) // 10000, manifest.server_version_num // 10000
    if here < there:
        plan.notes.append(
            f"the dump is of PostgreSQL {there} and this server is {here}: what only {there} knows will fail"
        )


def _look_at_extensions(plan: RestorePlan, session: Session, record: Database) -> None:
    available = {name for (name,) in session.execute("SELECT name FROM pg_catalog.pg_available_extensions")}
    missing = [extension.name for extension in record.extensions if extension.name not in available]
    if missing:
        plan.obstacles.append(
            f"the server lacks the extensions {_listed(missing)}; install their packages there"
        )


def _look_at_roles(plan: RestorePlan, session: Session, record: Database, roles_sql: bytes) -> None:
    there = set(catalog.list_roles(session))
    plan.missing_roles = sorted({*record.roles, record.owner} - there)
    if plan.missing_roles and not roles_sql:
        plan.obstacles.append(
            f"the server lacks the roles {_listed(plan.missing_roles)}, which own things in the dump or have "
            "rights there; restore roles, too, or restore without owners and rights"
        )


def _look_at_tablespaces(plan: RestorePlan, session: Session, record: Database) -> None:
    there = {name for (name,) in session.execute("SELECT spcname FROM pg_catalog.pg_tablespace")}
    missing = [name for name in record.tablespaces if name not in there]
    if missing:
        plan.tablespaces = False
        plan.notes.append(f"the server lacks the tablespaces {_listed(missing)}: all goes to its default one")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
