"""Lines for a shell of root on a host: what a user there put in the way leads root nowhere."""

from __future__ import annotations

import secrets
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from core.hosts import set_up_lines
from tests.sources.trees import needs_root

pytestmark = needs_root

LINE = 'restrict,command="sudo -n /x" ssh-ed25519 AAAAours holdfast@here'


@pytest.fixture
def user() -> Iterator[tuple[str, Path]]:
    """A user without a shell, and the home folder."""
    name = f"hf-{secrets.token_hex(6)}"
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "home"
        home.mkdir()
        words = ["--no-create-home", "--home-dir", home, "--shell", "/usr/sbin/nologin"]
        subprocess.run(["useradd", *words, name], check=True)
        try:
            subprocess.run(["chown", name, home], check=True)
            yield name, home
        finally:
            subprocess.run(["userdel", "--force", name], check=True, capture_output=True)


def paste(name: str) -> int:
    lines = ["sh", "-e", "-c", set_up_lines.user(name, LINE)]
    return subprocess.run(lines, capture_output=True, check=False).returncode


def test_a_key_is_let_in_by_its_line_alone(user: tuple[str, Path]) -> None:
    name, home = user
    keys = home / ".ssh" / "authorized_keys"
    assert paste(name) == 0
    assert keys.read_text() == f"{LINE}\n"
    keys.write_text("ssh-ed25519 AAAAours\nssh-ed25519 AAAAother")
    assert paste(name) == 0
    assert keys.read_text() == f"ssh-ed25519 AAAAother\n{LINE}\n"
    assert (keys.owner(), stat.S_IMODE(keys.stat().st_mode)) == (name, 0o600)
    assert (keys.parent.owner(), stat.S_IMODE(keys.parent.stat().st_mode)) == (name, 0o700)


def test_a_link_to_a_file_of_root_gives_nobody_its_content(user: tuple[str, Path]) -> None:
    name, home = user
    secret = home.parent / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "authorized_keys").symlink_to(secret)
    subprocess.run(["chown", "-R", "-h", name, home], check=True)
    assert paste(name) != 0
    assert (secret.owner(), secret.read_text()) == ("root", "root's")
    files = [each for each in home.rglob("*") if each.is_file() and not each.is_symlink()]
    assert "".join(each.read_text() for each in files) == ""


def test_a_link_to_a_folder_of_root_leaves_it_to_root(user: tuple[str, Path]) -> None:
    name, home = user
    theirs = home.parent / "theirs"
    theirs.mkdir(mode=0o755)
    (home / ".ssh").symlink_to(theirs)
    assert paste(name) != 0
    assert (theirs.owner(), stat.S_IMODE(theirs.stat().st_mode)) == ("root", 0o755)
    assert list(theirs.iterdir()) == []
