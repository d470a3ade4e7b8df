"""Folders of this machine, or of a host, to choose from in the form of a config."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from core.errors import HoldfastError
from core.hosts import host_source
from webapp import formats

MOST = 300


@dataclass(slots=True)
class Listing:
    """One folder's folders, by name and path. `parent`: None at the root; `more`: how many are left out."""

    path: str
    parent: str | None
    folders: list[tuple[str, str]] = field(default_factory=list)
    more: int = 0
    trouble: str = ""


def list_folders(path: str, host_id: str = "") -> Listing:
    """List the folders below `path`, here or on a host; what keeps it from that is said in `trouble`."""
    if not path.startswith("/") or not path.isprintable():
        path = "/"
    path = os.path.normpath("/" + path.lstrip("/"))
    listing = Listing(path, None if path == "/" else os.path.dirname(path))
    try:
        names = _shown(host_source.folders(host_id, path) if host_id else _names(path))
    except HoldfastError as error:
        listing.trouble = str(error)
        return listing
    except OSError as error:
        listing.trouble = f"{path} cannot be listed: {error.strerror}."
        return listing
    listing.folders = [(name, os.path.join(path, name)) for name in names[:MOST]]
    listing.more = max(0, len(names) - MOST)
    return listing


def missing(paths: list[str]) -> str:
    """Say in a sentence which of these paths do not exist now; empty if all do."""
    gone = [path for path in paths if not os.path.lexists(path)]
    if not gone:
        return ""
    what = f"{formats.listing(gone)} {'does' if len(gone) == 1 else 'do'} not exist now"
    return f"{what}; a backup would fail. Mount or make what is missing, or change the config."


def _names(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]


def _shown(names: list[str]) -> list[str]:
    # A name that cannot be shown cannot be typed into the form either; folders above it can be chosen.
    shown = [name for name in names if name.isprintable()]
    return sorted(shown, key=lambda name: (name.startswith("."), name.lower()))
