"""How much stands at some tree paths of a snapshot: asked before it is made into an archive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from repository.archive import members
from repository.repository import Repository
from repository.snapshot import Snapshot

# What an archive needs beside content, of each entry and in all: headers, names twice, padding, attributes.
_ENTRY_BYTES, _END_BYTES = 2_560, 64 * 1024
# Deflate makes what it cannot compress larger by 5 bytes in 16 KiB.
_GROWTH = 2_048


@dataclass(slots=True)
class Extent:
    """Files and bytes of content; `entries` counts folders and links, too. A lower bound
    unless `complete`."""

    files: int = 0
    bytes: int = 0
    entries: int = 0
    complete: bool = True

    @property
    def archive_bytes(self) -> int:
        """What an archive of it may take at most."""
        return self.bytes + self.bytes // _GROWTH + self.entries * _ENTRY_BYTES + _END_BYTES


def measure(
    repo: Repository, snapshot: Snapshot, *paths: bytes, go_on: Callable[[Extent], bool] = lambda extent: True
) -> Extent:
    """Count what stands at these paths, of all without one, until `go_on` says no.

    Raises PathNotFound, Damaged, BlobNotFound.
    """
    found = Extent()
    for _, node in members(repo, snapshot, paths):
        if not go_on(found):
            found.complete = False
            break
        found.entries += 1
        if node.type == "file":
            found.files += 1
            found.bytes += node.size
    return found
