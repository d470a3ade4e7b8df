"""Commands shown beside actions: they exist, and work where they are pasted."""

from __future__ import annotations

import os
import shlex
import subprocess

from core.settings import PROJECT_DIR
from tests.webapp.conftest import As
from tests.webapp.html import parse
from tests.webapp.test_pages import addresses
from tests.webapp.world import World
from webapp.shell_lines import on_server


def _taken_apart(line: str, world: World) -> tuple[str, str, list[str]]:
    """Return folder, program and words of a command line; `flask` names the install it was shown by."""
    cd, folder, then, *words = shlex.split(line)
    assert (cd, then) == ("cd", "&&")
    if words[0].startswith("HOLDFAST_DATA_DIR="):
        assert words[0] == f"HOLDFAST_DATA_DIR={world.folder / 'data'}"
        assert os.path.basename(words[1]) == "flask"
        return folder, words[1], words[2:]
    assert (os.path.basename(words[0]), words[1:3]) == ("python", ["-m", "repository"])
    return folder, words[0], words[1:]


def test_a_command_shown_works_when_it_is_pasted(world: World) -> None:
    with world.app.app_context():
        line = on_server("flask user list")
    pasted = subprocess.run(["sh", "-c", line], cwd="/", capture_output=True, text=True, timeout=240)
    assert pasted.returncode == 0, pasted.stderr
    assert "vera" in pasted.stdout


def test_every_command_shown_is_one_that_exists(world: World, as_: As) -> None:
    browser, runner, shown = as_("admin"), world.app.test_cli_runner(), set()
    for url in addresses(world):
        with browser.get(url) as response:
            if response.mimetype == "text/html":
                found = [
                    pre.text or ""
                    for pre in parse(response.text).iter("pre")
                    if "command" in (pre.get("class") or "").split()
                ]
                # Calls of the API are held against the API by test_equivalents.
                shown |= {
                    line for text in found for line in text.splitlines() if not line.startswith("curl ")
                }
    assert len(shown) > 5
    assert any(line.endswith("flask backup points") for line in shown)
    for line in shown:
        folder, program, words = _taken_apart(line, world)
        assert os.access(os.path.join(folder, program), os.X_OK)
        if os.path.basename(program) == "python":
            assert _opens_the_repository(line), line
        else:
            # Unknown commands and options are refused before help is given.
            assert runner.invoke(args=[*words, "--help"]).exit_code == 0, line


def _opens_the_repository(line: str) -> bool:
    """Run the line with a wrong password: the place is right, the key is not."""
    environment = {**os.environ, "RESTIC_PASSWORD": "wrong"}
    done = subprocess.run(["sh", "-c", line], cwd="/", capture_output=True, text=True, env=environment,
                          timeout=240)  # fmt: skip
    return done.returncode == 12


def test_a_stranger_is_not_told_where_things_are(world: World, as_: As) -> None:
    page = as_("stranger").get("/login").text
    assert str(world.folder) not in page
    assert PROJECT_DIR not in page


def test_a_name_with_a_line_end_in_it_stays_one_word(world: World) -> None:
    with world.app.app_context():
        shown = on_server("flask backup restore 1 --to-database 'a\nb'\nflask backup points")
    lines = shown.split("\ncd ")
    assert len(lines) == 2
    assert shlex.split(lines[0])[-1] == "a\nb"
