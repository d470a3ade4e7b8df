"""What a prune does with each pack: keep, delete, or copy what is needed out of it. No I/O.

The rules are restic's (restic-format.md, section 13).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from repository.index import Index
from repository.packer import PACK_TARGET_BYTES
from repository.prune_census import Census, PackUse, require_indexed
from repository.used import BlobSet

_SMALL_SHARE, _REPACK_SMALL_SHARE = 0.04, 0.8  # of the target size of a pack
_SMALL_FROM = 10  # so many small packs are worth joining


@dataclass(frozen=True, slots=True)
class Unused:
    """How much unused data may stay: a share of what is used, a number of bytes, or any (both None)."""

    percent: float | None = None
    size_bytes: int | None = None

    def limit_bytes(self, used_bytes: int) -> float:
        """Return the limit for a repository with that much in use."""
        if self.size_bytes is not None:
            return self.size_bytes
        if self.percent is None:
            return float("inf")
        # The share is of what is there afterwards, used and unused together.
        return float("inf") if self.percent >= 100 else used_bytes * self.percent / (100 - self.percent)


DEFAULT_UNUSED = Unused(percent=5.0)


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """How thoroughly to prune. `max_repack_bytes` caps what is copied in one run; None: no cap."""

    max_unused: Unused = DEFAULT_UNUSED
    max_repack_bytes: int | None = None
    repack_small: bool = False
    repack_uncompressed: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class Plan:
    """What to do. The four sets of packs do not overlap; whatever is in none of them stays."""

    unindexed: dict[bytes, int] = field(default_factory=dict)  # id -> size in bytes
    unused: dict[bytes, PackUse] = field(default_factory=dict)
    repack: dict[bytes, PackUse] = field(default_factory=dict)  # in the order of their worth
    missing: set[bytes] = field(default_factory=set)  # listed, not stored, not needed
    kept: dict[bytes, PackUse] = field(default_factory=dict)
    duplicate_blobs: int = 0

    @property
    def leaving(self) -> set[bytes]:
        """The packs that no index lists afterwards."""
        return {*self.unused, *self.repack, *self.missing}


def make_plan(
    index: Index,
    used: BlobSet,
    stored: Mapping[bytes, int],
    options: PruneOptions,
    version: int,
) -> Plan:
    """Decide about every pack. `stored`: id -> size of the packs on the storage.

    Raises BlobNotFound if a used blob is in no index file, Damaged if a pack that is needed is missing or of
    the wrong size.
    """
    require_indexed(index, used)
    census = Census(index, used, stored)
    for pack, blobs in index.blobs_by_pack():
        census.count_pack(pack, blobs)
    census.require_whole()
    census.settle_duplicates()
    plan = Plan(missing=census.missing, duplicate_blobs=census.duplicate_blobs)
    plan.unindexed = {pack: size for pack, size in stored.items() if pack not in census.packs}
    candidates = _sort_out(census.packs, plan, options, version)
    _choose(candidates, plan, options, version)
    return plan


def _sort_out(
    packs: Mapping[bytes, PackUse], plan: Plan, options: PruneOptions, version: int
) -> list[tuple[bytes, PackUse]]:
    """Put into the plan what goes and what stays; return the packs that may be worth copying, best first."""
    candidates, small = [], []
    for pack, use in packs.items():
        if not use.used_blobs:
            plan.unused[pack] = use
        elif use.unused_blobs or use.kind == "mixed" or _must_compress(use, options, version):
            candidates.append((pack, use))
        elif _is_small(use, options):
            small.append((pack, use))
        else:
            plan.kept[pack] = use
    if len(small) >= _SMALL_FROM:
        candidates += small
    else:
        plan.kept.update(small)
    return sorted(candidates, key=lambda item: _order(item[1], options))


def _order(use: PackUse, options: PruneOptions) -> tuple[bool, bool, float]:
    return use.kind == "data", not _is_small(use, options), -use.unused_bytes / use.used_bytes


def _must_compress(use: PackUse, options: PruneOptions, version: int) -> bool:
    # Trees are compressed in version 2 whatever the mode; the blobs of a mixed pack are copied anyway.
    return version >= 2 and use.uncompressed and (use.kind == "tree" or options.repack_uncompressed)


def _is_small(use: PackUse, options: PruneOptions) -> bool:
    return use.size_bytes < PACK_TARGET_BYTES * (
        _REPACK_SMALL_SHARE if options.repack_small else _SMALL_SHARE
    )


def _choose(
    candidates: Sequence[tuple[bytes, PackUse]], plan: Plan, options: PruneOptions, version: int
) -> None:
    """Copy out of candidates until little enough is unused, or enough is copied; the others stay."""
    every = [*plan.unused.values(), *plan.kept.values(), *(use for _, use in candidates)]
    limit = options.max_unused.limit_bytes(sum(use.used_bytes for use in every))
    unused_left = sum(use.unused_bytes for _, use in candidates)
    copied = 0
    for pack, use in candidates:
        over = options.max_repack_bytes is not None and copied + use.size_bytes > options.max_repack_bytes
        # Data packs of full size are worth copying only for the sake of the space; the others always.
        optional = (
            use.kind == "data" and not _must_compress(use, options, version) and not _is_small(use, options)
        )
        if over or (optional and unused_left <= limit):
            plan.kept[pack] = use
            continue
        plan.repack[pack] = use
        copied += use.size_bytes
        unused_left -= use.unused_bytes
