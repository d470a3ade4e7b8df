"""The servers that the tests of PostgreSQL talk to."""

from collections.abc import Iterator

import pytest

from tests.servers.postgres import Cluster, running


@pytest.fixture(scope="module")
def restless() -> Iterator[Cluster]:
    """A server of a module's own, for tests that look at all of its databases or change its roles."""
    with running() as cluster:
        yield cluster
