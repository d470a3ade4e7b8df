"""Dumps by several processes: through which folder of this machine they go, and whether that will do."""

from __future__ import annotations

import os

from core import words
from core.errors import Invalid
from core.restores import restore_targets
from sources.postgres.dump import DumpOptions
from sources.postgres.errors import NoWorkRoom
from sources.postgres.work_folder import require_room

MOST_JOBS = 16
FIELD = "work_folder"


def clean(folder: str, jobs: int) -> str:
    """Return the folder as a clean path, "" for none. Raises ValueError if it is needed, or no whole path."""
    folder = folder.strip()
    if jobs > 1 and not folder:
        raise ValueError("Choose a folder of this machine with room for the largest database.")
    if folder and not os.path.isabs(folder):
        raise ValueError("Write the whole path, from / on, such as /var/tmp.")
    return os.path.normpath(folder) if folder else ""


def options(jobs: int, folder: str) -> DumpOptions:
    """Return how to dump. One process needs no folder."""
    return DumpOptions(jobs=jobs, work_folder=folder) if jobs > 1 else DumpOptions()


def check_folder(folder: str, size_bytes: int = 0) -> None:
    """Raise Invalid (`work_folder`) unless files of a dump can go to a folder: it is there, is none of
    Holdfast's own, can be written to, and has room for so much."""
    if not os.path.isdir(folder):
        raise Invalid({FIELD: f"There is no folder {folder} on this machine. Make it, or choose another."})
    try:
        restore_targets.refuse_target(folder, [])
    except Invalid as error:
        raise Invalid({FIELD: error.message}) from error
    if why := room_problem(folder, size_bytes):
        raise Invalid({FIELD: why})


def room_problem(folder: str, size_bytes: int) -> str:
    """Say that a folder has too little room for a dump of so many bytes; "" if it has enough."""
    try:
        require_room(folder, size_bytes)
    except NoWorkRoom as error:
        text = str(error)
        return words.ended(text[:1].upper() + text[1:])
    return ""
