"""Whatever bytes a storage or a cache gives: each decoder soon returns, or raises its typed error."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from repository import (
    compression,
    crypto,
    gotext,
    indexfile,
    jsontext,
    packer,
    packfile,
    tree,
    tree_cache_file,
    tree_decode,
    tree_json,
)
from repository.bloblist import BlobList
from repository.check_subset import ReadLog
from repository.config import RepositoryConfig, new_config
from repository.errors import Damaged, WrongPassword
from repository.keyfile import KeyFile, make_key_file, open_key_file
from repository.lockfile import LockInfo
from repository.packfile import PackedBlob
from repository.snapshot import Snapshot
from repository.tree import Node
from repository.tree_cache_file import Context
from tests.conftest import PROJECT
from tests.repository.engine import CHEAP
from tests.repository.hostile import HOSTILE_TEXTS, mutations, peak_bytes

KEY = crypto.new_master_key()
PACK, BLOB, TIME = b"\x01" * 32, b"\x02" * 32, "2024-05-06T07:08:09.123456789+02:00"
BLOBS = [PackedBlob("data", BLOB, 0, 100, 300), PackedBlob("tree", PACK, 100, 80, None)]
CONTEXT = Context("r", "s", "UTC", "p", PACK.hex(), 1, [BLOB.hex()])
KEY_FILE = make_key_file(KEY, "x", CHEAP, username="u", hostname="h", created=TIME)


def make_pack() -> bytes:
    made = packer.Packer("data")
    made.add(BLOB, crypto.seal(KEY, b"content"), None)
    return bytes(made.finish(KEY).data)


def text(decode: Callable[[str], Any]) -> Callable[[bytes], Any]:
    """Return a decoder of text as one of the bytes that JSON would carry."""
    return lambda data: decode(data.decode("utf-8", "surrogateescape"))


# module.function (or the class of a method): what it reads, and a good sample
DECODERS: dict[str, tuple[Callable[[bytes], Any], bytes]] = {
    "bloblist.BlobList.decode": (BlobList.decode, packfile.encode_header(BLOBS[:1])),
    "check_subset.ReadLog.decode": (lambda data: ReadLog.decode(data, "r"), ReadLog("r", {PACK: 7}).encode()),
    "compression.decode_unpacked": (
        lambda data: compression.decode_unpacked(data, 2),
        compression.encode_unpacked(b'{"a":[1,2,3]}', 2),
    ),
    "compression.decompress_blob": (
        lambda data: compression.decompress_blob(data, 300),
        zstandard.compress(b"content " * 30),
    ),
    "config.RepositoryConfig.decode": (RepositoryConfig.decode, new_config().encode()),
    "crypto.unseal": (lambda data: crypto.unseal(KEY, data), crypto.seal(KEY, b"content")),
    "gotext.parse_time": (text(gotext.parse_time), TIME.encode()),
    "gotext.unquote_name": (text(gotext.unquote_name), rb"a\x01\u00e9\"b"),
    "indexfile.decode_columns": (
        lambda data: list(indexfile.decode_columns(data)),
        indexfile.encode_index({PACK: BLOBS}),
    ),
    "indexfile.decode_index": (indexfile.decode_index, indexfile.encode_index({PACK: BLOBS})),
    "jsontext.load_object": (lambda data: jsontext.load_object(data, "it"), b'{"a":{"b":["c",1,null]}}'),
    "keyfile.KeyFile.decode": (KeyFile.decode, KEY_FILE),
    "keyfile.open_key_file": (lambda data: open_key_file(data, "x"), KEY_FILE),
    "lockfile.LockInfo.decode": (LockInfo.decode, LockInfo(TIME, False, "h", "u", 7).encode()),
    "packer.read_header": (lambda data: packer.read_header(KEY, data), make_pack()),
    "packfile.parse_header": (packfile.parse_header, packfile.encode_header(BLOBS)),
    "packfile.read_trailer": (lambda data: packfile.read_trailer(data, 10_000), make_pack()),
    "snapshot.Snapshot.decode": (Snapshot.decode, Snapshot(TIME, PACK, ["/a"], hostname="h").encode()),
    "tree_decode.decode_tree": (
        tree_decode.decode_tree,
        tree.encode_tree([Node(b"a\xff", "dir", subtree=PACK)]),
    ),
    "tree_json.parse_common": (
        tree_json.parse_common,
        tree.encode_tree([Node(b"a\xff", "dir", subtree=PACK), Node(b"b", "file", size=3, content=[BLOB])]),
    ),
    "tree_cache_file.decode": (
        lambda data: tree_cache_file.decode(KEY, data),
        tree_cache_file.encode(KEY, CONTEXT, {}),
    ),
}
# They read what was authenticated before, read by one of the above, or are for what a person types.
OTHERS = {"tree_cache_file.Known.unpack", "rebuild.read_pack_header", "ids.parse_id"}
OTHERS |= {"check_subset.parse_subset", "keep_rules.Duration.parse", "keep_rules.parse_group_by"}
STARTS = ("decode", "parse", "unseal", "unquote", "unpack", "decompress", "open_key", "load_object")
READERS = ("read_header", "read_trailer", "read_pack_header")
HOSTILE = [
    *HOSTILE_TEXTS,
    b"\0" * 1000,
    b"\xff" * 1000,
    b"\x02" + b"\x28\xb5\x2f\xfd" + b"\xff" * 60,  # a zstd frame that claims much
    b'{"packs":' + b"[" * 100_000,
    b"9" * 100_000,
    json.dumps({str(number): {} for number in range(20_000)}).encode(),
]


def decodes_or_refuses(name: str, data: bytes) -> None:
    with suppress(Damaged, WrongPassword):
        DECODERS[name][0](data)


@pytest.mark.parametrize("name", sorted(DECODERS))
@given(data=st.data())
def test_mutated_and_random_bytes_give_a_value_or_the_typed_error(name: str, data: st.DataObject) -> None:
    decodes_or_refuses(name, data.draw(mutations(DECODERS[name][1]) | st.binary(max_size=300)))


@pytest.mark.parametrize("name", sorted(DECODERS))
def test_hostile_bytes_take_neither_long_nor_much_memory(name: str) -> None:
    for data in HOSTILE:
        started = time.process_time()
        used = peak_bytes(lambda data=data: decodes_or_refuses(name, data))  # type: ignore[misc]
        assert used < 200 * len(data) + 1_000_000, data[:50]
        assert time.process_time() - started < 10, data[:50]


def test_every_decoder_is_in_the_table() -> None:
    """One that is added has to be here too."""
    found = set()
    for path in sorted((PROJECT / "repository").glob("*.py")):
        if not path.stem.startswith("cli"):
            found |= {f"{path.stem}.{name}" for name in functions(ast.parse(path.read_text()).body)}
    decoders = {each for each in found if is_decoder(each.rpartition(".")[2])}
    assert decoders == set(DECODERS) | OTHERS, "put it in DECODERS; in OTHERS if it reads nothing stored"


def functions(body: list[ast.stmt]) -> Iterator[str]:
    """Yield the names of functions, and of methods with their class."""
    for node in body:
        if isinstance(node, ast.FunctionDef):
            yield node.name
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{each}" for each in functions(node.body))


def is_decoder(name: str) -> bool:
    return name.startswith(STARTS) or name in READERS
