"""The options --cache-dir and --no-cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from repository import cli
from tests.repository.engine import PASSWORD, new_local_repo


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RESTIC_PASSWORD", PASSWORD)
    monkeypatch.setenv("RESTIC_REPOSITORY", str(tmp_path / "repo"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cli, "_end_cleanly_on_signals", lambda: None)  # it would outlive the test
    new_local_repo(tmp_path / "repo")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"content")
    return tmp_path


def backup(place: Path, *options: str) -> None:
    assert cli.main(["backup", "-q", str(place / "tree"), *options]) == 0


def test_caches_are_in_the_users_place_for_them(place: Path) -> None:
    backup(place)
    folder = place / "home" / "holdfast"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")
    assert len(list((folder / "unchanged").iterdir())) == 1
    backup(place)
    assert len(list(folder.glob("*/snapshots/*/*"))) == 2


def test_they_can_be_elsewhere(place: Path) -> None:
    backup(place, "--cache-dir", str(place / "mine"))
    assert (place / "mine" / "unchanged").is_dir()
    assert not (place / "home").exists()


def test_or_nowhere(place: Path) -> None:
    backup(place, "--no-cache")
    assert not (place / "home").exists()


def test_a_place_that_cannot_be_written_is_no_obstacle(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    (place / "home").write_bytes(b"a file")
    backup(place)
    assert "nothing is cached" in caplog.text


@pytest.mark.parametrize("command", ["check", "prune"])
def test_who_judges_the_storage_uses_none(place: Path, command: str) -> None:
    backup(place)
    backup(place)
    (stored, *_) = (place / "repo" / "index").iterdir()
    (file,) = (place / "home" / "holdfast").glob(f"*/index/*/{stored.name}*")
    before = file.stat().st_mtime_ns
    stored.chmod(0o600)
    stored.write_bytes(stored.read_bytes()[:-1])
    assert cli.main([command, "-q"]) == 1
    assert file.stat().st_mtime_ns == before
