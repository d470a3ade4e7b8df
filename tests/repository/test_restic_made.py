"""The codecs on whole repositories that restic made, and every tolerance that restic was seen to have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

from repository.compression import compress_blob, decode_unpacked, decompress_blob, encode_unpacked
from repository.crypto import unseal
from repository.errors import Damaged
from repository.ids import hash_bytes
from repository.indexfile import decode_index, encode_index
from repository.lockfile import LockInfo, is_stale
from repository.packfile import PackedBlob, encode_header, pack_size, parse_header
from repository.snapshot import Snapshot
from repository.tree import encode_tree
from repository.tree_decode import decode_tree
from tests.repository.hostile import odd_documents, refuses_or_decodes
from tests.repository.reading import Folder
from tests.repository.test_compression import frame_of_2_gib_window, frame_without_size
from tests.repository.test_tree import ODD_NAMES_TREE, SAMPLE, with_known_exceptions

PASSWORD = "geheim"
NAMES = ("v1", "v2modes", "mig", "oddnames")
Repositories = dict[str, Folder]


@pytest.fixture(scope="module")
def repositories(unpack: Callable[[str], Path]) -> Repositories:
    return {name: Folder.open(unpack(name), PASSWORD) for name in NAMES}


def test_every_tree_encodes_to_itself_but_for_the_odd_names(repositories: Repositories) -> None:
    trees, different = 0, []
    for folder in repositories.values():
        for blob, _, plain in folder.blobs():
            if blob.type == "tree":
                trees += 1
                again = encode_tree(decode_tree(plain))
                if again != plain:
                    different.append(blob.id.hex())
                    assert again == with_known_exceptions(plain)
    assert trees >= 15
    assert different == [ODD_NAMES_TREE]


def test_every_index_says_what_the_packs_say(repositories: Repositories) -> None:
    for folder in repositories.values():
        listed: dict[bytes, list[PackedBlob]] = {}
        for text in folder.unpacked("index"):
            index = decode_index(text)
            for pack, blobs in index.packs:
                listed[pack] = sorted(blobs, key=lambda blob: blob.offset)
            if not index.supersedes:
                assert encode_index(dict(index.packs)) == text
        assert listed == {pack: blobs for pack, _, blobs in folder.packs()}


def test_every_header_encodes_to_itself(repositories: Repositories) -> None:
    for folder in repositories.values():
        for _, stored, blobs in folder.packs():
            header = stored[-4 - int.from_bytes(stored[-4:], "little") : -4]
            assert encode_header(blobs) == unseal(folder.key, header)


def test_every_snapshot_encodes_to_itself(repositories: Repositories) -> None:
    count = 0
    for folder in repositories.values():
        for text in folder.unpacked("snapshots"):
            snapshot = Snapshot.decode(text)
            assert snapshot.encode() == text
            assert snapshot.paths
            count += 1
    assert count == 7


def test_every_config_encodes_to_itself(repositories: Repositories) -> None:
    for folder in repositories.values():
        sealed = (folder.path / "config").read_bytes()
        assert folder.config.encode() == unseal(folder.key, sealed)


def test_the_frames_have_the_shapes_observed(repositories: Repositories, vectors: dict[str, Any]) -> None:
    small, medium, single, large = vectors["zstd_frames_observed_restic_0_14"]
    seen: Counter[str] = Counter()
    for name in ("v2modes", "mig", "oddnames"):
        for blob, frame, plain in repositories[name].blobs():
            if blob.uncompressed_length is None:
                continue
            row = small if len(plain) < 256 else medium if len(plain) < 900 else single
            row = large if len(plain) > 512 * 1024 else row
            if 900 <= len(plain) < 1100:
                continue  # restic's border between the two lies somewhere here
            seen[row["plaintext"]] += 1
            shape = zstandard.get_frame_parameters(frame)
            sized = shape.content_size != zstandard.CONTENTSIZE_UNKNOWN
            assert sized == row["content_size_in_frame"]
            assert bool(frame[4] & 0x20) == row["single_segment"]
            assert shape.has_checksum == row["checksum"]
            if "window_descriptor" in row:
                assert frame[5] == row["window_descriptor"]
            if "fcs_flag" in row:
                assert frame[4] >> 6 == row["fcs_flag"]
    assert len(seen) >= 3, seen


def test_frames_of_every_observed_shape_are_read(vectors: dict[str, Any]) -> None:
    """Make a frame of each shape here too: the repositories may not hold all of them."""
    sizes = {"1..255 bytes": 200, "256..~1 KiB": 600, "> ~1 KiB up to 512 KiB": 100_000, "> 512 KiB": 700_000}
    for row in vectors["zstd_frames_observed_restic_0_14"]:
        data = b"line of text\n" * (sizes[row["plaintext"]] // 13)
        frame = zstandard.compress(data) if row["content_size_in_frame"] else frame_without_size(data)
        assert decompress_blob(frame, len(data)) == data
        assert decode_unpacked(b"\x02" + frame, 2) == data


def accepts_frames_of_any_kind() -> None:
    data = b"x" * 5000
    for options in ({}, {"write_checksum": True}, {"window_log": 27}):
        assert decompress_blob(frame_without_size(data, **options), 5000) == data


def refuses_a_2_gib_window() -> None:
    with pytest.raises(Damaged):
        decode_unpacked(b"\x02" + frame_of_2_gib_window(b"{}"), 2)


def accepts_uncompressed_and_mixed_types() -> None:
    blobs = [PackedBlob("data", bytes(32), 0, 40), PackedBlob("tree", bytes(32), 40, 50, 60)]
    assert parse_header(encode_header(blobs)) == blobs
    assert compress_blob(b"x", "off") is None


def accepts_bare_json_in_v2() -> None:
    assert decode_unpacked(b'{"a":1}', 2) == b'{"a":1}'


def ignores_unknown_keys() -> None:
    assert decode_tree(b'{"x":1,"nodes":[]}') == []
    assert decode_index(b'{"x":1,"packs":[]}').packs == []
    text = b'{"time":"2026-01-01T00:00:00Z","tree":"' + b"00" * 32 + b'","paths":[],"x":1}'
    assert Snapshot.decode(text).extra == {"x": 1}


def refuses_names_not_quoted() -> None:
    for name in (r"a\\q", r"a\n", r"a\"b"):
        with pytest.raises(Damaged):
            decode_tree(f'{{"nodes":[{{"name":"{name}","type":"file","content":[]}}]}}'.encode())


def tells_null_content_from_an_empty_list() -> None:
    text = b'{"nodes":[{"name":"a","type":"file","content":null},{"name":"b","type":"file","content":[]}]}'
    assert [node.content for node in decode_tree(text)] == [None, []]


def accepts_null_nodes() -> None:
    assert decode_tree(b'{"nodes":null}\n') == []


def reads_a_tree_without_its_newline_under_another_id() -> None:
    assert decode_tree(SAMPLE[:-1]) == decode_tree(SAMPLE)
    assert hash_bytes(SAMPLE[:-1]) != hash_bytes(SAMPLE)


def knows_the_one_size_of_a_pack() -> None:
    blobs = [PackedBlob("data", bytes(32), 0, 40)]
    assert pack_size(blobs) == 40 + 37 + 36
    with pytest.raises(ValueError, match="gaps"):
        encode_header([*blobs, PackedBlob("data", bytes(32), 41, 40)])


def keeps_every_listing_of_a_pack() -> None:
    pack = json.loads(encode_index({bytes(32): [PackedBlob("data", bytes(32), 0, 40)]}))["packs"]
    assert len(decode_index(json.dumps({"packs": pack * 2}).encode()).packs) == 2


def tells_lengths_apart() -> None:
    frame = compress_blob(b"x" * 500, "auto")
    assert frame is not None
    with pytest.raises(Damaged, match="500"):
        decompress_blob(frame, 499)


def writes_no_compression_in_v1() -> None:
    assert encode_unpacked(b"{}", 1) == b"{}"


def asks_only_and_only_about_its_own_host() -> None:
    lock = LockInfo("2026-01-01T00:00:00Z", False, "here", "", 1)
    asked: list[int] = []
    assert not is_stale(lock, lock.time_ns, "there", lambda pid: bool(asked.append(pid)))
    assert is_stale(lock, lock.time_ns, "here", lambda pid: bool(asked.append(pid)))
    assert asked == [1]


def calls_an_old_foreign_lock_stale() -> None:
    lock = LockInfo("2026-01-01T00:00:00Z", False, "there", "", 1)
    assert is_stale(lock, lock.time_ns + 31 * 60 * 10**9, "here", lambda pid: True)


TOLERANCES: dict[str, Callable[[], None] | None] = {
    "zstd frame without content size, with or without checksum, declared window": accepts_frames_of_any_kind,
    "zstd frame declaring a 2 GiB window": refuses_a_2_gib_window,
    "uncompressed blobs (types 0/1)": accepts_uncompressed_and_mixed_types,
    "snapshot stored as bare JSON": accepts_bare_json_in_v2,
    "mixed data+tree pack in v2": accepts_uncompressed_and_mixed_types,
    "unknown JSON keys": ignores_unknown_keys,
    "name not Go-quoted": refuses_names_not_quoted,
    "file node with content null": tells_null_content_from_an_empty_list,
    "nodes null": accepts_null_nodes,
    "tree without trailing newline": reads_a_tree_without_its_newline_under_another_id,
    "padding between last blob and header": knows_the_one_size_of_a_pack,
    "pack listed in two index files": keeps_every_listing_of_a_pack,
    "index uncompressed_length differs": tells_lengths_apart,
    "v1 repository with compressed blobs": writes_no_compression_in_v1,
    "restic unlock while a lock names a live local pid": asks_only_and_only_about_its_own_host,
    "old (stale) foreign lock": calls_an_old_foreign_lock_stale,
    # What no codec can see: several files of a repository must be compared (check, prune).
    "index lists only part of a pack": None,
    "pack in no index": None,
}


def test_every_tolerance_of_restic_is_known_here(vectors: dict[str, Any]) -> None:
    cases = [row["case"] for row in vectors["restic_0_14_tolerances_observed"]]
    assert len(cases) == len(TOLERANCES)
    for case in cases:
        assert sum(case.startswith(known) for known in TOLERANCES) == 1, case


@pytest.mark.parametrize("case", [case for case, probe in TOLERANCES.items() if probe])
def test_we_are_as_tolerant_as_restic(case: str) -> None:
    probe = TOLERANCES[case]
    assert probe is not None
    probe()


def test_odd_values_in_restics_own_documents_are_damaged_or_decode(repositories: Repositories) -> None:
    folder = repositories["v1"]
    (snapshot,) = folder.unpacked("snapshots")
    for text in odd_documents(snapshot):
        refuses_or_decodes(Snapshot.decode, text)
    tree = next(plain for blob, _, plain in folder.blobs() if blob.type == "tree")
    for text in odd_documents(tree):
        refuses_or_decodes(decode_tree, text)
