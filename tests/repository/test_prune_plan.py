"""The plan of a prune, on packs that exist only in an index: no storage, no bytes."""

from __future__ import annotations

import pytest

from repository.index import Index
from repository.packfile import BlobType, PackedBlob, pack_size
from repository.prune_plan import Plan, PruneOptions, Unused, make_plan
from repository.used import BlobSet

MIB = 2**20


class Packs:
    """Packs made of (name, MiB) blobs; a name in capitals is used."""

    def __init__(self) -> None:
        self.index = Index()
        self.used = BlobSet()
        self.stored: dict[bytes, int] = {}

    def add(
        self, pack: str, *blobs: tuple[str, float], kind: BlobType = "data", compressed: bool = True
    ) -> None:
        packed, offset = [], 0
        for name, size_mib in blobs:
            length = int(size_mib * MIB)
            packed.append(PackedBlob(kind, as_id(name), offset, length, 9 * MIB if compressed else None))
            offset += length
            if name.isupper():
                self.used.add(kind, as_id(name))
        self.index.add_pack(as_id(pack), packed)
        self.stored[as_id(pack)] = pack_size(packed)

    def plan(self, options: PruneOptions | None = None, version: int = 2) -> Plan:
        options = options or PruneOptions(max_unused=Unused(size_bytes=0))
        return make_plan(self.index, self.used, self.stored, options, version)


def as_id(name: str) -> bytes:
    return name.encode().ljust(32, b".")


def names(packs: object) -> list[str]:
    assert isinstance(packs, dict)
    return [pack.decode().rstrip(".") for pack in packs]


def test_used_packs_stay_and_unused_ones_go() -> None:
    packs = Packs()
    packs.add("used", ("A", 8), ("B", 8))
    packs.add("unused", ("c", 8))
    packs.add("partly", ("D", 8), ("e", 8))
    packs.stored[as_id("unindexed")] = 5
    plan = packs.plan()
    assert (names(plan.kept), names(plan.unused)) == (["used"], ["unused"])
    assert (names(plan.repack), names(plan.unindexed)) == (["partly"], ["unindexed"])


@pytest.mark.parametrize("first", ["old", "new"])
def test_what_an_interrupted_prune_has_copied_is_kept_in_the_copy(first: str) -> None:
    """A prune has copied A and C to a new pack and was stopped: the old one just goes."""
    packs = Packs()
    listed = {"old": [("A", 6), ("b", 4), ("C", 6)], "new": [("A", 6), ("C", 6)]}
    for name in sorted(listed, key=lambda name: name != first):
        packs.add(name, *listed[name])
    plan = packs.plan()
    assert (names(plan.kept), names(plan.unused), names(plan.repack)) == (["new"], ["old"], [])


def test_a_copy_beside_other_used_blobs_is_preferred() -> None:
    packs = Packs()
    packs.add("needed", ("A", 6), ("B", 6))
    packs.add("mostly unused", ("A", 6), ("x", 6))
    plan = packs.plan()
    assert (names(plan.kept), names(plan.unused)) == (["needed"], ["mostly unused"])


def test_of_twin_packs_one_goes() -> None:
    packs = Packs()
    packs.add("one", ("A", 6), ("B", 6))
    packs.add("two", ("A", 6), ("B", 6))
    plan = packs.plan()
    assert (len(plan.kept), len(plan.unused), len(plan.repack)) == (1, 1, 0)


def test_of_copies_in_packs_that_are_all_partly_unused_the_last_counts() -> None:
    packs = Packs()
    packs.add("one", ("A", 6), ("x", 6))
    packs.add("two", ("A", 6), ("y", 6))
    plan = packs.plan()
    assert (names(plan.unused), names(plan.repack)) == (["one"], ["two"])


