"""What the tests of the engine share: the facts and repositories checked against restic, where present."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import FIXTURES
from tests.repository import operations
from tests.repository.engine import with_cheap_key


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what the command line caches out of the home of whoever runs the tests."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    if not FIXTURES.is_dir():
        pytest.skip("the fixtures are not beside the project (../shared/fixtures)")
    return FIXTURES


@pytest.fixture(scope="session")
def vectors(fixtures_dir: Path) -> dict[str, Any]:
    """The facts of restic-vectors.json."""
    facts: dict[str, Any] = json.loads((fixtures_dir / "restic-vectors.json").read_bytes())
    return facts


@pytest.fixture(scope="session")
def unpack(fixtures_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpack a repository that restic made (v1, v2modes, mig, oddnames) to a folder of its own.

    All but its key, which is a cheap one: those of restic are opened in test_keyfile.
    """

    @cache
    def original(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name)
        with tarfile.open(fixtures_dir / "generated-v2" / f"{name}.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        return with_cheap_key(folder / "repo")

    def unpack(name: str) -> Path:
        return Path(shutil.copytree(original(name), tmp_path_factory.mktemp(name) / "repo"))

    return unpack


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[operations.World]:
    """A repository with a history and many small packs; no test of the module changes it."""
    with operations.small_packs():
        yield operations.make_world(tmp_path_factory.mktemp("world"))
