"""Files that a source makes itself, such as a manifest: entries without an inode, content from memory."""

from __future__ import annotations

import os
from dataclasses import dataclass

from repository.entries import Entry
from sources.metadata import group_name, user_name


def made_entry(name: bytes, now_ns: int, *, is_dir: bool = False, size: int = 0) -> Entry:
    """Return an entry of this process's user, closed to all others. A size not known before the end is 0."""
    uid, gid = os.getuid(), os.getgid()
    return Entry(
        name,
        "dir" if is_dir else "file",
        0o700 if is_dir else 0o600,
        now_ns,
        now_ns,
        uid,
        gid,
        user_name(uid),
        group_name(gid),
        links=0 if is_dir else 1,
        size=size,
    )


@dataclass(slots=True)
class MadeFile:
    """Bytes in memory as an OpenFile."""

    path: bytes
    entry: Entry
    content: bytes

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer`; return the count of bytes, 0 at the end."""
        count = min(len(buffer), len(self.content))
        buffer[:count] = self.content[:count]
        self.content = self.content[count:]
        return count

    def entry_now(self) -> Entry:
        """Return the same entry: nothing changes it."""
        return self.entry

    def close(self) -> None:
        """Nothing is held."""
