"""The zone that the command line writes times in, found as Go finds it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo


class FileZone(tzinfo):
    """The zone that a TZif file describes. It may be pickled, which a ZoneInfo without a name cannot.

    Raises ValueError for data that is no such file.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._zone = ZoneInfo.from_file(io.BytesIO(data))

    def __reduce__(self) -> tuple[object, ...]:
        return FileZone, (self._data,)

    def fromutc(self, dt: datetime) -> datetime:
        """See tzinfo."""
        return self._zone.fromutc(dt.replace(tzinfo=self._zone)).replace(tzinfo=self)

    def utcoffset(self, dt: datetime | None) -> timedelta | None:
        """See tzinfo."""
        return self._zone.utcoffset(self._of_zone(dt))

    def dst(self, dt: datetime | None) -> timedelta | None:
        """See tzinfo."""
        return self._zone.dst(self._of_zone(dt))

    def tzname(self, dt: datetime | None) -> str | None:
        """See tzinfo."""
        return self._zone.tzname(self._of_zone(dt))

    def _of_zone(self, dt: datetime | None) -> datetime | None:
        return None if dt is None else dt.replace(tzinfo=self._zone)


def local_zone(environ: Mapping[str, str]) -> tzinfo:
    """Return the zone that times are written in: TZ, else /etc/localtime, else UTC."""
    name = environ.get("TZ")
    path = "/etc/localtime" if name is None else name.removeprefix(":")
    if not path:
        return UTC
    try:
        if path.startswith("/"):
            with open(path, "rb") as file:
                return FileZone(file.read())
        return ZoneInfo(path)
    except (OSError, ValueError, KeyError):
        return UTC
