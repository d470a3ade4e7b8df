"""A file that is to be read for a backup, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from repository.entries import Entry, Problem
from repository.tree import Node

Report = Callable[[Problem], None]
Finished = Callable[["FileTask"], None]


@dataclass(slots=True, eq=False)
class FileTask:
    """A file to be read, and what became of it: `content` stays None if it could not be read.

    `read_as` is its metadata when it was opened, `size` the bytes read. `followers` are hard links to it.
    """

    path: bytes
    entry: Entry
    previous: Node | None = None
    on_finish: Callable[[], None] = lambda: None
    pending: bool = True
    read_as: Entry | None = None
    content: list[bytes] | None = None
    size: int = 0
    followers: list[FileTask] = field(default_factory=list)

    def settle(self, read_as: Entry, content: list[bytes], size: int) -> None:
        """Take note of what was read."""
        self.read_as, self.content, self.size = read_as, content, size
