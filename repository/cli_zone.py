"""The zone that the command line writes times in, found as Go finds it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo


class FileZone(ZoneInfo):
    """The zone that a TZif file describes; it may be pickled, which a ZoneInfo without a name cannot."""

    data: bytes

    @classmethod
    def read(cls, data: bytes) -> FileZone:
        """Return the zone in the bytes of a file. Raises ValueError for others."""
        zone = cls.from_file(io.BytesIO(data))
        zone.data = data
        return zone

    def __reduce__(self) -> tuple[object, ...]:
        return FileZone.read, (self.data,)


def local_zone(environ: Mapping[str, str]) -> tzinfo:
    """Return the zone that times are written in: TZ, else /etc/localtime, else UTC."""
    name = environ.get("TZ")
    path = "/etc/localtime" if name is None else name.removeprefix(":")
    if not path:
        return UTC
    try:
        if path.startswith("/"):
            with open(path, "rb") as file:
                return FileZone.read(file.read())
        return ZoneInfo(path)
    except (OSError, ValueError, KeyError):
        return UTC
