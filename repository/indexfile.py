"""Index files: which blobs lie in which pack (restic-format.md, section 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from repository.crypto import OVERHEAD
from repository.errors import Damaged
from repository.ids import is_hex_id
from repository.jsontext import Fields, load
from repository.packfile import MAX_PACK_BYTES, PackedBlob

PackListing = tuple[bytes, list[PackedBlob]]


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One index file. `supersedes` is only for showing: the files it names may still be needed."""

    packs: list[PackListing]
    supersedes: list[bytes] = field(default_factory=list)


def encode_index(packs: Mapping[bytes, Sequence[PackedBlob]]) -> bytes:
    """Return the JSON text of an index file that lists these packs, each completely."""
    return ('{"packs":[' + ",".join(_encode_pack(*item) for item in packs.items()) + "]}\n").encode()


def decode_index(json: bytes) -> IndexFile:
    """Read an index file, also restic 0.1's bare array of packs. Raises Damaged."""
    document = load(json, "the index")
    if isinstance(document, list):
        return IndexFile([_decode_pack(pack) for pack in document])
    fields = Fields(document, "the index")
    supersedes = [_id(text) for text in fields.texts("supersedes")]
    return IndexFile([_decode_pack(pack) for pack in fields.items("packs")], supersedes)


def _encode_pack(pack_id: bytes, blobs: Sequence[PackedBlob]) -> str:
    return f'{{"id":"{pack_id.hex()}","blobs":[{",".join(map(_encode_blob, blobs))}]}}'


def _encode_blob(blob: PackedBlob) -> str:
    kind, blob_id, offset, length, plain = blob
    tail = "}" if plain is None else f',"uncompressed_length":{plain}}}'
    return f'{{"id":"{blob_id.hex()}","type":"{kind}","offset":{offset},"length":{length}{tail}'


def _decode_pack(value: object) -> PackListing:
    fields = Fields(value, "a pack in the index")
    return _id(fields.text("id")), [_decode_blob(blob) for blob in fields.items("blobs")]


def _decode_blob(value: Any) -> PackedBlob:
    try:
        kind, offset, length = value["type"], value["offset"], value["length"]
        blob = PackedBlob(kind, _id(value["id"]), offset, length, value.get("uncompressed_length"))
    except (KeyError, TypeError, AttributeError) as err:
        raise Damaged("the index lists a blob without type, id, offset or length") from err
    plain = blob.uncompressed_length
    if not (
        (kind == "data" or kind == "tree")
        and type(offset) is int
        and type(length) is int
        and offset >= 0
        and length >= OVERHEAD
        and offset + length <= MAX_PACK_BYTES
        and (plain is None or (type(plain) is int and 0 <= plain <= MAX_PACK_BYTES))
    ):
        raise Damaged("the index lists a blob of unknown type, or outside any pack")
    # restic leaves the length out when it is 0, so 0 and absent mean the same.
    return blob if plain != 0 else blob._replace(uncompressed_length=None)


def _id(text: Any) -> bytes:
    if type(text) is not str or not is_hex_id(text):
        raise Damaged("the index holds an id that is not 64 hex digits")
    return bytes.fromhex(text)