def test_a_copy_in_a_missing_pack_does_not_count() -> None:
    packs = Packs()
    packs.add("gone", ("A", 6), ("B", 6))
    packs.add("there", ("A", 6), ("B", 6))
    del packs.stored[as_id("gone")]
    plan = packs.plan()
    assert (names(plan.kept), plan.missing) == (["there"], {as_id("gone")})


@pytest.mark.parametrize(("count", "joined"), [(9, 0), (10, 10)])
def test_small_packs_are_joined_from_ten_on(count: int, joined: int) -> None:
    packs = Packs()
    packs.add("large", ("Z", 16))
    for number in range(count):
        packs.add(f"small{number}", (chr(ord("A") + number), 0.5))
    assert len(packs.plan().repack) == joined
    assert len(packs.plan(PruneOptions(max_unused=Unused())).repack) == joined


@pytest.mark.parametrize(("repack_small", "joined"), [(False, 0), (True, 12)])
def test_small_is_below_four_percent_of_the_target_or_eighty_if_asked(
    repack_small: bool, joined: int
) -> None:
    packs = Packs()
    for number in range(12):
        packs.add(f"medium{number}", (chr(ord("A") + number), 12))
    assert len(packs.plan(PruneOptions(repack_small=repack_small)).repack) == joined


def test_the_emptiest_packs_are_copied_first_until_little_is_unused() -> None:
    packs = Packs()
    packs.add("quarter", ("A", 12), ("x", 4))
    packs.add("most", ("B", 1), ("y", 15))
    packs.add("half", ("C", 8), ("z", 8))
    assert names(packs.plan().repack) == ["most", "half", "quarter"]
    # 27 MiB unused; 12 may stay, so 15 must go; 11.9: so must another 8
    assert names(packs.plan(PruneOptions(max_unused=Unused(size_bytes=12 * MIB))).repack) == ["most"]
    assert names(packs.plan(PruneOptions(max_unused=Unused(size_bytes=12 * MIB - 1))).repack) == [
        "most",
        "half",
    ]
    assert names(packs.plan(PruneOptions(max_repack_bytes=33 * MIB)).repack) == ["most", "half"]


def test_a_share_is_of_what_is_there_afterwards() -> None:
    # 95 used and 5 unused are 5 % of 100
    assert Unused(percent=5.0).limit_bytes(95) == 5.0
    assert Unused(percent=0.0).limit_bytes(95) == 0.0
    assert Unused(percent=100.0).limit_bytes(95) == Unused().limit_bytes(95) == float("inf")


def test_trees_come_before_data_and_whatever_the_limit() -> None:
    packs = Packs()
    packs.add("data", ("A", 1), ("x", 15))
    packs.add("trees", ("T", 15), ("t", 1), kind="tree")
    assert names(packs.plan().repack) == ["trees", "data"]
    assert names(packs.plan(PruneOptions(max_unused=Unused())).repack) == ["trees"]


@pytest.mark.parametrize(
    ("kind", "version", "asked", "repacked"),
    [
        ("tree", 2, False, 1),
        ("tree", 1, False, 0),
        ("data", 2, False, 0),
        ("data", 2, True, 1),
        ("data", 1, True, 0),
    ],
)
def test_what_must_be_compressed_is(kind: BlobType, version: int, asked: bool, repacked: int) -> None:
    packs = Packs()
    packs.add("plain", ("A", 16), kind=kind, compressed=False)
    plan = packs.plan(PruneOptions(max_unused=Unused(), repack_uncompressed=asked), version)
    assert len(plan.repack) == repacked


def test_a_mixed_pack_is_taken_apart() -> None:
    packs = Packs()
    packs.add("mixed", ("A", 16))
    tree = PackedBlob("tree", as_id("T"), 16 * MIB, 100, 200)
    packs.index.add_pack(as_id("mixed"), [tree])
    packs.used.add("tree", tree.id)
    packs.stored[as_id("mixed")] += 100 + 41
    assert names(packs.plan(PruneOptions(max_unused=Unused())).repack) == ["mixed"]
