"""Where things lie in a point of databases."""

from __future__ import annotations

import os

from sources.postgres.manifest import Database

DATABASES = b"/databases"
GLOBALS = b"/globals.sql"
MANIFEST = b"/manifest.json"
_SUFFIX = b".dump"
_FOLDER_SUFFIX = b".dir"


def dump_path(database: str, *, folder: bool = False) -> bytes:
    """Return the tree path of a database's dump; `folder`: of a parallel one. `%` and `/` as in a URL."""
    name = database.replace("%", "%25").replace("/", "%2F").encode()
    return DATABASES + b"/" + name + (_FOLDER_SUFFIX if folder else _SUFFIX)


def is_folder(record: Database) -> bool:
    """Tell whether a dump was made by several processes: it is a folder of files then."""
    return record.file.endswith(os.fsdecode(_FOLDER_SUFFIX))
