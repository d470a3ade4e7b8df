"""Refuse a snapshot that holds nothing where something should be: an empty folder is often a missing disk."""

from __future__ import annotations

import os
from collections.abc import Iterable

from repository.errors import BlobNotFound, Damaged, NothingToBackUp, PathNotFound
from repository.lookup import find_node, walk
from repository.repository import Repository
from repository.snapshot import Snapshot
from repository.tally import Tally

_ADVICE = "check that its disk is mounted. If it is meant to be empty, allow an empty backup once"


def require_something(tally: Tally) -> None:
    """Raise NothingToBackUp if nothing could be read of what the source has."""
    if tally.files_failed and not tally.files_total:
        raise NothingToBackUp(
            f"none of the {tally.files_failed} files could be read, so no snapshot was made; "
            "the problems listed say why: often a missing permission"
        )
    if not (tally.files_total or tally.others_total) and (tally.problems_lost or not tally.dirs_total):
        raise NothingToBackUp(
            "nothing could be read from the source, so no snapshot was made; see the problems"
        )


def require_content_at_first(tally: Tally, links: int) -> None:
    """Raise NothingToBackUp if a first snapshot would hold folders and (this many) symbolic links only."""
    if not tally.files_total and tally.others_total == links:
        raise NothingToBackUp(
            "the source holds no file, only folders and links, so no snapshot was made; see that the paths "
            "are right and their disks mounted. If it is meant to be empty, allow an empty backup once"
        )


def require_as_before(
    repo: Repository, tally: Tally, parent: Snapshot, empty: Iterable[tuple[bytes, bytes]]
) -> None:
    """Raise NothingToBackUp where the parent snapshot held files and nothing but folders is left.

    `empty`: (tree path, place) of those of the paths asked for that hold nothing but folders now.
    """
    if not (tally.files_total or tally.others_total) and _holds_files(repo, parent, b"/"):
        raise NothingToBackUp(
            f"the source is empty, but the snapshot before it held files, so no snapshot was made; {_ADVICE}"
        )
    for path, place in empty:
        if _holds_files(repo, parent, path):
            raise NothingToBackUp(
                f"{os.fsdecode(place)} is empty, but the snapshot before it held files there, so no snapshot "
                f"was made; {_ADVICE}"
            )


def _holds_files(repo: Repository, snapshot: Snapshot, path: bytes) -> bool:
    """Tell whether anything but folders is there; a tree that cannot be read counts as holding."""
    try:
        node = find_node(repo, snapshot, path)
        return node.type != "dir" or any(each.type != "dir" for _, each in walk(repo, node))
    except PathNotFound:
        return False
    except (BlobNotFound, Damaged):
        return True
