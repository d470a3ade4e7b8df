"""The rights that a dump needs: found missing, given by our SQL, and then enough."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from sources.postgres.errors import SourceUnavailable
from sources.postgres.rights import backup_user_sql, check_rights
from sources.postgres.server import Server
from tests.servers.postgres import PASSWORD, Cluster, program
from tests.sources.postgres.making import HURTING, back_up


@pytest.fixture
def user(postgres: Cluster, database: str) -> Iterator[str]:
    """The name of a role that the test may make; it is gone afterwards, with the database."""
    name = f"{database} b'a\"ck%up"
    yield name
    quoted = '"' + name.replace('"', '""') + '"'
    postgres.drop(database)
    postgres.run(f"DROP ROLE IF EXISTS {quoted}")


def give(cluster: Cluster, script: str, user: str) -> Server:
    """Run a script as the superuser, by the psql that a person would use; return the user's login."""
    command = [program("psql"), "-X", "-v", "ON_ERROR_STOP=1", "-d", cluster.socket.conninfo()]
    subprocess.run(command, input=script.encode(), check=True, capture_output=True)
    quoted = '"' + user.replace('"', '""') + '"'
    cluster.run(f"ALTER ROLE {quoted} PASSWORD '{PASSWORD}'")
    return cluster.login(user)


def test_our_sql_makes_a_user_that_can_dump_all_that_hurts(
    postgres: Cluster, database: str, user: str
) -> None:
    postgres.run(*HURTING, database=database)
    login = give(postgres, backup_user_sql([database], user), user)
    assert check_rights(login, [database]) == []
    point = back_up(login, [database])
    assert point.problems == []
    record = point.manifest.find(database)
    assert record is not None
    assert (record.rows_unknown, record.large_objects) == ("", 2)
    with login.connect(database) as session, pytest.raises(Exception, match=r"permission denied|read-only"):
        session.execute("DELETE FROM child")


def test_the_sql_for_older_servers_is_enough_too(postgres: Cluster, database: str, user: str) -> None:
    postgres.run(*HURTING, database=database)
    login = give(postgres, backup_user_sql([database], user, version_num=130000), user)
    assert [finding.stops for finding in check_rights(login, [database])] == [False]  # role passwords
    back_up(login, [database])


def test_each_right_that_is_missing_is_found_and_its_remedy_helps(
    postgres: Cluster, database: str, user: str
) -> None:
    postgres.run(*HURTING, database=database)
    quoted = '"' + user.replace('"', '""') + '"'
    login = give(postgres, f"CREATE ROLE {quoted} LOGIN", user)
    with pytest.raises(SourceUnavailable):
        back_up(login, [database])
    findings = check_rights(login, [database])
    texts = " ".join(finding.text for finding in findings)
    assert "tables or sequences may not be read" in texts
    assert "row-level security hides rows of 1 tables: public.log" in texts
    assert "2 large objects may not be read: 4711, 4712" in texts
    assert "passwords of roles" in texts
    for finding in findings:
        postgres.run(finding.remedy, database=finding.database or "postgres")
    try:
        assert check_rights(login, [database]) == []
        assert back_up(login, [database]).problems == []
    finally:
        postgres.run(f"REVOKE ALL ON pg_catalog.pg_authid FROM {quoted}")


def test_a_database_that_lets_nobody_in_is_found(postgres: Cluster, database: str, user: str) -> None:
    quoted = '"' + user.replace('"', '""') + '"'
    login = give(postgres, f"CREATE ROLE {quoted} LOGIN IN ROLE pg_read_all_data", user)
    postgres.run(f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC")
    findings = check_rights(login, [database])
    assert ["no connection" in finding.text for finding in findings] == [True]
    with pytest.raises(SourceUnavailable, match="may not connect"):
        back_up(login, [database])
    postgres.run(findings[0].remedy)
    assert check_rights(login, [database]) == []
