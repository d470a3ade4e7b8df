"""The README takes a new user through it: what it names is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from flask import Flask

from core.settings import PROJECT_DIR

PROJECT = Path(PROJECT_DIR)
README = (PROJECT / "README.md").read_text("utf-8")


def commands() -> list[str]:
    """Return the lines that are to be typed, without what is said beside them."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_every_picture_and_page_it_links_to_is_there() -> None:
    linked = re.findall(r'(?:src|srcset)="([^"]+)"', README) + re.findall(r"\]\(([^)#]+)\)", README)
    here = {each for each in linked if "://" not in each}
    assert len(here) > 8
    assert [each for each in sorted(here) if not (PROJECT / each).is_file()] == []


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = {line.split()[1] for line in commands() if line.startswith("make ")}
    assert named >= {"run", "test", "test-slow"}
    assert named <= targets


def test_every_flask_command_it_shows_exists(fresh: Flask) -> None:
    shown = [shlex.split(line)[1:] for line in commands() if line.startswith(".venv/bin/flask ")]
    assert len(shown) > 5
    runner = fresh.test_cli_runner()
    for words in shown:
        # Unknown commands and options are refused before help is given.
        assert runner.invoke(args=[*words, "--help"]).exit_code == 0, words


def test_every_variable_it_names_is_one_that_is_read() -> None:
    named = set(re.findall(r"\b(?:HOLDFAST|BACKUP|AWS|SUPABASE)_[A-Z0-9_]*[A-Z0-9]\b", README))
    read = "\n".join(path.read_text("utf-8") for path in (PROJECT / "core").rglob("*.py"))
    assert len(named) > 10
    assert {name for name in named if not re.search(rf"\b{name.removesuffix('_FILE')}\b", read)} == set()
