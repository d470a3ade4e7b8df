"""Which packs a check reads: all, a part of them in turn, and when each was read last."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from repository.errors import Damaged
from repository.ids import is_hex_id

_PART = re.compile(r"([0-9]+)/([0-9]+)\Z")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)%\Z")
_SIZE = re.compile(r"([0-9]+)([kmgt]?)\Z", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MOST_PARTS = 256  # the part is told by the first byte of a pack's id, as restic does it
_VERSION = 1

LastRead = Mapping[bytes, int]  # pack -> Unix time


@dataclass(frozen=True, slots=True)
class Subset:
    """Part n of t; or so much of the repository, as a share of its bytes or in bytes."""

    part: tuple[int, int] | None = None
    share: float | None = None
    size_bytes: int | None = None

    def choose(self, packs: Mapping[bytes, int], last_read: LastRead) -> dict[bytes, int]:
        """Return the packs (id -> size) to read.

        By share or size: those that were never read first, then those read longest ago, by lot among equals;
        at least one, and no more than fit the budget.
        """
        if self.part is not None:
            number, count = self.part
            return {pack: size for pack, size in packs.items() if pack[0] % count == number - 1}
        budget = self.size_bytes or 0 if self.share is None else int(sum(packs.values()) * self.share)
        chosen: dict[bytes, int] = {}
        by_lot = random.sample(list(packs), len(packs))
        for pack in sorted(by_lot, key=lambda pack: last_read.get(pack, 0)):
            budget -= packs[pack]
            if budget < 0 and chosen:
                break
            chosen[pack] = packs[pack]
        return chosen


def parse_subset(text: str) -> Subset:
    """Read `n/t`, `x%` or a size such as 500M. Raises ValueError, saying what is allowed."""
    if found := _PART.match(text):
        number, count = int(found[1]), int(found[2])
        if 1 <= number <= count <= _MOST_PARTS:
            return Subset(part=(number, count))
    elif found := _PERCENT.match(text):
        if 0 < float(found[1]) <= 100:
            return Subset(share=float(found[1]) / 100)
    elif (found := _SIZE.match(text)) and int(found[1]):
        return Subset(size_bytes=int(found[1]) * _UNITS[found[2].lower()])
    raise ValueError(
        f"{text!r} is no part of a repository: write n/t with 1 <= n <= t <= {_MOST_PARTS}, "
        "a share such as 2.5%, or a size such as 500M"
    )


@dataclass(slots=True)
class ReadLog:
    """When each pack of a repository was last read whole by a check; kept between checks as a small file."""

    repository: str
    times: dict[bytes, int] = field(default_factory=dict)

    @classmethod
    def decode(cls, data: bytes, repository: str) -> ReadLog:
        """Read what `encode` made. Raises Damaged, also if it is of another repository."""
        try:
            document = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Damaged(f"the log of packs read is no JSON: {error}") from error
        packs = document.get("packs") if isinstance(document, dict) else None
        if not isinstance(packs, dict) or document.get("version") != _VERSION or not _are_times(packs):
            raise Damaged("the log of packs read is not of the form that is written here")
        if document.get("repository") != repository:
            raise Damaged("the log of packs read is of another repository")
        return cls(repository, {bytes.fromhex(pack): when for pack, when in packs.items()})

    def encode(self) -> bytes:
        """Return the text to keep."""
        packs = {pack.hex(): self.times[pack] for pack in sorted(self.times)}
        document = {"version": _VERSION, "repository": self.repository, "packs": packs}
        return json.dumps(document, separators=(",", ":")).encode()

    def record(self, read: Iterable[bytes], present: Iterable[bytes], now: datetime) -> None:
        """Take note that these were read now; those that are not present any more are forgotten."""
        here = set(present)
        self.times = {pack: when for pack, when in self.times.items() if pack in here}
        self.times.update(dict.fromkeys(read, int(now.timestamp())))


def _are_times(packs: dict[str, Any]) -> bool:
    return all(is_hex_id(pack) and type(when) is int for pack, when in packs.items())
