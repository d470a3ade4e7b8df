"""Look into a snapshot without restoring it: folders, single files, and archives of whole folders."""

from __future__ import annotations

from repository.archive import stream_tar, stream_zip
from repository.lookup import find_node, list_dir, read_file, walk

__all__ = ["find_node", "list_dir", "read_file", "stream_tar", "stream_zip", "walk"]
