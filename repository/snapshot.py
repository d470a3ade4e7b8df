"""Snapshots: one tree, when it was taken, and of what (restic-format.md, section 9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from repository.errors import Damaged
from repository.gotext import go_string, go_value, is_time, parse_time
from repository.jsontext import JsonObject, load_object

_MAX_UID = 2**32 - 1
_KNOWN = frozenset(
    (
        *("time", "parent", "tree", "paths", "hostname", "username", "uid", "gid", "excludes", "tags"),
        *("original", "program_version", "summary"),
    )
)


@dataclass(slots=True)
class Snapshot:
    """A snapshot as stored. Empty, zero and None mean that the key is absent; `extra` holds unknown keys.

    `time` is RFC 3339 text. `parent` is a hint and may be gone; `original` is the first version's id.
    `summary` holds restic's counters (files_new, data_added, …), any of which may be missing.
    """

    time: str
    tree: bytes
    paths: list[str]
    hostname: str = ""
    username: str = ""
    uid: int = 0
    gid: int = 0
    excludes: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    parent: bytes | None = None
    original: bytes | None = None
    program_version: str = ""
    summary: JsonObject | None = None
    extra: JsonObject = field(default_factory=dict)

    @property
    def time_ns(self) -> int:
        """The instant of the backup, in ns since the epoch."""
        return parse_time(self.time)

    def encode(self) -> bytes:
        """Return the JSON text, keys in restic's order."""
        values: dict[str, Any] = {
            "time": self.time,
            "parent": self.parent and self.parent.hex(),
            "tree": self.tree.hex(),
            "paths": self.paths,
            "hostname": self.hostname,
            "username": self.username,
            "uid": self.uid,
            "gid": self.gid,
            "excludes": self.excludes,
            "tags": self.tags,
            "original": self.original and self.original.hex(),
            "program_version": self.program_version,
            "summary": self.summary,
        }
        present = {key: value for key, value in values.items() if value or key == "paths"} | self.extra
        return ("{" + ",".join(f"{go_string(k)}:{go_value(v)}" for k, v in present.items()) + "}").encode()

    @classmethod
    def decode(cls, data: bytes) -> Snapshot:
        """Read a snapshot. Raises Damaged, also if it has no tree or no time."""
        fields = load_object(data, "the snapshot")
        tree, time = fields.hex_id("tree"), fields.text("time")
        if tree is None or not is_time(time):
            raise Damaged("the snapshot names no tree, or no valid time")
        parse_time(time)
        return cls(
            time=time,
            tree=tree,
            paths=fields.texts("paths"),
            hostname=fields.text("hostname"),
            username=fields.text("username"),
            uid=fields.integer("uid", maximum=_MAX_UID),
            gid=fields.integer("gid", maximum=_MAX_UID),
            excludes=fields.texts("excludes"),
            tags=fields.texts("tags"),
            parent=fields.hex_id("parent"),
            original=fields.hex_id("original"),
            program_version=fields.text("program_version"),
            summary=fields.object_or_none("summary"),
            extra=fields.rest(_KNOWN),
        )
