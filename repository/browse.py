"""Look into a snapshot without restoring it: folders, single files, and archives of whole folders."""

from __future__ import annotations

from repository.archive import outermost, stream_tar, stream_zip
from repository.archive_notes import Made
from repository.lookup import find_node, list_dir, read_file, walk
from repository.measure import Extent, measure

__all__ = [
    "Extent",
    "Made",
    "find_node",
    "list_dir",
    "measure",
    "outermost",
    "read_file",
    "stream_tar",
    "stream_zip",
    "walk",
]
