"""Lock files: who holds the repository (restic-format.md, section 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from repository.gotext import go_string, parse_time
from repository.jsontext import load_object

STALE_AFTER_NS = 30 * 60 * 1_000_000_000
_MAX_UID = 2**32 - 1


@dataclass(frozen=True, slots=True)
class LockInfo:
    """The holder of a lock and its last refresh, `time` (RFC 3339 text)."""

    time: str
    exclusive: bool
    hostname: str
    username: str
    pid: int
    uid: int = 0
    gid: int = 0

    @property
    def time_ns(self) -> int:
        """The last refresh, in ns since the epoch."""
        return parse_time(self.time)

    def encode(self) -> bytes:
        """Return the JSON text, keys in restic's order."""
        owner = "".join(f',"{key}":{value}' for key, value in (("uid", self.uid), ("gid", self.gid)) if value)
        return (
            f'{{"time":{go_string(self.time)},"exclusive":{"true" if self.exclusive else "false"},'
            f'"hostname":{go_string(self.hostname)},"username":{go_string(self.username)},"pid":{self.pid}{owner}}}'
        ).encode()

    @classmethod
    def decode(cls, data: bytes) -> LockInfo:
        """Read a lock. Raises Damaged."""
        fields = load_object(data, "the lock")
        time = fields.text("time")
        parse_time(time)
        return cls(
            time,
            fields.boolean("exclusive"),
            fields.text("hostname"),
            fields.text("username"),
            fields.integer("pid", maximum=2**31 - 1),
            fields.integer("uid", maximum=_MAX_UID),
            fields.integer("gid", maximum=_MAX_UID),
        )


def is_stale(lock: LockInfo, now_ns: int, hostname: str, pid_alive: Callable[[int], bool]) -> bool:
    """Tell whether `unlock` may remove a lock: older than 30 minutes, or its process on this host is gone.

    `pid_alive` must not signal anything but 0; it is asked only about locks of `hostname`.
    """
    if now_ns - lock.time_ns > STALE_AFTER_NS:
        return True
    return lock.hostname == hostname and not pid_alive(lock.pid)
