"""Index files: which blobs lie in which pack (restic-format.md, section 7)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import add
from typing import Annotated, NamedTuple, TypeVar

import msgspec

from repository.bloblist import BlobList, Row
from repository.crypto import OVERHEAD
from repository.errors import Damaged
from repository.ids import ID_BYTES, split_ids
from repository.packfile import MAX_PACK_BYTES, BlobType, PackedBlob

PackListing = tuple[bytes, list[PackedBlob]]

_Decoded = TypeVar("_Decoded")
_Id = Annotated[str, msgspec.Meta(min_length=2 * ID_BYTES, max_length=2 * ID_BYTES)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=MAX_PACK_BYTES)]


@dataclass(frozen=True, slots=True)
class IndexFile:
    """One index file. `supersedes` is only for showing: the files it names may still be needed."""

    packs: list[PackListing]
    supersedes: list[bytes] = field(default_factory=list)


class BlobColumns(NamedTuple):
    """The blobs of one type that an index file lists, pack after pack. An uncompressed blob has plain 0."""

    counts: list[int]  # how many of them each of the file's packs holds
    ids: bytes  # joined
    offsets: array[int]
    lengths: array[int]
    plains: array[int]


class IndexColumns(NamedTuple):
    """What an index file lists, in columns: for loading very many."""

    packs: list[bytes]
    blobs: dict[BlobType, BlobColumns]


class _Blob(msgspec.Struct, gc=False):
    id: _Id
    type: BlobType
    offset: _Number
    length: Annotated[int, msgspec.Meta(ge=OVERHEAD, le=MAX_PACK_BYTES)]
    # restic leaves the length out when it is 0, so 0 and absent mean the same.
    uncompressed_length: _Number | None = None


class _Pack(msgspec.Struct, gc=False):
    id: _Id
    blobs: list[_Blob] | None = None


class _Document(msgspec.Struct):
    packs: list[msgspec.Raw] | None = None
    supersedes: list[_Id] | None = None


_document = msgspec.json.Decoder(_Document | list[msgspec.Raw])
_packs = msgspec.json.Decoder(list[_Pack])
_BATCH_BYTES = 1 << 20  # of JSON text that is objects at a time; a pack is never split


def encode_index(packs: Mapping[bytes, Sequence[PackedBlob] | BlobList]) -> bytes:
    """Return the JSON text of an index file that lists these packs, each completely."""
    # Each pack's text is made bytes by itself: as a whole it would stand in memory three times.
    return b'{"packs":[' + b",".join([_encode_pack(*item) for item in packs.items()]) + b"]}\n"


def decode_index(json: bytes) -> IndexFile:
    """Read an index file, also restic 0.1's bare array of packs. Raises Damaged."""
    document = _parse(json)
    listed = [
        item
        for packs in _batches(document)
        for item in zip(_ids(packs), map(_packed_blobs, packs), strict=True)
    ]
    return IndexFile(listed, list(split_ids(_unhex(document.supersedes or []))))


def decode_columns(json: bytes) -> Iterator[IndexColumns]:
    """Read an index file as decode_index does, several times as fast, some thousand blobs at a time.

    Raises Damaged, also when some were yielded before.
    """
    for packs in _batches(_parse(json)):
        kinds: tuple[BlobType, ...] = ("data", "tree")
        yield IndexColumns(list(_ids(packs)), {kind: _columns(packs, kind) for kind in kinds})


def _encode_pack(pack_id: bytes, blobs: Sequence[PackedBlob] | BlobList) -> bytes:
    rows: Iterable[Row] = blobs.rows() if isinstance(blobs, BlobList) else blobs
    return f'{{"id":"{pack_id.hex()}","blobs":[{",".join(map(_encode_blob, rows))}]}}'.encode()


def _encode_blob(blob: Row) -> str:
    kind, blob_id, offset, length, plain = blob
    tail = "}" if plain is None else f',"uncompressed_length":{plain}}}'
    return f'{{"id":"{blob_id.hex()}","type":"{kind}","offset":{offset},"length":{length}{tail}'


def _parse(json: bytes) -> _Document:
    document = _decode(_document, json, "the index")
    return document if isinstance(document, _Document) else _Document(document)


def _batches(document: _Document) -> Iterator[list[_Pack]]:
    batch: list[msgspec.Raw] = []
    size = 0
    for number, raw in enumerate(document.packs or (), 1):
        batch.append(raw)
        size += memoryview(raw).nbytes
        if size >= _BATCH_BYTES:
            yield _decode_batch(batch, number)
            batch, size = [], 0
    yield _decode_batch(batch, len(document.packs or ()))


def _decode_batch(batch: list[msgspec.Raw], end: int) -> list[_Pack]:
    text = b"[" + b",".join(batch) + b"]"
    return _decode(_packs, text, f"the index ($ is its packs from number {end - len(batch)} on)")


def _decode(decoder: msgspec.json.Decoder[_Decoded], json: bytes, what: str) -> _Decoded:
    try:
        return decoder.decode(json)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
        # Cut: the reason may quote the text.
        raise Damaged(f"{what} is not as it must be: {str(err)[:200]}") from err


def _packed_blobs(pack: _Pack) -> list[PackedBlob]:
    blobs = pack.blobs or []
    _check_ends((b.offset for b in blobs), (b.length for b in blobs))
    return [
        PackedBlob(b.type, blob_id, b.offset, b.length, b.uncompressed_length or None)
        for blob_id, b in zip(_ids(blobs), blobs, strict=True)
    ]


def _columns(packs: list[_Pack], kind: BlobType) -> BlobColumns:
    chosen = [[blob for blob in pack.blobs or () if blob.type == kind] for pack in packs]
    blobs = list(chain.from_iterable(chosen))
    offsets = array("I", [blob.offset for blob in blobs])
    lengths = array("I", [blob.length for blob in blobs])
    plains = array("I", [blob.uncompressed_length or 0 for blob in blobs])
    _check_ends(offsets, lengths)
    return BlobColumns(list(map(len, chosen)), _unhex([b.id for b in blobs]), offsets, lengths, plains)


def _check_ends(offsets: Iterable[int], lengths: Iterable[int]) -> None:
    if max(map(add, offsets, lengths), default=0) > MAX_PACK_BYTES:
        raise Damaged("the index lists a blob that ends beyond any pack")


def _ids(items: Iterable[_Pack | _Blob]) -> Iterator[bytes]:
    return split_ids(_unhex([item.id for item in items]))


def _unhex(texts: list[str]) -> bytes:
    """Return the bytes of many ids, joined. Raises Damaged unless all are lower-case hex digits."""
    text = "".join(texts)
    try:
        ids = bytes.fromhex(text)
    except ValueError:
        ids = b""
    if ids.hex() != text:  # fromhex takes upper case and spaces, too
        raise Damaged("the index holds an id that is not 64 lower-case hex digits")
    return ids
