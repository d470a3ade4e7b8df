"""One line about a file, as `find -printf` on the host tells it: to bytes and back, no I/O."""

from __future__ import annotations

from typing import NamedTuple

from repository.entries import Entry, Kind

# Type, mode, owner, group, size, mtime, ctime, inode, links, device, blocks; the path; where a link leads.
FORMAT = rb"%y %m %U %G %s %T@ %C@ %i %n %D %b\0%p\0%l\0"
FIELDS = 3

_KINDS: dict[bytes, Kind] = {
    b"f": "file",
    b"d": "dir",
    b"l": "symlink",
    b"b": "dev",
    b"c": "chardev",
    b"p": "fifo",
    b"s": "socket",
}
_MOST_BYTES = 300  # of the facts
_NO_NAMES = (b"", b".", b"..")


class Malformed(ValueError):
    """What the host sends is no listing."""


class Row(NamedTuple):
    """A name in a directory, the facts about it, and where it leads if it is a link."""

    name: bytes
    facts: bytes
    target: bytes

    @property
    def is_dir(self) -> bool:
        """Tell whether it is a directory."""
        return self.facts.startswith(b"d")

    @property
    def is_lone_file(self) -> bool:
        """Tell whether it is a regular file of one name."""
        return self.facts.startswith(b"f") and self.facts.split(b" ", 9)[8] == b"1"

    @property
    def size(self) -> int:
        """Return its size in bytes."""
        return int(self.facts.split(b" ", 5)[4])

    @property
    def device_id(self) -> int:
        """Return the number of the file system it is on."""
        return int(self.facts.split(b" ")[9])

    @property
    def ctime_ns(self) -> int:
        """Return when it changed last."""
        return nanoseconds(self.facts.split(b" ", 7)[6])


def check(facts: bytes, name: bytes) -> None:
    """Raise Malformed unless facts and name look as they must."""
    if len(facts) > _MOST_BYTES or facts.count(b" ") != 10 or facts[:1] not in _KINDS:
        raise Malformed(f"the host's listing has an odd line: {facts[:80]!r}")
    if name in _NO_NAMES or len(name) > 4096:
        raise Malformed(f"the host's listing has an odd name: {name[:80]!r}")


def entry(row: Row, owners: Owners, xattrs: tuple[tuple[bytes, bytes], ...] = (), device: int = 0) -> Entry:
    """Return what a row says. Raises Malformed."""
    try:
        kind, mode, uid, gid, size, mtime, ctime, inode, links, device_id, blocks = row.facts.split(b" ")
        numbers = int(uid), int(gid)
        return Entry(
            row.name,
            _KINDS[kind],
            int(mode, 8) & 0o7777,
            nanoseconds(mtime),
            nanoseconds(ctime),
            *numbers,
            owners.user(numbers[0]),
            owners.group(numbers[1]),
            int(inode),
            int(device_id),
            int(links),
            int(size) if kind == b"f" else 0,
            row.target if kind == b"l" else b"",
            device,
            () if kind == b"l" else xattrs,
            int(blocks),
        )
    except (ValueError, KeyError) as error:
        raise Malformed(f"the host's listing has an odd line: {row.facts[:80]!r}") from error


def nanoseconds(text: bytes) -> int:
    """Return a time of `%T@`: seconds, rounded down, and a fraction to be added, also to a negative time."""
    whole, _, fraction = text.partition(b".")
    return int(whole) * 10**9 + int((fraction + b"000000000")[:9])


class Owners:
    """Names of users and groups on the host, by number; "" where there is none."""

    def __init__(self, passwd: bytes = b"", group: bytes = b"") -> None:
        """Take the text of `getent passwd` and `getent group`, or of the files in /etc."""
        self._users = _names_in(passwd)
        self._groups = _names_in(group)

    def user(self, uid: int) -> str:
        """Return the login name of a user."""
        return self._users.get(uid, "")

    def group(self, gid: int) -> str:
        """Return the name of a group."""
        return self._groups.get(gid, "")


def _names_in(text: bytes) -> dict[int, str]:
    found: dict[int, str] = {}
    for line in text.splitlines():
        parts = line.split(b":")
        if len(parts) >= 3 and parts[2].isdigit():
            found.setdefault(int(parts[2]), parts[0].decode("utf-8", "surrogateescape"))
    return found
